"""One client's connection: bytes in and out of a session, within limits."""

import asyncio
from collections.abc import Awaitable
from typing import cast

import structlog

from drink_frontend.domain.origin import place
from drink_frontend.sessions.codec import Event
from drink_frontend.sessions.context import ListenerContext
from drink_frontend.sessions.reply_codes import ReplyCode
from drink_frontend.sessions.session import Answer, Session
from drink_frontend.system.sockets import endpoint_address

log = structlog.get_logger(__name__)

LINGER_S = 1.0
"""Seconds in which a client may close its side after the last reply. If the server closed the
connection while the client still sends, the client's system would discard the last reply unread."""

GREETING_LEAD_S = 0.02
"""Seconds between the greeting and the first reply. A client that sends its first command at once
would otherwise receive both in one chunk, and WebDrink's bridge discards the first chunk."""

FAIR_SHARE = 32
"""Lines of one client that are executed before other clients get their turn; some 0.5 ms."""

BUSY_LINES, BUSY_S = 200, 10.0
"""A client from which more than BUSY_LINES lines are executed within BUSY_S seconds is logged as
`session_busy`."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Lines are executed one after the other. Those that can be answered from memory are answered in
    the call that received them; a task exists only while something has to be awaited.

    Args:
        context: Settings, use cases and limits of the listener.

    Attributes:
        active_at: When the client last gave a command, in seconds of the loop's clock.
        counted_bytes: How many bytes of the connection count towards the limit of all.
    """

    __slots__ = (
        "_ahead",
        "_begun",
        "_closing",
        "_context",
        "_counted_at",
        "_decoder",
        "_ended",
        "_finishing",
        "_greeted_at",
        "_has_led",
        "_lines",
        "_linger",
        "_loop",
        "_machine",
        "_opened",
        "_reading",
        "_session",
        "_silence",
        "_stall",
        "_touch_at",
        "_transport",
        "_worker",
        "_writable",
        "active_at",
        "counted_bytes",
    )

    _transport: asyncio.Transport
    _session: Session

    def __init__(self, context: ListenerContext) -> None:
        self._context = context
        # Looking the running loop up is a system call.
        self._loop = asyncio.get_running_loop()
        self._begun = False
        self._opened = False
        self._decoder = context.decoder()
        self._machine: str | None = None
        self._ahead: Event | None = None
        self._worker: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._greeted_at: float | None = None
        self._has_led = False
        self._lines = 0
        self._counted_at = self.active_at = self._touch_at = self._loop.time()
        self.counted_bytes = 0
        self._reading = True
        self._ended = False
        self._finishing = False
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether a line is being executed; not while the client leaves replies unread."""
        return self._worker is not None and self._writable is None

    @property
    def has_logged_in(self) -> bool:
        """Whether a login has succeeded on the connection."""
        return self._opened and self._session.has_logged_in

    @property
    def buffered_bytes(self) -> int:
        """Bytes of waiting commands and of unread replies."""
        size = self._decoder.backlog + self._transport.get_write_buffer_size()
        if not self._reading:
            size += self._transport.get_extra_info("undecrypted", 0)
        return size

    # Called by the event loop.

    def connection_begun(self, transport: asyncio.Transport) -> None:
        """Counts the client, which is connected; with TLS, before its handshake."""
        context = self._context
        self._transport = transport
        self._begun = True
        origin = endpoint_address(transport.get_extra_info("peername"))
        idle_limit_s = context.settings.idle_limit(context.listener)
        context.tracker.add(self, place(origin), idle_limit_s, self._loop.time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the client."""
        context = self._context
        if not self._begun:
            # uvloop's transports have the interface without the class.
            self.connection_begun(cast("asyncio.Transport", transport))
        self._transport.set_write_buffer_limits(high=context.settings.unread_bytes_max)
        self._machine = context.listener.machine_at(
            endpoint_address(transport.get_extra_info("sockname"))
        )
        self._session = Session(
            context.services,
            context.dialect,
            endpoint_address(transport.get_extra_info("peername")),
            self._machine,
            login_failures_max=context.settings.login_failures_max,
            on_revoked=self._revoke,
        )
        self._opened = True
        greeting = context.cached_greeting(self._machine)
        if greeting is None:
            self._start()
        else:
            self._greet(greeting)

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the client; pauses reading past the limit of waiting commands."""
        if self._closing:
            return
        self._decoder.feed(data)
        if self._decoder.endless:
            log.warning("session_line_endless")
            self._end_with(ReplyCode.GARBLED)
            return
        if self._context.dialect.silence_ends_line:
            self._watch_silence()
        self._start()
        self._limit_buffered()

    def eof_received(self) -> bool:
        """Executes what the client sent before it closed its side, then ends."""
        self._ended = True
        if self._closing:
            return False
        # A line that may have been truncated on the way is not executed: `DROP 1` can be the
        # beginning of `DROP 12`.
        if not self._transport.get_extra_info("truncated", False):
            self._decoder.silence()
        self._start()
        return True

    def pause_writing(self) -> None:
        """Stops executing lines until the client reads, within a time limit."""
        self._writable = self._loop.create_future()
        # Reported at once, not only when the limit has passed.
        log.warning("session_not_reading", held=self.buffered_bytes)
        self._limit_stall()

    def resume_writing(self) -> None:
        """Executes lines again: the client has read its replies."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._stall is not None and not self._closing:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Releases everything; a drop in progress goes on."""
        self._closing = True
        self._context.tracker.remove(self)
        self._context.buffers.remove(self)
        for timer in (self._silence, self._stall, self._linger):
            if timer is not None:
                timer.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._opened:
            self._session.close()
        self._stop_waiting()

    # Called by the server, the tracker and the limits.

    def time_out(self) -> None:
        """Ends the session because it has been idle for too long."""
        if self._opened:
            self._end_with(ReplyCode.IDLE)
        else:
            self._transport.abort()

    def make_way(self) -> None:
        """Ends the session at once, without waiting for the client to close its side."""
        log.warning("session_closed_for_another")
        if self._opened and not self._closing and not self._transport.get_write_buffer_size():
            self._write(self._session.last_line(ReplyCode.IDLE))
            self._closing = True
            self._transport.close()
        else:
            self._transport.abort()

    def finish(self) -> None:
        """Ends the session as soon as no line is being executed."""
        self._finishing = True
        if not self._opened:
            self._transport.abort()
        elif self._worker is None:
            self._end_with(ReplyCode.NOT_READY)
            self._transport.close()

    def give_up(self) -> None:
        """Ends the session now; a client that waits for a drop receives its id."""
        if not self._opened:
            self._transport.abort()
            return
        self._end_with(ReplyCode.NOT_READY)
        self._transport.close()
        self._stop_waiting()

    def cut_off(self) -> None:
        """Ends the session at once: the client does not read, or all sessions hold too much."""
        log.warning("session_cut_off_unread")
        self._closing = True
        self._transport.abort()

    def abort(self) -> None:
        """Ends the session at once, without a last line."""
        self._transport.abort()

    # Executing lines.

    def _start(self) -> None:
        if self._closing:
            return
        if self._worker is not None:
            if self._context.dialect.refuses_second_drop:
                self._interject()
            return
        try:
            wait = self._answer() if self._has_led else self._lead_with_greeting()
        except Exception as fault:
            self._break(fault)
            return
        if wait is None:
            if self._finishing or self._ended:
                self._rest()
            return
        self._worker = self._loop.create_task(self._work(wait))
        self._worker.add_done_callback(self._check)

    def _check(self, worker: asyncio.Task[None]) -> None:
        if not worker.cancelled() and (fault := worker.exception()) is not None:
            self._break(fault)

    def _break(self, fault: BaseException) -> None:
        """Ends the session after a fault of the service, which leaves its state unknown."""
        log.critical("session_broken", exc_info=fault)
        self._transport.abort()

    def _greet(self, greeting: bytes) -> None:
        self._write(greeting)
        self._greeted_at = self._loop.time()

    async def _lead_with_greeting(self) -> None:
        if self._greeted_at is None:
            assert self._machine is not None, "without a machine the greeting is in memory"
            self._greet(await self._context.greeting(self._machine))
            assert self._greeted_at is not None
        wait_s = self._greeted_at + GREETING_LEAD_S - self._loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._has_led = True

    async def _work(self, wait: Awaitable[None] | None) -> None:
        while wait is not None:
            await wait
            wait = self._answer()
            self._limit_buffered()
        self._worker = None
        self._rest()

    def _rest(self) -> None:
        """Ends the session if that was waiting for the last line."""
        if self._finishing:
            self.finish()
        elif self._ended:
            self._hang_up()

    def _answer(self) -> Awaitable[None] | None:
        """Executes lines as far as they can be answered at once.

        Returns:
            What must be awaited before the next line; None if no line is left.
        """
        for _ in range(FAIR_SHARE):
            if self._closing or self._finishing:
                return None
            if self._writable is not None:
                return self._writable
            event = self._decoder.next_event() if self._ahead is None else self._take_ahead()
            if event is None:
                return None
            self._lines += 1
            if self._lines == BUSY_LINES:
                self._report_busy()
            answer = self._session.answer_now(event)
            if answer is None:
                return self._answer_pending()
            if len(answer.parts) > 1 and self._takes_parts:
                return self._give_in_parts(answer)
            self._give(answer, b"".join(answer.parts))
        return self._context.turns.next()

    def _report_busy(self) -> None:
        """Reports a client that sends lines without a pause."""
        now = self._loop.time()
        took_s, self._lines, self._counted_at = now - self._counted_at, 0, now
        if took_s < BUSY_S:
            log.info("session_busy", lines=BUSY_LINES, seconds=round(took_s, 1))

    async def _answer_pending(self) -> None:
        if self._context.dialect.refuses_second_drop:
            # Lines that arrived with this one may be due for a reply meanwhile.
            self._loop.call_soon(self._interject)
        answer = await self._session.answer_pending()
        if len(answer.parts) > 1 and self._takes_parts:
            await self._give_in_parts(answer)
        else:
            self._give(answer, b"".join(answer.parts))
        if self._decoder.backlog:
            # Such a line takes longer than all that are answered at once in a turn.
            await self._context.turns.next()

    @property
    def _takes_parts(self) -> bool:
        """Whether this client receives the parts of an answer separately.

        Only touchscreens need that, and only they log in by iButton. Other clients on the same
        address take the first part for the whole reply.
        """
        delay_ms = self._context.listener.stat_trailer_delay_ms
        return delay_ms > 0 and self._session.logged_in_by_ibutton

    async def _give_in_parts(self, answer: Answer) -> None:
        *others, last = answer.parts
        for part in others:
            self._write(part)
            await asyncio.sleep(self._context.listener.stat_trailer_delay_ms / 1000)
        self._give(answer, last)

    def _give(self, answer: Answer, data: bytes) -> None:
        if data:
            self._write(data)
        if answer.valid and not self._closing:
            self.active_at = now = self._loop.time()
            if now >= self._touch_at:
                self._touch_at = self._context.tracker.touch(self, now)
        if answer.hang_up:
            self._hang_up()

    def _take_ahead(self) -> Event | None:
        event, self._ahead = self._ahead, None
        return event

    def _interject(self) -> None:
        while self._worker is not None and self._writable is None and not self._closing:
            if self._ahead is None:
                self._ahead = self._decoder.next_event()
            answer = None if self._ahead is None else self._session.interject(self._ahead)
            if answer is None:
                return
            self._ahead = None
            self._write(b"".join(answer.parts))

    def _watch_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._decoder.partial:
            self._silence = self._loop.call_later(
                self._context.settings.silence_ends_line_ms / 1000, self._end_line
            )

    def _end_line(self) -> None:
        self._silence = None
        self._decoder.silence()
        self._start()

    def _limit_buffered(self) -> None:
        """Pauses reading while too many commands wait, and reports the bytes that are held."""
        if self._closing:
            return
        backlog, backlog_max = self._decoder.backlog, self._context.settings.backlog_bytes_max
        if not self._reading and backlog < backlog_max // 2:
            self._reading = True
            self._transport.resume_reading()
        elif self._reading and backlog > backlog_max:
            self._reading = False
            self._transport.pause_reading()
        held = self.buffered_bytes
        if held > self.counted_bytes:
            self._context.buffers.update(self, held)

    # Ending.

    def _write(self, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)

    def _end_with(self, code: ReplyCode) -> None:
        self._write(self._session.last_line(code))
        self._hang_up()

    def _revoke(self) -> None:
        """Ends the session, whose login is no longer valid; a drop in progress goes on."""
        self._end_with(ReplyCode.LOGIN_NEEDED)
        self._stop_waiting()

    def _hang_up(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._limit_stall()
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            # The client has closed the connection, and the loop has not reported it yet.
            self._transport.abort()
            return
        self._linger = self._loop.call_later(LINGER_S, self._transport.close)
        if not self._reading:
            self._transport.resume_reading()

    def _limit_stall(self) -> None:
        if self._stall is None:
            limit_s = self._context.settings.unread_limit_s
            self._stall = self._loop.call_later(limit_s, self.cut_off)

    def _stop_waiting(self) -> None:
        if self._worker is not None and self._session.only_waits:
            self._worker.cancel()
