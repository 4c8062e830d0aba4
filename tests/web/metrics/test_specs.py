"""The names and labels of all metrics, by the conventions of Prometheus."""

import re

from drink_web.metrics.specs import NOTIFY_SECTIONS, SECTIONS, Spec

ALL = [spec for _, section in (*SECTIONS, *NOTIFY_SECTIONS) for spec in section]

BOUNDED = {"channel", "method", "result", "route", "status", "version"}
"""Labels whose values the code bounds."""


def test_each_metric_is_named_once_and_for_this_product() -> None:
    names = [spec.name for spec in ALL]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"drink_(web|notify)(_[a-z]+)+", name) for name in names)


def test_names_end_with_their_unit_or_total() -> None:
    def is_right(spec: Spec) -> bool:
        return spec.name.endswith("_total") == (spec.kind == "counter")

    assert [spec.name for spec in ALL if not is_right(spec)] == []
    wrong = re.compile(r"_(ms|millis|milliseconds|minutes|kb|mb|percent|fahrenheit|count|sum)$")
    assert [spec.name for spec in ALL if wrong.search(spec.name)] == []


def test_every_label_is_bounded() -> None:
    assert {label for spec in ALL for label in spec.labels} == BOUNDED


def test_each_metric_says_what_it_is_in_one_line() -> None:
    assert all(spec.help.endswith(".") and "\n" not in spec.help for spec in ALL)


def test_histograms_have_ascending_limits() -> None:
    histograms = [spec for spec in ALL if spec.kind == "histogram"]
    assert histograms
    assert all(list(spec.buckets) == sorted(set(spec.buckets)) for spec in histograms)
    assert all(not spec.buckets for spec in ALL if spec.kind != "histogram")
