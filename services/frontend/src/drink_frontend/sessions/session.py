"""One client's session without its socket: lines in, replies out."""

import logging
import secrets
from collections.abc import Callable
from typing import NamedTuple

import structlog

from drink_frontend.domain.errors import DrinkError
from drink_frontend.sessions import admin_commands, user_commands
from drink_frontend.sessions.codec import Event, Garbage
from drink_frontend.sessions.commands import Access, Command, Value, Verb, parse
from drink_frontend.sessions.context import Services
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.replies import Reply, SlotList, StatusLine, WrongArity, encode
from drink_frontend.sessions.reply_codes import Refused, ReplyCode
from drink_frontend.sessions.state import SessionState

log = structlog.get_logger(__name__)

SYNC_HANDLERS = user_commands.SYNC_HANDLERS
ASYNC_HANDLERS = {**user_commands.ASYNC_HANDLERS, **admin_commands.ASYNC_HANDLERS}

_DROPPING = frozenset({Verb.DROP, Verb.RAND})
_STAT, _QUIT, _ANYONE, _ADMIN = Verb.STAT, Verb.QUIT, Access.ANYONE, Access.ADMIN


class Answer(NamedTuple):
    """What the connection does after a line.

    Attributes:
        parts: Bytes of the reply, in parts that some clients must receive separately; none if the
            line has no reply.
        valid: Whether the line was a command; other lines do not keep a session alive.
        hang_up: Whether the session ends with the reply.
    """

    parts: tuple[bytes, ...]
    valid: bool = True
    hang_up: bool = False


_NO_REPLY = Answer((), valid=False)


class Session:
    """One client's session.

    Lines are answered one after the other: `answer_now` takes a line, and where it has no answer,
    `answer_pending` is awaited before the next line.

    Args:
        services: The use cases.
        dialect: The listener's dialect.
        origin: Address of the client.
        machine: Name of the machine that the session begins with, if any.
        login_failures_max: Failed logins after which the session ends.
        on_revoked: Called when the login is no longer valid; None logs out.
    """

    __slots__ = ("_is_logged", "_login_failures_max", "_pending", "_state")

    def __init__(
        self,
        services: Services,
        dialect: Dialect,
        origin: str,
        machine: str | None,
        *,
        login_failures_max: int,
        on_revoked: Callable[[], None] | None = None,
    ) -> None:
        self._state = SessionState(services, dialect, origin, machine)
        self._login_failures_max = login_failures_max
        self._pending: Command | None = None
        # Asking for each line costs as much as a tenth of a command.
        self._is_logged = log.is_enabled_for(logging.DEBUG)
        if on_revoked is not None:
            self._state.on_revoked = on_revoked

    @property
    def has_logged_in(self) -> bool:
        """Whether a login has succeeded in this session."""
        return self._state.has_logged_in

    @property
    def logged_in_by_ibutton(self) -> bool:
        """Whether the current login was by iButton."""
        return self._state.ibutton_used

    @property
    def only_waits(self) -> bool:
        """Whether the current command may be cancelled without effect on anything.

        It then waits for the turn of its login, or for the outcome of a drop, which goes on.
        """
        return self._state.logging_in or self._state.drop_id is not None

    def close(self) -> None:
        """Releases what the session holds; no line follows."""
        self._state.release_permit()

    def answer_now(self, event: Event) -> Answer | None:
        """Takes one line. Never raises an error.

        Returns:
            The answer, if it needs neither the database nor a wait; else None.
        """
        state = self._state
        if isinstance(event, Garbage):
            return self._answer(StatusLine(ReplyCode.GARBLED), valid=False)
        command = parse(event, state.dialect.argument_limits)
        if command is None:
            if not (state.dialect.blank_is_unknown or event.strip(" ")):
                return _NO_REPLY
            return self._answer(StatusLine(ReplyCode.UNKNOWN_COMMAND), valid=False)
        if not command.arity_fits:
            return self._answer(WrongArity(command.verb), command.verb, valid=False)
        if self._is_logged:
            log.debug("session_command", origin=state.origin, command=command.redacted)
        try:
            reply = self._execute_now(command)
        except Exception as error:
            reply = self._error_reply(command, error)
        state.unload()
        if reply is None:
            self._pending = command
            return None
        return self._answer(reply, command.verb)

    async def answer_pending(self) -> Answer:
        """The answer to the line for which `answer_now` had none. Never raises an error."""
        command = self._pending
        assert command is not None, "answer_now() comes first"
        try:
            reply = await self._execute(command)
        except Exception as error:
            reply = self._error_reply(command, error)
        finally:
            self._pending = None
            self._state.unload()
        return self._answer(reply, command.verb)

    def interject(self, event: Event) -> Answer | None:
        """The reply that is due at once while another line is being executed, if any."""
        state = self._state
        dropping = self._pending is not None and self._pending.verb in _DROPPING
        if not dropping or isinstance(event, Garbage) or not state.dialect.refuses_second_drop:
            return None
        command = parse(event, state.dialect.argument_limits)
        if command is None or command.verb not in _DROPPING:
            return None
        return self._answer(StatusLine(ReplyCode.DROP_IN_PROGRESS))

    def last_line(self, code: ReplyCode) -> bytes:
        """The last line of a session that the server ends.

        A client that waits for a drop receives the reply for an unknown outcome instead of `code`.
        """
        drop_id = self._state.drop_id
        reply = StatusLine(code) if drop_id is None else user_commands.held(drop_id)
        return b"".join(encode(self._state.dialect, reply))

    # Both ways to execute a command refuse in the same order: login, rights, arguments, machine.

    def _execute_now(self, command: Command) -> Reply | None:
        """The reply, if all that the command needs is in memory; else None."""
        state, grammar = self._state, command.verb.grammar
        handler = SYNC_HANDLERS.get(command.verb)
        if handler is None:
            return None
        if grammar.access is not _ANYONE and not state.load_cached_caller():
            return None
        values = self._values(command)
        if grammar.shows_machine and not state.load_cached_machine():
            return None
        return handler(state, *values)

    async def _execute(self, command: Command) -> Reply:
        verb, state = command.verb, self._state
        handler = SYNC_HANDLERS.get(verb)
        if verb.grammar.access is not _ANYONE:
            await state.load_caller(cached=handler is not None)
        values = self._values(command)
        if verb.grammar.shows_machine:
            await state.load_machine()
        reply = None if handler is None else handler(state, *values)
        return await ASYNC_HANDLERS[verb](state, *values) if reply is None else reply

    def _values(self, command: Command) -> tuple[Value, ...]:
        """The parsed arguments, once the caller is known to have the rights."""
        if command.verb.grammar.access is _ADMIN and not self._state.caller.admin:
            raise Refused(ReplyCode.DENIED)
        return command.values()

    def _error_reply(self, command: Command, error: Exception) -> Reply:
        if isinstance(error, Refused):
            return StatusLine(error.code)
        code = command.verb.grammar.code_for(error) if isinstance(error, DrinkError) else None
        if code is not None:
            return StatusLine(code)
        # A fault of the service ends one command, not the session.
        log.error(
            "session_fault",
            exc_info=error,
            incident=secrets.token_hex(4),
            command=command.redacted,
            account=self._state.account,
        )
        return StatusLine(ReplyCode.FAULT)

    def _answer(self, reply: Reply, verb: Verb | None = None, *, valid: bool = True) -> Answer:
        state = self._state
        parts = (
            state.services.stat_replies.encode(state.dialect, reply)
            if isinstance(reply, SlotList)
            else encode(state.dialect, reply, to_stat=verb is _STAT)
        )
        hang_up = verb is _QUIT or state.login_failures >= self._login_failures_max
        return Answer(parts, valid, hang_up)
