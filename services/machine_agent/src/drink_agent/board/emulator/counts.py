"""The emulated machine's own counts of cans and motor runs."""

import json
import time
from pathlib import Path
from typing import Any, Final

_MAX_RUNS: Final = 1000
"""Motor runs that are listed; further ones are only counted."""


class Counts:
    """Counts that only the emulated motor and refills change.

    Args:
        cans: Cans by slot number.
        state_file: File that keeps the counts; if it exists, its counts replace `cans`.

    Raises:
        OSError: The state file cannot be read.
        ValueError: The state file holds no counts.
    """

    def __init__(self, cans: dict[int, int], state_file: Path | None = None) -> None:
        self.cans = dict(cans)
        """Remaining cans by slot number."""
        self.dispensed: dict[int, int] = {}
        """Cans that have fallen, by slot number."""
        self.motor_runs = 0
        """Number of motor starts."""
        self.runs: list[dict[str, Any]] = []
        """The last motor starts: `time` in seconds since 1970, and `slot`."""
        self._state_file = state_file
        if state_file is not None and state_file.exists():
            try:
                self._load(json.loads(state_file.read_text()))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{state_file} holds no counts: {error!r}") from error

    def motor_started(self, slot: int) -> None:
        """Counts a motor start."""
        self.motor_runs += 1
        self.runs.append({"time": round(time.time(), 3), "slot": slot})
        del self.runs[:-_MAX_RUNS]
        self._save()

    def can_fell(self, slot: int) -> None:
        """Counts a can that has fallen."""
        assert self.cans[slot] > 0, f"slot {slot} is empty"
        self.cans[slot] -= 1
        self.dispensed[slot] = self.dispensed.get(slot, 0) + 1
        self._save()

    def refill(self, slot: int, cans: int) -> None:
        """Sets the number of cans in a slot."""
        self.cans[slot] = cans
        self._save()

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts in a JSON-able form."""
        return {
            "cans": {str(slot): cans for slot, cans in sorted(self.cans.items())},
            "dispensed": {str(slot): cans for slot, cans in sorted(self.dispensed.items())},
            "motor_runs": self.motor_runs,
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.cans = {int(slot): int(cans) for slot, cans in state["cans"].items()}
        self.dispensed = {int(slot): int(cans) for slot, cans in state["dispensed"].items()}
        self.motor_runs = int(state["motor_runs"])
        self.runs = list(state["runs"])

    def _save(self) -> None:
        if self._state_file is not None:
            new = self._state_file.with_suffix(".new")
            new.write_text(json.dumps({**self.to_dict(), "runs": self.runs}))
            new.replace(self._state_file)
