"""The metrics of the notifier: what each channel has told, and what it has not."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from drink_web.metrics import specs


@dataclass(slots=True)
class ChannelFacts:
    """What has become of one channel's work since the start of the process.

    Attributes:
        sent: Messages that the channel took.
        failed: Messages that it did not take.
        postponed: Rounds that the frontend refused or did not answer.
        told: Openings, closings and digests in the messages that were sent.
        failures: Failed attempts, of either kind, since the last that worked.
        waiting: What the channel has to tell and has not told, at its last look.
        oldest_s: When the oldest of that happened, in Unix seconds; None if there is none.
        success_s: When a message was sent last, in Unix seconds; 0 before the first.
    """

    sent: int = 0
    failed: int = 0
    postponed: int = 0
    told: int = 0
    failures: int = 0
    waiting: int = 0
    oldest_s: float | None = None
    success_s: float = 0

    def look(self, happened_s: Sequence[float]) -> None:
        """The channel has looked; it has to tell what happened at these Unix seconds."""
        self.waiting = len(happened_s)
        self.oldest_s = min(happened_s, default=None)
        if not happened_s:
            self.failures = 0

    def success(self, now_s: float) -> None:
        """The channel has told all that it had to tell."""
        self.told += self.waiting
        self.sent += 1
        self.success_s = now_s
        self.look(())


class NotifyMetrics:
    """The metrics of one notifier; implements `metrics.port.Served`.

    Args:
        channels: The channels' facts by their names.
        now: Unix seconds.

    Attributes:
        registry: Where they are collected.
    """

    def __init__(
        self, channels: Mapping[str, ChannelFacts], now: Callable[[], float] = time.time
    ) -> None:
        self._channels = channels
        self._now = now
        self.registry = CollectorRegistry()
        self._scrapes_refused = 0
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(self)

    def scrape_refused(self) -> None:
        """Counts a connection to the port of the metrics that was refused or cut."""
        self._scrapes_refused += 1

    def collect(self) -> Iterator[Metric]:
        """What is measured at a scrape, as the library asks for it."""
        messages = specs.NOTIFY_MESSAGES
        counted = CounterMetricFamily(messages.name, messages.help, labels=messages.labels)
        for name, facts in self._channels.items():
            counted.add_metric((name, "sent"), facts.sent)
            counted.add_metric((name, "failed"), facts.failed)
        yield counted
        for spec, value_of in self._values():
            kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            family = kind(spec.name, spec.help, labels=spec.labels)
            for name, facts in self._channels.items():
                family.add_metric((name,), value_of(facts))
            yield family
        refused = specs.NOTIFY_SCRAPES_REFUSED
        yield CounterMetricFamily(refused.name, refused.help, self._scrapes_refused)
        build = specs.NOTIFY_BUILD_INFO
        info = GaugeMetricFamily(build.name, build.help, labels=build.labels)
        info.add_metric((version("drink-web"),), 1)
        yield info

    def _values(self) -> Sequence[tuple[specs.Spec, Callable[[ChannelFacts], float]]]:
        now_s = self._now()

        def age(facts: ChannelFacts) -> float:
            return 0 if facts.oldest_s is None else max(0, now_s - facts.oldest_s)

        return (
            (specs.NOTIFY_TOLD, lambda facts: facts.told),
            (specs.NOTIFY_POSTPONED, lambda facts: facts.postponed),
            (specs.NOTIFY_FAILURES, lambda facts: facts.failures),
            (specs.NOTIFY_WAITING, lambda facts: facts.waiting),
            (specs.NOTIFY_OLDEST, age),
            (specs.NOTIFY_SUCCESS, lambda facts: facts.success_s),
        )
