"""Metrics as docs/metrics.md names them, and as a port exposes them."""

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).resolve().parents[2] / "docs/metrics.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*) \|")
LIMIT_S = 30


@dataclass(frozen=True)
class Metric:
    """What is said of a metric.

    Attributes:
        kind: Its type, such as `counter`.
        labels: The names of its labels; None if it has no series now.
        help: Its help.
    """

    kind: str
    labels: frozenset[str] | None
    help: str


def documented(part: str) -> Mapping[str, Metric]:
    """The metrics of a part of the page, such as `Frontend`, by name."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"\n## {part}\n")
    text, _, _ = rest.partition("\n## ")
    return {
        name: Metric(kind, frozenset(re.findall(r"`(\w+)`", labels)), said)
        for name, kind, labels, said in ROW.findall(text)
    }


def exposed(port: int) -> Mapping[str, Metric]:
    """What a loopback port exposes, by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        # The parser takes the end of a counter's name away.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {frozenset(each.labels) - {"le"} for each in family.samples}
        assert len(labels) <= 1, f"series of {name} differ in their labels: {labels}"
        found[name] = Metric(family.type, next(iter(labels), None), family.documentation)
    return found
