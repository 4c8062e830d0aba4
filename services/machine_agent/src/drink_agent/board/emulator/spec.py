"""The properties of an emulated board, and the faults of its motor commands."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from drink_agent.board.emulator.schedule import Cut


class Dialect(StrEnum):
    """Which implementation the board imitates."""

    FIRMWARE = "firmware"
    """The real board's firmware."""
    RUBY = "ruby"
    """The Ruby simulator."""


class Fault(StrEnum):
    """The faults of one motor command."""

    REFUSE = "refuse"
    """The board refuses at once; the motor does not run."""
    FOUND_EMPTY = "found_empty"
    """The board finds the slot empty: the sensor turns empty, and the refusal comes `seconds`
    later. The slot reads empty until it is refilled."""
    FOUND_EMPTY_SILENT = "found_empty_silent"
    """The same, but the refusal is lost."""
    JAM = "jam"
    """The motor runs and is acknowledged, but no can falls."""
    SLOW = "slow"
    """The motor runs for `seconds` longer."""
    LATE = "late"
    """The motor runs as usual; its acknowledgement comes `seconds` later."""
    SILENT = "silent"
    """The motor runs and a can falls; the board does not answer."""
    REFUSE_AFTER = "refuse_after"
    """The motor runs and a can falls; the board reports that it refused."""
    DUPLICATE = "duplicate"
    """The acknowledgement comes twice, the second time after `seconds`."""
    GARBAGE = "garbage"
    """The acknowledgement comes between invalid bytes."""
    DISCONNECT = "disconnect"
    """The connection is lost while the motor runs, for `seconds`; the can falls."""
    POWER = "power"
    """The power fails when the can falls, for `seconds`."""
    POWER_BEFORE = "power_before"
    """The power fails after the motor has started and before the can falls, for `seconds`."""


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault of the next command."""

    fault: Fault | None
    """The fault; None for none."""
    seconds: float = 0.0
    """Duration or delay of the fault, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSpec:
    """The properties of one emulated board."""

    name: str = "board"
    """Name on the control socket."""
    cans: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, 6), 10))
    """Cans by slot number. Default ten in each of five."""
    items: dict[int, str] = field(default_factory=dict)
    """Names of the items by slot number, for a person."""
    dialect: Dialect = Dialect.FIRMWARE
    """Which implementation it imitates. Default the firmware."""
    cut: Cut = Cut.BYTES
    """How its output is cut. Default byte by byte, like the firmware."""
    password: str = field(default="password", repr=False)
    """Its password. Default the example in the firmware."""
    motor_s: float = 3.5
    """Seconds from a command to its acknowledgement. Default 3.5, measured on the firmware."""
    report_s: float = 60.0
    """Seconds between temperatures or keep-alives. Default 60, like the firmware."""
    temperature: float | None = 38.3
    """Temperature in Fahrenheit; None for a board without a thermometer. Default 38.3."""
    refuse_rate: float = 0.0
    """Part of the commands that is refused at random. Default 0; the Ruby simulator refuses 0.2."""
    responsive_s: float = 30.0
    """Seconds until it stops reading, if `deaf_s` is set. Default 30, like the Ruby simulator."""
    deaf_s: float = 0.0
    """Seconds for which it then discards its input. Default 0; the Ruby simulator: 10."""
    seed: int = 0
    """Seed of all random choices. Default 0: the same choices each time."""
    state_file: Path | None = None
    """File that keeps its counts over a restart of the emulator. Default none."""
