"""A bench for board drivers: a clock that moves when told, and everything the driver wants done."""

from collections.abc import Sequence

from drink_agent.board.driver import State, TiniDriver
from drink_agent.board.port import (
    CloseStream,
    DispenseEnded,
    Driver,
    Effect,
    LateEvidence,
    Note,
    StatusChanged,
    Write,
)
from drink_agent.board.probe import QUIET_S
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Outcome

WIRE = BoardSettings(url="serial:///dev/ttyUSB0", password="password")
"""A board on a wire of our own."""

DIAL_IN = BoardSettings(url="listen://127.0.0.1:4343", password="password")
"""A board that dials in."""

FULL = b"71 1`2 1`3 0\n"
"""A status of three slots, the last one empty."""


class DriverBench:
    """Drives a driver by hand and keeps what it does.

    Attributes:
        now: Monotonic seconds.
        written: All bytes for the board.
        effects: All effects, in order.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.now = 1_000.0
        self.written = b""
        self.effects: list[Effect] = []

    def connect(self) -> None:
        self._take(self.driver.connected(self.now))

    def lose(self, *, unsent: bool = False) -> None:
        self._take(self.driver.disconnected(self.now, unsent=unsent))

    def hear(self, data: bytes) -> None:
        self._take(self.driver.receive(data, self.now))

    def dispense(self, drop_id: str, slot: int) -> None:
        self._take(self.driver.dispense(drop_id, slot, self.now))

    def pass_s(self, seconds: float) -> None:
        """Lets time pass, with a tick at each deadline as the shell does it."""
        until = self.now + seconds
        while (deadline := self.driver.next_deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self._take(self.driver.tick(self.now))
        self.now = until

    def show_idle(self, status: bytes = FULL) -> None:
        """Answers each question until the driver takes the board for idle, a few times at most."""
        for _ in range(5):
            self.hear(status)
            if state_of(self) in (State.READY, State.DISPENSING):
                return
            self.pass_s(QUIET_S)

    def clear(self) -> None:
        """Forgets what was done so far."""
        self.written = b""
        self.effects.clear()

    @property
    def ended(self) -> list[DispenseEnded]:
        return [effect for effect in self.effects if isinstance(effect, DispenseEnded)]

    @property
    def late(self) -> list[LateEvidence]:
        return [effect for effect in self.effects if isinstance(effect, LateEvidence)]

    @property
    def settled(self) -> list[LateEvidence]:
        """Late evidence that proves something."""
        return [late for late in self.late if late.outcome is not Outcome.UNKNOWN]

    @property
    def statuses(self) -> list[StatusChanged]:
        return [effect for effect in self.effects if isinstance(effect, StatusChanged)]

    @property
    def notes(self) -> list[str]:
        return [effect.text for effect in self.effects if isinstance(effect, Note)]

    @property
    def closed(self) -> bool:
        return any(isinstance(effect, CloseStream) for effect in self.effects)

    def _take(self, effects: Sequence[Effect]) -> None:
        self.effects.extend(effects)
        for effect in effects:
            if isinstance(effect, Write):
                self.written += effect.data


def tini_bench(settings: BoardSettings = WIRE) -> DriverBench:
    return DriverBench(TiniDriver(settings))


def ready_bench(settings: BoardSettings = WIRE, status: bytes = FULL) -> DriverBench:
    board = tini_bench(settings)
    board.connect()
    if settings.dials_in:
        board.hear(b"0password\n")
    board.show_idle(status)
    assert state_of(board) is State.READY
    board.clear()
    return board


def state_of(board: DriverBench) -> State:
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
