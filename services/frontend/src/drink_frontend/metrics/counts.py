"""Counters and histograms that cost well below a microsecond for each value.

The library's own take a lock for each value and each look-up of labels, which a drop with its
dozen of values notices. These are plain numbers, made into the library's families when they are
read. Each counter and each part of a histogram is written by one thread, and may be read by any.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from drink_frontend.metrics.specs import Spec

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of `Spec.labels`."""


class Counts(Collector):
    """The counters of one metric.

    Args:
        spec: The metric.

    Attributes:
        values: How often, by labels; a new one begins with 0.
    """

    __slots__ = ("_spec", "values")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.values: defaultdict[Labels, int] = defaultdict(int)

    def collect(self) -> Iterator[Metric]:
        """The metric as a family of samples."""
        spec = self._spec
        family = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
        for labels, value in self.values.items():
            family.add_metric(labels, value)
        yield family


class Distribution:
    """How often values fell between the limits of a histogram, as one thread counts them.

    Args:
        limits: Upper limits, ascending.

    Attributes:
        counts: How many values were at most each limit and above the one before; the last are
            above all limits.
        total: Sum of all values.
    """

    __slots__ = ("_limits", "counts", "total")

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self._limits, value)] += 1
        self.total += value


class Histograms(Collector):
    """The histograms of one metric, each the sum of its parts.

    Args:
        spec: The metric.
    """

    __slots__ = ("_parts", "_spec")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._parts: defaultdict[Labels, list[Distribution]] = defaultdict(list)

    def part(self, *labels: str) -> Distribution:
        """A new part of the histogram with these labels, for one thread."""
        part = Distribution(self._spec.buckets)
        self._parts[labels].append(part)
        return part

    def collect(self) -> Iterator[Metric]:
        """The metric as a family of samples."""
        yield histograms(
            self._spec,
            (
                (
                    labels,
                    [sum(counts) for counts in zip(*(part.counts for part in parts), strict=True)],
                    sum(part.total for part in parts),
                )
                for labels, parts in self._parts.items()
            ),
        )


def histograms(
    spec: Spec, series: Iterable[tuple[Labels, Iterable[int], float]]
) -> HistogramMetricFamily:
    """A family of samples of histograms.

    Args:
        spec: Their metric.
        series: Of each its labels, its counts between the limits as in `Distribution.counts`, and
            the sum of its values.
    """
    family = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
    limits = [*map(str, spec.buckets), "+Inf"]
    for labels, counts, total in series:
        family.add_metric(labels, list(zip(limits, accumulate(counts), strict=True)), total)
    return family
