"""The log of injected faults: the only reasons for which a drop may become UNKNOWN."""

from dataclasses import dataclass

EVERYWHERE = "*"
"""The place of a fault that can affect every machine: the frontend's own."""

EXPLAINS: dict[str, tuple[str, ...]] = {
    "BOARD_SILENT": ("board.", "wire.", "agent.freeze"),
    "BOARD_LOST": ("board.", "wire.", "agent."),
    "AGENT_RESTARTED": ("agent.", "journal."),
    "JOURNAL_REPLACED": ("journal.",),
    "AGENT_LOST": ("agent.", "network.", "frontend.", "database.", "disk.", "journal."),
}
"""Kinds of faults, by how they begin, that can lead to a cause."""

HARMLESS = ("board.duplicate", "board.garbage", "board.jam", "board.refuse", "board.refuse_after")
"""Faults of a board after which it still answers in time."""

FOREVER = ("journal.",)
"""Faults that explain everything after them."""


@dataclass(frozen=True)
class _Entry:
    kind: str
    machine: str
    begins: float
    ends: float


class FaultLog:
    """Every fault with its place and time."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, kind: str, machine: str, now: float, lasts_s: float = 0.0) -> None:
        """Adds a fault that begins now and may have effects for `lasts_s` seconds."""
        ends = float("inf") if kind.startswith(FOREVER) else now + lasts_s
        self._entries.append(_Entry(kind, machine, now, ends))

    def explains(self, cause: str, machine: str, since: float, until: float) -> bool:
        """Whether a fault that can lead to the cause happened to a machine in that time."""
        kinds = EXPLAINS.get(cause, ())
        return any(
            trouble.kind.startswith(kinds)
            and trouble.kind not in HARMLESS
            and trouble.machine in (machine, EVERYWHERE)
            and trouble.begins <= until
            and trouble.ends >= since
            for trouble in self._entries
        )
