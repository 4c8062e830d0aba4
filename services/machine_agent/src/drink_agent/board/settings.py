"""The settings of a board: address, type, password and time limits."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from drink_agent.board.drivers import DRIVERS
from drink_agent.board.streams import parse_peers, parse_url
from drink_agent.domain.evidence import SLOT_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """One machine's board.

    Raises:
        ValueError: The URL or a value is invalid, or a board that dials in has no password. The
            message begins with the name of the setting.
    """

    url: str
    """Address of the board; required. `serial:///dev/serial/by-id/...?baudrate=9600`,
    `listen://0.0.0.0:4343` (the board dials in), `tcp://host:port`, `rfc2217://host:port`."""
    dialect: str = "tini"
    """Type of the board. Default "tini", the board of every machine since 2005."""
    password: str = field(default="", repr=False)
    """Password with which the board must log in. Default none: any login is accepted over a
    connection that the agent opens; `listen:` requires a password."""
    allowed_peers: tuple[str, ...] = ()
    """IP addresses and networks that may dial in. Default none, which allows every address; the
    password is checked as well."""
    response_limit_s: float = 10.0
    """Seconds from a motor command to its answer. Default 10: the firmware needs 3.5 s, and a
    buyer does not wait for longer. A tini board that owes an answer gets no other command for the
    same time again, even if it seems idle."""
    silence_limit_s: float = 180.0
    """Seconds without a line from the board, or without an answer to status requests, until the
    board counts as lost. Default 180: three of the firmware's keep-alives."""
    probe_interval_s: float = 5.0
    """Seconds until a status request without an answer is repeated, doubled each time up to 60.
    Default 5: longer than a drop, so that a busy board is asked once or twice."""
    login_limit_s: float = 10.0
    """Seconds from a board's connection to its login. Default 10: the firmware logs in at once."""
    temperature_unit: Literal["fahrenheit", "celsius"] = "fahrenheit"
    """Unit of the board's thermometer. Default "fahrenheit", the firmware's unit."""
    identity_file: Path | None = None
    """File with the identity of the machine's board: its USB adapter (type, serial number, socket)
    and a digest of its login. Another board is refused until `accept-board`. Default none: beside
    the journal, with `.board` added to the journal's name."""
    max_slot: int = SLOT_MAX
    """Highest slot number. Default 99, the highest of agent and frontend: the firmware's
    configuration file has two digits. A status of a slot above it is ignored and logged. For a
    coke1994 board this is required, 1 to 8: it reports all slots in one byte."""
    max_line_bytes: int = 1024
    """Longest line in bytes that is decoded; the rest is discarded. Default 1024: a full status of
    99 slots takes 600."""
    sent_means_dispensed: bool = False
    """coke1994 only: whether a drop counts as dispensed if the board still answers after the
    command. Default false: such a drop is unknown, unless its sensor proves it."""
    sensor_independent: bool = False
    """coke1994 only: whether a slot's sensor reads empty only if an item has left the slot. Then a
    sensor that turns empty after a command, on a board that still answers, proves the drop. Default
    false: the reading is kept as evidence, and the drop is unknown. The sensors of a tini board
    prove nothing, because it reports a slot that it finds empty before it refuses."""
    motor_s: float = 3.5
    """coke1994 only: seconds from the command until the slot's sensor has settled. Default 3.5,
    the time measured on the tini board's motors."""

    def __post_init__(self) -> None:
        parse_url(self.url)
        try:
            parse_peers(self.allowed_peers)
        except ValueError as error:
            raise ValueError(f"allowed_peers: {error}") from None
        for name in ("response_limit_s", "silence_limit_s", "probe_interval_s", "login_limit_s"):
            self._check(name, 0 < getattr(self, name) <= 3600, "above 0 and at most 3600 seconds")
        self._check("motor_s", 0 <= self.motor_s <= 60, "0 to 60 seconds")
        self._check("max_slot", 1 <= self.max_slot <= SLOT_MAX, f"1 to {SLOT_MAX}")
        self._check("max_line_bytes", 64 <= self.max_line_bytes <= 65536, "64 to 65536")
        self._check("dialect", self.dialect in DRIVERS, f"one of {', '.join(DRIVERS)}")
        units = ("fahrenheit", "celsius")
        self._check("temperature_unit", self.temperature_unit in units, "fahrenheit or celsius")
        if not self.password.isascii() or self.password != self.password.strip():
            raise ValueError("password_file: must hold ASCII without blanks around it")
        if self.dials_in and not self.password:
            raise ValueError("password_file: required for a board that dials in (listen://)")
        DRIVERS[self.dialect].check(self)

    def _check(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {wanted}, not {getattr(self, name)!r}")

    @property
    def dials_in(self) -> bool:
        """Whether the board opens the connection, and so must log in first."""
        return parse_url(self.url).scheme == "listen"
