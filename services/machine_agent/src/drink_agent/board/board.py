"""One machine's board on the event loop: connects its driver to its byte stream."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from drink_agent.backoff import Backoff
from drink_agent.board.drivers import DRIVERS
from drink_agent.board.identity import AnotherBoardError, Identity, IdentityStore
from drink_agent.board.serial_stream import SerialSource
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import (
    ByteStream,
    StreamError,
    StreamLostError,
    StreamSource,
    parse_url,
)
from drink_agent.board.tcp_stream import DialSource, ListenSource
from drink_agent.domain.events import (
    BoardEvent,
    BoardOutcome,
    BoardStatus,
    Recall,
)
from drink_agent.domain.evidence import Outcome

BACKOFF_FIRST_S: Final = 0.5
"""Longest wait in seconds before the second attempt to open a stream. A plug that was only moved is
back by then."""

BACKOFF_LIMIT_S: Final = 30.0
"""Longest wait in seconds between two attempts to open a stream: the firmware's own."""

HEALTHY_AFTER_S: Final = 60.0
"""Seconds that a stream must last to reset the back-off."""

_log: Final = logging.getLogger(__name__)


def make_source(settings: BoardSettings, identities: IdentityStore | None = None) -> StreamSource:
    """Returns the source of streams for a board's URL.

    Args:
        settings: The board's settings.
        identities: Recognises the machine's own board; None accepts any board.
    """
    url = parse_url(settings.url)
    match url.scheme:
        case "serial" | "rfc2217":
            return SerialSource(url, identities.check if identities else None)
        case "tcp":
            return DialSource(url)
        case "listen":
            return ListenSource(url, settings)


class Board:
    """One machine's board; also the `DriverIO` of its driver.

    `run` must be running for anything to happen. Events are reported on the event loop and in
    order, also from within a call of `dispense`.

    Args:
        settings: The board's settings.
        on_event: Takes the board's events; must not call the board.
        clock: Returns monotonic seconds.
        source: Opens the streams; None for the source of the board's URL.
        identities: Recognises the machine's own board; None accepts any board.
        rng: Draws the waits between attempts to open a stream.
    """

    def __init__(
        self,
        settings: BoardSettings,
        on_event: Callable[[BoardEvent], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        source: StreamSource | None = None,
        identities: IdentityStore | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._identities = identities
        self._keeping: asyncio.Future[Identity | None] | None = None
        self.connects = 0
        """Number of attempts to open a stream."""
        self.source = source or make_source(settings, identities)
        """Opens the streams."""
        self._driver = DRIVERS[settings.dialect](settings, self)
        self._status = self._driver.status
        self._on_event = on_event
        self._clock = clock
        random_source = rng or random.SystemRandom()
        self._backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_LIMIT_S, random_source.random)
        self._stream: ByteStream | None = None
        self._failure: StreamLostError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status_changed = asyncio.Event()
        self._problem = "waiting for it to dial in" if settings.dials_in else "not opened yet"
        self._response_limit_s = settings.response_limit_s
        self._motor_done_at = clock()

    @property
    def status(self) -> BoardStatus:
        """The board's status now."""
        return self._status

    @property
    def ready(self) -> bool:
        """Whether the board answers, so that `dispense` can command it."""
        return self._status.ready

    @property
    def problem(self) -> str | None:
        """Why the board does not answer, for a person; None while it answers."""
        return None if self.ready else self._problem

    async def wait_ready(self, timeout_s: float) -> bool:
        """Waits until the board is `ready`; returns False if it is not within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ready:
                    self._status_changed.clear()
                    await self._status_changed.wait()
        except TimeoutError:
            return False
        return True

    def recall(self, recall: Recall) -> None:
        """Takes over the last command of an earlier run of the agent; to be called before `run`."""
        self._driver.recall(recall, self._clock())

    def dispense(self, drop: str, slot: int) -> None:
        """Commands a slot's motor at most once, and returns at once.

        Exactly one `BoardOutcome` is reported for it. If the board is not ready, that is
        BOARD_UNREACHABLE, and no byte is written. No other command may be outstanding.
        """
        now = self._clock()
        self._motor_done_at = now + self._response_limit_s
        self._driver.dispense(drop, slot, now)
        self._after_driver()

    async def run(self) -> None:
        """Keeps the board connected until cancelled; recovers from every fault of its stream.

        A command that is outstanding at the cancellation ends UNKNOWN.
        """
        while True:
            await self._connect()

    async def close(self) -> None:
        """Stops listening for a board that dials in; `run` must have ended."""
        assert self._stream is None, "still running"
        await self.source.close()

    async def _connect(self) -> None:
        """Opens a stream, serves it until it ends, and waits before the next attempt."""
        lasted_s = 0.0
        self.connects += 1
        try:
            if self._identities is not None:
                await asyncio.to_thread(self._identities.check_refusal)
            stream = await self.source.open()
        except AnotherBoardError as error:
            self._problem = str(error)
            _log.error("board_refused", extra={"reason": str(error)})
        except StreamError as error:
            self._problem = str(error)
            _log.warning("board_unreachable", extra={"reason": str(error), "errno": error.errno})
        else:
            opened_at = self._clock()
            await self._serve(stream)
            if self.source.passive:
                return
            lasted_s = self._clock() - opened_at
        if lasted_s >= HEALTHY_AFTER_S:
            self._backoff.reset()
        wait_s = self._backoff.next_s()
        await asyncio.sleep(max(wait_s, self._motor_done_at - self._clock()))

    async def _serve(self, stream: ByteStream) -> None:
        _log.info("board_connected", extra={"peer": stream.peer})
        self._stream = stream
        self._problem = f"connected to {stream.peer}, but it does not answer"
        unsent = False
        try:
            self._driver.connected(self._clock())
            self._after_driver()
            while True:
                data = await stream.read()
                self._driver.receive(data, self._clock())
                self._after_driver()
        except StreamLostError as lost:
            self._problem = f"connection lost: {lost}"
            _log.warning("board_lost", extra={"reason": str(lost)})
            unsent = lost.unsent
        finally:
            self._stream = None
            self._driver.disconnected(self._clock(), unsent=unsent)
            self._after_driver()
            await stream.close()

    # --- output of the driver (`DriverIO`) ---

    def write(self, data: bytes) -> None:
        """Writes bytes to the stream, unless a write has failed in this call of the driver."""
        assert self._stream is not None
        if self._failure is not None:
            return
        try:
            self._stream.write(data)
        except StreamLostError as lost:
            self._failure = lost
            self._stream.hang_up(str(lost))

    def close_stream(self, reason: str) -> None:
        """Closes the stream; `run` opens it again."""
        if self._stream is not None:
            self._stream.hang_up(reason)

    def log(self, note: str) -> None:
        """Logs a note of the driver."""
        _log.info("board_note", extra={"note": note})

    def check_login(self, login: bytes) -> None:
        """Ends the stream if the board logged in with something else than the machine's board."""
        assert self._stream is not None
        if self._identities is None:
            return
        try:
            self._identities.check_login(login)
        except (AnotherBoardError, OSError) as error:
            _log.error("board_refused", extra={"reason": str(error)})
            self._failure = self._failure or StreamLostError(str(error))
            self._stream.hang_up(str(error))

    # --- what follows each call of the driver ---

    def _after_driver(self) -> None:
        """Handles a failed write, reports events and the status, and sets the next timer.

        A failed write is handled only now, so that the driver's methods need not be reentrant.
        """
        if self._failure is not None:
            unsent, self._failure = self._failure.unsent, None
            self._driver.disconnected(self._clock(), unsent=unsent)
        events, self._driver.events = self._driver.events, []
        for event in events:
            if isinstance(event, BoardOutcome) and event.outcome is not Outcome.UNKNOWN:
                self._motor_done_at = self._clock()
            self._on_event(event)
        status, before = self._driver.status, self._status
        if status != before:
            self._status = status
            self._status_changed.set()
            if status.ready and not before.ready:
                self._remember()
            self._on_event(status)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._driver.next_deadline) is not None:
            delay_s = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._driver.tick(self._clock())
        self._after_driver()

    def _remember(self) -> None:
        """Saves the identity of the board that answers, on a thread."""
        if self._identities is None or self._keeping is not None:
            return
        self._keeping = asyncio.get_running_loop().run_in_executor(None, self._identities.remember)
        self._keeping.add_done_callback(self._on_kept)

    def _on_kept(self, keeping: "asyncio.Future[Identity | None]") -> None:
        self._keeping = None
        if keeping.cancelled():
            return
        if (error := keeping.exception()) is not None:
            _log.warning("board_not_remembered", extra={"problem": str(error)})
        elif (kept := keeping.result()) is not None:
            _log.info("board_remembered", extra={"adapter": str(kept.adapter or "")})
