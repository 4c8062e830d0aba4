"""Joins a board's driver to its byte stream on the event loop."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from drink_agent.backoff import Backoff
from drink_agent.board.coke1994 import Coke1994Driver
from drink_agent.board.driver import TiniDriver
from drink_agent.board.identity import AnotherBoardError, BoardMemory, Identity
from drink_agent.board.port import (
    BoardEvent,
    CloseStream,
    DispenseEnded,
    Driver,
    Effect,
    Greeting,
    Note,
    StatusChanged,
    Write,
)
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
from drink_agent.domain.evidence import Cause, Outcome, Sensor

BACKOFF_FIRST_S: Final = 0.5
"""Longest wait in seconds before the second attempt to open a stream. A plug that was only moved is
back by then."""

BACKOFF_LIMIT_S: Final = 30.0
"""Longest wait in seconds between two attempts to open a stream: the firmware's own."""

HEALTHY_AFTER_S: Final = 60.0
"""Seconds that a stream must last to reset the back-off."""

_log: Final = logging.getLogger(__name__)


def make_source(settings: BoardSettings, memory: BoardMemory | None = None) -> StreamSource:
    """The source of streams for a board's URL.

    Args:
        settings: The board.
        memory: Tells the machine's own board from others; None takes any.
    """
    url = parse_url(settings.url)
    match url.scheme:
        case "serial" | "rfc2217":
            return SerialSource(url, memory.check if memory else None)
        case "tcp":
            return DialSource(url)
        case "listen":
            return ListenSource(url, settings)


def make_driver(settings: BoardSettings) -> Driver:
    """The driver for a board's dialect."""
    return Coke1994Driver(settings) if settings.dialect == "coke1994" else TiniDriver(settings)


class Board:
    """One machine's board.

    `run` must be running for anything to happen. Events are delivered on the event loop, in
    order, and never from within a call of `dispense`.
    """

    def __init__(
        self,
        settings: BoardSettings,
        on_event: Callable[[BoardEvent], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        source: StreamSource | None = None,
        memory: BoardMemory | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            settings: The board.
            on_event: Takes what the board reports.
            clock: Monotonic seconds.
            source: Where the streams come from; None for that of the board's URL.
            memory: Tells the machine's own board from others; None takes any.
            rng: Draws the waits between attempts.
        """
        self._memory = memory
        self._keeping: asyncio.Future[Identity | None] | None = None
        self.source = source or make_source(settings, memory)
        """Where the streams come from."""
        self._driver = make_driver(settings)
        self._on_event = on_event
        self._clock = clock
        random_source = rng or random.SystemRandom()
        self._backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_LIMIT_S, random_source.random)
        self._stream: ByteStream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status_changed = asyncio.Event()
        self._was_ready = False
        self._problem = "waiting for it to dial in" if settings.dials_in else "not opened yet"
        self._response_limit_s = settings.response_limit_s
        self._motor_done_at = clock()

    @property
    def status(self) -> StatusChanged:
        """What the board says of itself now."""
        return self._driver.status

    @property
    def ready(self) -> bool:
        """Whether the board answers; a `dispense` is then commanded, as far as anyone can tell."""
        return self._driver.status.ready

    @property
    def problem(self) -> str | None:
        """Why the board does not answer, for a person; None while it does."""
        return None if self.ready else self._problem

    async def wait_ready(self, timeout_s: float) -> bool:
        """Waits until `ready`; False if it is not within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ready:
                    self._status_changed.clear()
                    await self._status_changed.wait()
        except TimeoutError:
            return False
        return True

    def recall(self, drop_id: str, slot: int, before: Sensor, cause: Cause, age_s: float) -> None:
        """Learns of the last command of an earlier run of the agent, which has no answer yet.

        Args:
            drop_id: The drop.
            slot: Its slot.
            before: The slot's sensor before the command.
            cause: Why its outcome is not known.
            age_s: Seconds since the command; 0 if nobody knows.
        """
        self._driver.recall(drop_id, slot, before, cause, age_s, now=self._clock())

    def dispense(self, drop_id: str, slot: int) -> None:
        """Runs a slot's motor once; returns at once.

        Exactly one `DispenseEnded` follows. A board that is not ready gives NOT_DISPENSED with
        BOARD_UNREACHABLE, without a byte sent. No other command may be outstanding.
        """
        now = self._clock()
        self._motor_done_at = now + self._response_limit_s
        self._apply(self._driver.dispense(drop_id, slot, now))

    async def run(self) -> None:
        """Keeps the board connected until cancelled; recovers from every fault of its stream.

        A command outstanding when it is cancelled ends UNKNOWN, so let it end before.
        """
        while True:
            await self._connect()

    async def close(self) -> None:
        """Stops listening for boards that dial in; `run` must have ended."""
        assert self._stream is None, "still running"
        await self.source.close()

    async def _connect(self) -> None:
        """Opens a stream, serves it to its end, and waits as long as it takes to try again."""
        lasted_s = 0.0
        try:
            if self._memory is not None:
                await asyncio.to_thread(self._memory.admit)
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
            self._apply(self._driver.connected(self._clock()))
            while True:
                data = await stream.read()
                self._apply(self._driver.receive(data, self._clock()))
        except StreamLostError as lost:
            self._problem = f"connection lost: {lost}"
            _log.warning("board_lost", extra={"reason": str(lost)})
            unsent = lost.unsent
        finally:
            self._stream = None
            self._apply(self._driver.disconnected(self._clock(), unsent=unsent))
            await stream.close()

    def _apply(self, effects: Sequence[Effect]) -> None:
        lost: StreamLostError | None = None
        for effect in effects:
            match effect:
                case Write(data) if lost is None:
                    lost = self._write(data)
                case Write():
                    continue
                case CloseStream(reason):
                    if self._stream is not None:
                        self._stream.hang_up(reason)
                case Greeting(login):
                    lost = lost or self._greeted(login)
                case Note(text):
                    _log.info("board_note", extra={"note": text})
                case _:
                    self._deliver(effect)
        if lost is not None:
            self._apply(self._driver.disconnected(self._clock(), unsent=lost.unsent))
        self._schedule()

    def _write(self, data: bytes) -> StreamLostError | None:
        """Writes, or says why not and ends the stream."""
        assert self._stream is not None
        try:
            self._stream.write(data)
        except StreamLostError as lost:
            self._stream.hang_up(str(lost))
            return lost
        return None

    def _greeted(self, login: bytes) -> StreamLostError | None:
        """Takes what the board logged in with, or says why not and ends the stream."""
        assert self._stream is not None
        if self._memory is None:
            return None
        try:
            self._memory.greeted(login)
        except (AnotherBoardError, OSError) as error:
            _log.error("board_refused", extra={"reason": str(error)})
            self._stream.hang_up(str(error))
            return StreamLostError(str(error))
        return None

    def _remember(self) -> None:
        """Keeps, on a thread, what the board is, now that it answers."""
        if self._memory is None or self._keeping is not None:
            return
        self._keeping = asyncio.get_running_loop().run_in_executor(None, self._memory.keep)
        self._keeping.add_done_callback(self._on_kept)

    def _on_kept(self, keeping: "asyncio.Future[Identity | None]") -> None:
        self._keeping = None
        if keeping.cancelled():
            return
        if (error := keeping.exception()) is not None:
            _log.warning("board_not_remembered", extra={"problem": str(error)})
        elif (kept := keeping.result()) is not None:
            _log.info("board_remembered", extra={"adapter": str(kept.adapter or "")})

    def _deliver(self, event: BoardEvent) -> None:
        if isinstance(event, StatusChanged):
            self._status_changed.set()
            if event.ready and not self._was_ready:
                self._remember()
            self._was_ready = event.ready
        elif isinstance(event, DispenseEnded) and event.outcome is not Outcome.UNKNOWN:
            self._motor_done_at = self._clock()
        asyncio.get_running_loop().call_soon(self._on_event, event)

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._driver.next_deadline
        if deadline is not None:
            delay_s = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._apply(self._driver.tick(self._clock()))
