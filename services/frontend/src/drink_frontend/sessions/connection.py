"""One client's socket: bytes in and out of a session, within limits."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, cast

import structlog

from drink_frontend.domain.origin import place
from drink_frontend.sessions.codec import Event
from drink_frontend.sessions.desk import Desk
from drink_frontend.sessions.listening import ip_address
from drink_frontend.sessions.phrases import Phrase
from drink_frontend.sessions.session import Answer, Session

log = structlog.get_logger(__name__)

LINGER_S = 1.0
"""Seconds in which a client that is sent away may close its side. Closing while it is still sending
would make its system throw away the last reply unread."""

GREETING_LEAD_S = 0.02
"""Seconds that the greeting goes ahead of the first reply. A client that has sent its first command
at once would otherwise receive both as one chunk, and WebDrink's bridge throws its first away."""

FAIR_SHARE = 32
"""Lines of one client that are carried out before others get their turn; some 0.5 ms of them."""


BUSY_LINES, BUSY_S = 200, 10.0
"""A client that has so many lines carried out in fewer seconds is logged as `session_busy`."""


class Connection(asyncio.Protocol):
    """One client.

    Lines are carried out one after the other. What can be answered from memory is answered as the
    lines come in; a task exists only while something has to be waited for.

    Args:
        desk: What it shares with others.
    """

    __slots__ = (
        "_ahead",
        "_begun",
        "_closing",
        "_counted_at",
        "_decoder",
        "_desk",
        "_ended",
        "_finishing",
        "_greeted_at",
        "_has_led",
        "_lines",
        "_linger",
        "_machine",
        "_opened",
        "_reading",
        "_session",
        "_silence",
        "_stall",
        "_transport",
        "_worker",
        "_writable",
    )

    _transport: asyncio.Transport
    _session: Session

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._begun = False
        self._opened = False
        self._decoder = desk.decoder()
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
        self._counted_at = asyncio.get_running_loop().time()
        self._reading = True
        self._ended = False
        self._finishing = False
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether a line is being carried out; not while the client reads no replies."""
        return self._worker is not None and self._writable is None

    @property
    def known(self) -> bool:
        """Whether somebody has logged in on it."""
        return self._opened and self._session.known

    @property
    def held(self) -> int:
        """Bytes of commands that wait here, and of replies that are not read."""
        size = self._decoder.backlog + self._transport.get_write_buffer_size()
        if not self._reading:
            size += self._transport.get_extra_info("undecrypted", 0)
        return size

    # What the event loop calls.

    def connection_begun(self, transport: asyncio.Transport) -> None:
        """The client is connected; with TLS, before its handshake."""
        desk = self._desk
        self._transport = transport
        self._begun = True
        origin = ip_address(transport.get_extra_info("peername"))
        idle_limit_s = desk.settings.idle_limit(desk.listener)
        desk.roll.enter(self, place(origin), idle_limit_s, asyncio.get_running_loop().time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the client."""
        desk = self._desk
        if not self._begun:
            # uvloop's transports have the interface without the class.
            self.connection_begun(cast("asyncio.Transport", transport))
        self._transport.set_write_buffer_limits(high=desk.settings.unread_bytes_max)
        self._machine = desk.listener.machine_at(ip_address(transport.get_extra_info("sockname")))
        self._session = Session(
            desk.services,
            desk.dialect,
            ip_address(transport.get_extra_info("peername")),
            self._machine,
            login_failures_max=desk.settings.login_failures_max,
            on_revoked=self._revoke,
        )
        self._opened = True
        greeting = desk.greeter.known(desk.dialect, self._machine)
        if greeting is None:
            self._start()
        else:
            self._greet(greeting)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sends, as much as may wait."""
        if self._closing:
            return
        self._decoder.feed(data)
        if self._decoder.endless:
            log.warning("session_line_endless")
            self._say_goodbye(Phrase.GARBLED)
            return
        if self._decoder.backlog > self._desk.settings.backlog_bytes_max:
            self._transport.pause_reading()
            self._reading = False
        if self._desk.dialect.silence_ends_line:
            self._watch_silence()
        self._start()
        self._note_held()

    def eof_received(self) -> bool:
        """Carries out what the client has sent before it closed its side, then ends."""
        self._ended = True
        if self._closing:
            return False
        # A line that somebody on the way may have cut off is not carried out: `DROP 1` can be the
        # beginning of `DROP 12`.
        if not self._transport.get_extra_info("truncated", False):
            self._decoder.silence()
        self._start()
        return True

    def pause_writing(self) -> None:
        """The client leaves too much unread: nothing more is carried out, and it has a limit."""
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        # An operator is told while it lasts, and not only when the limit has passed.
        log.warning("session_not_reading", held=self.held)
        self._limit_stall(loop)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._stall is not None and not self._closing:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client has gone, or was sent away; a drop under way is not touched."""
        self._closing = True
        self._desk.roll.forget(self)
        self._desk.buffers.forget(self)
        for timer in (self._silence, self._stall, self._linger):
            if timer is not None:
                timer.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._opened:
            self._session.close()
        self._abandon_outcome()

    # What the server calls.

    def time_out(self) -> None:
        """Ends the session for its idleness."""
        if self._opened:
            self._say_goodbye(Phrase.IDLE)
        else:
            self._transport.abort()

    def make_way(self) -> None:
        """Ends the session at once, without waiting for the client to close its side."""
        log.warning("session_closed_for_another")
        if self._opened and not self._closing and not self._transport.get_write_buffer_size():
            self._write(self._session.farewell(Phrase.IDLE))
            self._closing = True
            self._transport.close()
        else:
            self._transport.abort()

    def finish(self) -> None:
        """Ends the session as soon as nothing is being carried out."""
        self._finishing = True
        if not self._opened:
            self._transport.abort()
        elif self._worker is None:
            self._say_goodbye(Phrase.NOT_READY)
            self._transport.close()

    def give_up(self) -> None:
        """Ends the session now; who waits for a drop is told that it is under way."""
        if not self._opened:
            self._transport.abort()
            return
        self._say_goodbye(Phrase.NOT_READY)
        self._transport.close()
        self._abandon_outcome()

    def cut_off(self) -> None:
        """Ends the session now, since the client reads nothing or all of them hold too much."""
        log.warning("session_cut_off_unread")
        self._closing = True
        self._transport.abort()

    def abort(self) -> None:
        """Ends the session without a word."""
        self._transport.abort()

    # The work.

    def _start(self) -> None:
        if self._closing:
            return
        if self._worker is not None:
            if self._desk.dialect.refuses_second_drop:
                self._interject()
            return
        try:
            wait = self._answer() if self._has_led else self._lead_with_greeting()
        except Exception as fault:
            self._break(fault)
            return
        if wait is None:
            self._rest()
            return
        self._worker = asyncio.get_running_loop().create_task(self._work(wait))
        self._worker.add_done_callback(self._check)

    def _check(self, worker: asyncio.Task[None]) -> None:
        if not worker.cancelled() and (fault := worker.exception()) is not None:
            self._break(fault)

    def _break(self, fault: BaseException) -> None:
        """Ends this session, of which nobody knows any more where it stands."""
        log.critical("session_broken", exc_info=fault)
        self._transport.abort()

    def _greet(self, greeting: bytes) -> None:
        self._write(greeting)
        self._greeted_at = asyncio.get_running_loop().time()

    async def _lead_with_greeting(self) -> None:
        if self._greeted_at is None:
            assert self._machine is not None, "without a machine the greeting is known"
            self._greet(await self._desk.greeter.found(self._desk.dialect, self._machine))
            assert self._greeted_at is not None
        wait_s = self._greeted_at + GREETING_LEAD_S - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._has_led = True

    async def _work(self, wait: Awaitable[None] | None) -> None:
        while wait is not None:
            await wait
            wait = self._answer()
        self._worker = None
        self._rest()

    def _rest(self) -> None:
        """Nothing is left to carry out."""
        if self._finishing:
            self.finish()
        elif self._ended:
            self._hang_up()

    def _answer(self) -> Awaitable[None] | None:
        """Answers what can be answered at once.

        Returns:
            What to wait for before the next line; None if there is no next one.
        """
        for _ in range(FAIR_SHARE):
            if self._closing or self._finishing:
                return None
            if self._writable is not None:
                return self._writable
            event = self._next()
            if event is None:
                return None
            self._count()
            answer = self._session.handle(event)
            if isinstance(answer, Coroutine):
                return self._answer_later(answer)
            if answer is not None:
                if self._is_in_parts(answer):
                    return self._give_in_parts(answer)
                self._give(answer, b"".join(answer.parts))
        return self._desk.turns.next()

    def _count(self) -> None:
        """Counts a line, and tells of a client that sends them without a pause."""
        self._lines += 1
        if self._lines < BUSY_LINES:
            return
        now = asyncio.get_running_loop().time()
        took_s, self._lines, self._counted_at = now - self._counted_at, 0, now
        if took_s < BUSY_S:
            log.info("session_busy", lines=BUSY_LINES, seconds=round(took_s, 1))

    async def _answer_later(self, work: Coroutine[Any, Any, Answer]) -> None:
        if self._desk.dialect.refuses_second_drop:
            # Lines that came with this one may be due for an answer meanwhile.
            asyncio.get_running_loop().call_soon(self._interject)
        answer = await work
        if self._is_in_parts(answer):
            await self._give_in_parts(answer)
        else:
            self._give(answer, b"".join(answer.parts))

    def _is_in_parts(self, answer: Answer) -> bool:
        """Whether this client receives the parts of the answer one by one.

        Only touchscreens need it, and only they log in by iButton. Others on the same address take
        the first part for all there is.
        """
        return (
            len(answer.parts) > 1
            and self._desk.listener.stat_trailer_delay_ms > 0
            and self._session.logged_in_by_ibutton
        )

    async def _give_in_parts(self, answer: Answer) -> None:
        *others, last = answer.parts
        for part in others:
            self._write(part)
            await asyncio.sleep(self._desk.listener.stat_trailer_delay_ms / 1000)
        self._give(answer, last)

    def _give(self, answer: Answer, data: bytes) -> None:
        self._write(data)
        if answer.valid and not self._closing:
            self._desk.roll.touch(self, asyncio.get_running_loop().time())
        if answer.hang_up:
            self._hang_up()

    def _next(self) -> Event | None:
        event, self._ahead = self._ahead, None
        if event is None:
            event = self._decoder.next_event()
        if not self._reading and self._decoder.backlog < self._desk.settings.backlog_bytes_max // 2:
            self._reading = True
            self._transport.resume_reading()
        return event

    def _interject(self) -> None:
        while self._worker is not None and self._writable is None and not self._closing:
            event = self._ahead or self._decoder.next_event()
            answer = None if event is None else self._session.interject(event)
            if answer is None:
                self._ahead = event
                return
            self._ahead = None
            self._write(b"".join(answer.parts))

    def _watch_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._decoder.partial:
            self._silence = asyncio.get_running_loop().call_later(
                self._desk.settings.silence_ends_line_ms / 1000, self._end_line
            )

    def _end_line(self) -> None:
        self._silence = None
        self._decoder.silence()
        self._start()

    # The end.

    def _write(self, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)
            self._note_held()

    def _note_held(self) -> None:
        if not self._closing:
            self._desk.buffers.note(self, self.held)

    def _say_goodbye(self, phrase: Phrase) -> None:
        self._write(self._session.farewell(phrase))
        self._hang_up()

    def _revoke(self) -> None:
        """Ends the session, whose login is no longer good; a drop under way goes on."""
        self._say_goodbye(Phrase.LOGIN_NEEDED)
        self._abandon_outcome()

    def _hang_up(self) -> None:
        if self._closing:
            return
        self._closing = True
        loop = asyncio.get_running_loop()
        self._limit_stall(loop)
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            # The client has cut the connection, and the loop has not told it yet.
            self._transport.abort()
            return
        self._linger = loop.call_later(LINGER_S, self._transport.close)
        if not self._reading:
            self._transport.resume_reading()

    def _limit_stall(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stall is None:
            limit_s = self._desk.settings.unread_limit_s
            self._stall = loop.call_later(limit_s, self.cut_off)

    def _abandon_outcome(self) -> None:
        if self._worker is not None and self._session.awaits_outcome:
            self._worker.cancel()
