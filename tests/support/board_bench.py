"""A bench for board drivers: a clock that the test moves, and a record of the driver's output."""

from dataclasses import dataclass

from drink_agent.board.drivers import DRIVERS
from drink_agent.board.drivers.driver import Driver
from drink_agent.board.drivers.idle_probe import QUIET_S
from drink_agent.board.drivers.tini import TiniDriver, TiniState
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.events import BoardEvent, BoardLateEvidence, BoardOutcome, BoardStatus
from drink_agent.domain.evidence import Outcome

WIRE = BoardSettings(url="serial:///dev/ttyUSB0", password="password")
"""A board that the agent connects to."""

DIAL_IN = BoardSettings(url="listen://127.0.0.1:4343", password="password")
"""A board that dials in."""

FULL = b"71 1`2 1`3 0\n"
"""A status of three slots, the last one empty."""


@dataclass(frozen=True)
class CloseStream:
    """The driver closed the stream."""

    reason: str


class DriverBench:
    """Drives a driver by hand and records its output; implements `DriverIO`.

    Attributes:
        driver: The driver of the settings' dialect.
        now: Monotonic seconds.
        written: All bytes for the board.
        effects: All events, changed statuses and closed streams, in order.
        notes: All notes for the log.
        logins: What the board logged in with.
    """

    def __init__(self, settings: BoardSettings) -> None:
        self.now = 1_000.0
        self.written = b""
        self.effects: list[BoardEvent | CloseStream] = []
        self.notes: list[str] = []
        self.logins: list[bytes] = []
        self.driver: Driver = DRIVERS[settings.dialect](settings, self)
        self._status = self.driver.status

    # --- output of the driver ---

    def write(self, data: bytes) -> None:
        self.written += data

    def close_stream(self, reason: str) -> None:
        self.effects.append(CloseStream(reason))

    def log(self, note: str) -> None:
        self.notes.append(note)

    def check_login(self, login: bytes) -> None:
        self.logins.append(login)

    # --- input of the driver ---

    def connect(self) -> None:
        self.driver.connected(self.now)
        self._record_output()

    def lose(self, *, unsent: bool = False) -> None:
        self.driver.disconnected(self.now, unsent=unsent)
        self._record_output()

    def receive(self, data: bytes) -> None:
        self.driver.receive(data, self.now)
        self._record_output()

    def dispense(self, drop: str, slot: int) -> None:
        self.driver.dispense(drop, slot, self.now)
        self._record_output()

    def pass_s(self, seconds: float) -> None:
        """Lets time pass, with a tick at each deadline as in `Board`."""
        until = self.now + seconds
        while (deadline := self.driver.next_deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.driver.tick(self.now)
            self._record_output()
        self.now = until

    def show_idle(self, status: bytes = FULL) -> None:
        """Answers status requests until the driver considers the board idle, five at most."""
        for _ in range(5):
            self.receive(status)
            if state_of(self) in (TiniState.READY, TiniState.DISPENSING):
                return
            self.pass_s(QUIET_S)

    def clear(self) -> None:
        """Clears the record of the output."""
        self.written = b""
        self.effects.clear()
        self.notes.clear()

    @property
    def ended(self) -> list[BoardOutcome]:
        return [effect for effect in self.effects if isinstance(effect, BoardOutcome)]

    @property
    def late(self) -> list[BoardLateEvidence]:
        return [effect for effect in self.effects if isinstance(effect, BoardLateEvidence)]

    @property
    def settled(self) -> list[BoardLateEvidence]:
        """Late evidence that proves something."""
        return [late for late in self.late if late.outcome is not Outcome.UNKNOWN]

    @property
    def statuses(self) -> list[BoardStatus]:
        return [effect for effect in self.effects if isinstance(effect, BoardStatus)]

    @property
    def closed(self) -> bool:
        return any(isinstance(effect, CloseStream) for effect in self.effects)

    def _record_output(self) -> None:
        self.effects += self.driver.events
        self.driver.events.clear()
        if self.driver.status != self._status:
            self._status = self.driver.status
            self.effects.append(self._status)


def tini_bench(settings: BoardSettings = WIRE) -> DriverBench:
    return DriverBench(settings)


def ready_bench(settings: BoardSettings = WIRE, status: bytes = FULL) -> DriverBench:
    board = tini_bench(settings)
    board.connect()
    if settings.dials_in:
        board.receive(b"0password\n")
    board.show_idle(status)
    assert state_of(board) is TiniState.READY
    board.clear()
    return board


def state_of(board: DriverBench) -> TiniState:
    assert isinstance(board.driver, TiniDriver)
    return board.driver.state


def dispensing_bench(slot: int = 1, status: bytes = FULL) -> DriverBench:
    board = ready_bench(status=status)
    board.dispense("d1", slot)
    return board


def desynced_bench(slot: int = 1, status: bytes = FULL) -> DriverBench:
    board = dispensing_bench(slot, status)
    board.pass_s(WIRE.response_limit_s)
    board.clear()
    return board
