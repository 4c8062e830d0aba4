"""The parts of the page and the notifier in docs/metrics.md, from the lists of their metrics."""

from collections.abc import Iterator, Sequence

from drink_web.metrics.specs import NOTIFY_SECTIONS, SECTIONS, Spec

Sections = Sequence[tuple[str, Sequence[Spec]]]


def reference() -> str:
    """Every metric of the page with its type, labels and meaning, as Markdown."""
    return "\n".join(_lines(SECTIONS)) + "\n"


def notify_reference() -> str:
    """Every metric of the notifier, likewise."""
    return "\n".join(_lines(NOTIFY_SECTIONS)) + "\n"


def _lines(sections: Sections) -> Iterator[str]:
    for title, specs in sections:
        yield from (f"### {title}", "", "| metric | type | labels | meaning |")
        yield "| --- | --- | --- | --- |"
        for spec in specs:
            labels = " ".join(f"`{label}`" for label in spec.labels)
            yield f"| `{spec.name}` | {spec.kind} | {labels} | {spec.help} |"
        yield ""
