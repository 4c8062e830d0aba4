"""Plain counters and histograms against the library's own."""

import threading
from random import Random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from drink_frontend.metrics.counts import Counts, Histograms
from drink_frontend.metrics.specs import SECONDS, Spec

COUNTER = Spec("things_total", "Things.", ("kind", "place"), "counter")
HISTOGRAM = Spec("things_seconds", "Times of things.", ("kind",), "histogram", SECONDS)


def text(registry: CollectorRegistry) -> list[str]:
    """What a scrape shows, without the times at which the library's own counters were made."""
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)


def test_counters_look_as_the_librarys() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts(COUNTER)
    ours.register(counts)
    counter = Counter(COUNTER.name, COUNTER.help, COUNTER.labels, registry=theirs)
    assert text(ours) == text(theirs)
    for labels, number in ((("a", "x"), 3), (("b", 'quo"te\n'), 1), (("c", "x"), 0)):
        counts.values[labels] += number
        counter.labels(*labels).inc(number)
    assert text(ours) == text(theirs)


def test_histograms_look_as_the_librarys() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histograms = Histograms(HISTOGRAM)
    ours.register(histograms)
    histogram = Histogram(
        HISTOGRAM.name, HISTOGRAM.help, HISTOGRAM.labels, registry=theirs, buckets=SECONDS
    )
    assert text(ours) == text(theirs)
    seed = 20_261_130
    values = [*SECONDS, 0, 30.0000001, 1e9, *(Random(seed).expovariate(3) for _ in range(500))]
    part, other = histograms.part("a"), histogram.labels("a")
    histograms.part("none")
    histogram.labels("none")
    for value in values:
        part.observe(value)
        other.observe(value)
    assert text(ours) == text(theirs), f"seed {seed}"


def test_the_parts_of_a_histogram_are_counted_each_by_its_thread() -> None:
    histograms = Histograms(HISTOGRAM)
    registry = CollectorRegistry()
    registry.register(histograms)
    each, number = 20_000, 4
    parts = [histograms.part("read") for _ in range(number)]

    def count(index: int) -> None:
        for _ in range(each):
            parts[index].observe(0.5)

    threads = [threading.Thread(target=count, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen = registry.get_sample_value("things_seconds_count", {"kind": "read"})
        assert seen is not None
        assert seen <= each * number
    for thread in threads:
        thread.join()
    labels = {"kind": "read"}
    assert registry.get_sample_value("things_seconds_count", labels) == each * number
    total = registry.get_sample_value("things_seconds_sum", labels)
    assert total == pytest.approx(each * number / 2)
