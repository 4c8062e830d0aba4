"""Where the journal is and how large it may grow."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """The journal's file and limits."""

    path: Path = Path("/var/lib/drink-machine-agent/journal")
    """Default /var/lib/drink-machine-agent/journal. A file of this agent alone, on a disk that
    keeps what it has synced; beside it lie `.lock` and, for moments, `.new`."""
    compact_bytes: int = 4 * 1024 * 1024
    """Default 4 MiB. A file that is larger, and twice as large as compaction left it, is
    compacted when no drop is on its way; about 4000 drops, rewritten in 0.2 s."""
    evidence_drops: int = 200
    """Default 200 drops. Acknowledged drops that keep their evidence through a compaction, for
    whoever stands at the machine; the frontend has it for all."""
    min_free_bytes: int = 1024 * 1024
    """Default 1 MiB. With less free space on the disk the board is reported as not ready, so
    that no drop is sent whose result could not be written; a drop needs at most 10 KiB."""

    def __post_init__(self) -> None:
        for name in ("compact_bytes", "evidence_drops", "min_free_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
