"""What an emulated board is like, and what can go wrong with it."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from drink_agent.board.emulator.schedule import Cut


class Dialect(StrEnum):
    """Whose bytes the board speaks."""

    FIRMWARE = "firmware"
    """Those of the real board."""
    RUBY = "ruby"
    """Those of the Ruby simulator."""


class Fault(StrEnum):
    """What can go wrong with one motor command."""

    REFUSE = "refuse"
    """Refused at once, no motion."""
    FOUND_EMPTY = "found_empty"
    """The slot is found empty only now: its sensor turns empty, and the refusal comes `seconds`
    later. The slot reads empty until it is filled again."""
    FOUND_EMPTY_SILENT = "found_empty_silent"
    """The same, and the refusal is lost."""
    JAM = "jam"
    """The motor runs and is acknowledged, no can falls."""
    SLOW = "slow"
    """The motor runs for `seconds` longer."""
    LATE = "late"
    """The motor runs as usual, its acknowledgement comes `seconds` late."""
    SILENT = "silent"
    """The motor runs, a can falls, nothing is said about it."""
    REFUSE_AFTER = "refuse_after"
    """The motor runs, a can falls, and the board says that it refused."""
    DUPLICATE = "duplicate"
    """The acknowledgement comes twice, the second time after `seconds`."""
    GARBAGE = "garbage"
    """Junk comes around the acknowledgement."""
    DISCONNECT = "disconnect"
    """The connection breaks while the motor runs; the can falls. It is back after `seconds`."""
    POWER = "power"
    """The power fails as the can falls. It is back after `seconds`."""
    POWER_BEFORE = "power_before"
    """The power fails after the motor's start, before the can falls. It is back after `seconds`."""


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault that waits for its command."""

    fault: Fault | None
    """What will go wrong; None for nothing."""
    seconds: float = 0.0
    """For how long, where that has a meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSpec:
    """One emulated board."""

    name: str = "board"
    """What the control socket calls it."""
    cans: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, 6), 10))
    """Cans by slot number. Default ten in each of five."""
    items: dict[int, str] = field(default_factory=dict)
    """What is in the slots, for people."""
    dialect: Dialect = Dialect.FIRMWARE
    """Whose bytes it speaks. Default the real board's."""
    cut: Cut = Cut.BYTES
    """How it writes. Default byte by byte, as the real board."""
    password: str = field(default="password", repr=False)
    """What it logs in with. Default the firmware's own example."""
    motor_s: float = 3.5
    """Seconds from a command to its acknowledgement. Default 3.5, measured on the firmware."""
    report_s: float = 60.0
    """Seconds between temperatures or keep-alives. Default 60, the firmware's."""
    temperature: float | None = 38.3
    """Fahrenheit; None for a board without a thermometer. Default a cold machine's."""
    refuse_rate: float = 0.0
    """Share of commands refused by chance. Default none; the Ruby simulator refuses 0.2."""
    responsive_s: float = 30.0
    """Seconds until it turns deaf, if `deaf_s` is set. Default the Ruby simulator's."""
    deaf_s: float = 0.0
    """Seconds that it then stays deaf: reads and discards. Default never; the Ruby simulator is
    deaf for 10."""
    seed: int = 0
    """For all that happens by chance. Default 0: the same each time."""
    state_file: Path | None = None
    """Where its counts survive a restart of the emulator. Default nowhere."""
