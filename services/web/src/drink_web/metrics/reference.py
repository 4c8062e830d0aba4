"""The page's part of docs/metrics.md, from the list of its metrics."""

from collections.abc import Iterator

from drink_web.metrics.specs import SECTIONS


def reference() -> str:
    """Every metric with its type, labels and meaning, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for title, specs in SECTIONS:
        yield from (f"### {title}", "", "| metric | type | labels | meaning |")
        yield "| --- | --- | --- | --- |"
        for spec in specs:
            labels = " ".join(f"`{label}`" for label in spec.labels)
            yield f"| `{spec.name}` | {spec.kind} | {labels} | {spec.help} |"
        yield ""
