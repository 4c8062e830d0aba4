"""What the table of temperatures must refuse, by the name of the constraint."""

from collections.abc import Mapping


def _insert(
    *, machine: str = "d", span_ms: int = 300_000, low: float = 4, known_ms: int = 1
) -> str:
    return (
        f"INSERT INTO temperatures VALUES ('{machine}', {span_ms}, 300000, {low}, 4, 4, {known_ms})"
    )


TEMPERATURES: Mapping[str, str | tuple[str, str]] = {
    "temperatures_key": (_insert(), _insert()),
    "temperatures_machine_exists": _insert(machine="nowhere"),
    "temperatures_span": _insert(span_ms=300_001),
    "temperatures_known": _insert(known_ms=0),
    "temperatures_order": _insert(low=5),
}
"""Statements, of which the last one of each is to be refused."""
