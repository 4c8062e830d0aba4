"""Kiosks: screens beside machines, at which people log in with a card.

Times are milliseconds since the epoch, UTC.
"""

from dataclasses import dataclass
from enum import StrEnum

KIOSKS_MAX = 100
"""Most kiosks at a time: some for each machine of a large house; all of them fit on one page."""

PAIRING_CODE_DIGITS = 8
"""Digits of a pairing code: quick to type on a screen. Guesses are limited as at a login."""


class KioskState(StrEnum):
    """How far a kiosk is; drink.v1.Kiosk.State documents each value."""

    PAIRING = "PAIRING"
    PAIRED = "PAIRED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A screen beside a machine.

    Attributes:
        machine: Name of the machine at which it sells.
        name: What operators call it; None if it has no name.
        created_ms: When its pairing code was made.
        code_expires_ms: When its pairing code is refused.
        paired_ms: When it got its token; None before.
        ended_ms: When it was ended; None before.
        sequence: Order of creation, counted by the database; 0 before it is stored.
    """

    machine: str
    name: str | None
    created_ms: int
    code_expires_ms: int
    paired_ms: int | None = None
    ended_ms: int | None = None
    sequence: int = 0

    def state(self, now_ms: int) -> KioskState:
        """How far it is at that time."""
        if self.ended_ms is not None:
            return KioskState.ENDED
        if self.paired_ms is not None:
            return KioskState.PAIRED
        return KioskState.PAIRING if now_ms < self.code_expires_ms else KioskState.ENDED

    @property
    def label(self) -> str:
        """What people call it: its name, or its number."""
        return self.name or f"kiosk {self.sequence}"


def kiosk_subject(sequence: int) -> str:
    """A kiosk, as the subject of alarms and events."""
    return f"kiosks/{sequence}"
