"""One client's session without its socket: lines in, replies out."""

import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import structlog

from drink_frontend.domain.errors import DrinkError
from drink_frontend.sessions import administration, everyday
from drink_frontend.sessions.codec import Event, Garbage
from drink_frontend.sessions.commands import Access, Command, Value, Verb, parse
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.encoding import encode
from drink_frontend.sessions.phrases import Phrase, Refused
from drink_frontend.sessions.refusals import phrase_for
from drink_frontend.sessions.replies import Reply, Say, SlotList, WrongArity
from drink_frontend.sessions.services import Services
from drink_frontend.sessions.state import SessionState

log = structlog.get_logger(__name__)

T = TypeVar("T")
Soon: TypeAlias = T | Coroutine[Any, Any, T]
"""Something at once, or else the work that makes it."""

Handler = Callable[..., Soon[Reply]]

HANDLERS: Mapping[Verb, Handler] = {
    Verb.USER: everyday.user,
    Verb.PASS: everyday.password,
    Verb.AUTH: everyday.auth,
    Verb.IBUTTON: everyday.ibutton,
    Verb.MACHINE: everyday.machine,
    Verb.MACHINES: everyday.machines,
    Verb.STAT: everyday.stat,
    Verb.TEMP: everyday.temperature,
    Verb.LOCATION: everyday.location,
    Verb.SERVERSTAT: everyday.server_state,
    Verb.VERSION: everyday.version,
    Verb.UPTIME: everyday.uptime,
    Verb.ACCTMGRCHK: everyday.accounts_ready,
    Verb.CODE: everyday.not_implemented,
    Verb.QUIT: everyday.goodbye,
    Verb.WHOAMI: everyday.whoami,
    Verb.GETBALANCE: everyday.get_balance,
    Verb.DROP: everyday.drop,
    Verb.RAND: everyday.random_drop,
    Verb.SENDCREDITS: everyday.send_credits,
    Verb.CHPASS: administration.change_password,
    Verb.ADDCREDITS: administration.add_credits,
    Verb.EDITSLOT: administration.edit_slot,
    Verb.ADDUSER: administration.add_user,
    Verb.RMUSER: administration.remove_user,
    Verb.SETADMIN: administration.set_admin,
    Verb.EDITUSER: administration.edit_user,
    Verb.ISVALIDUSER: administration.is_valid_user,
    Verb.QUERYADMIN: administration.query_admin,
    Verb.LOG: administration.note,
    Verb.SHUTDOWN: administration.shutdown,
}
"""What carries out each command; takes the session and the command's arguments."""

_DROPPING = frozenset({Verb.DROP, Verb.RAND})
_NOT_VALID = frozenset({Phrase.UNKNOWN_COMMAND, Phrase.GARBLED})


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do after a line.

    Attributes:
        parts: The reply's bytes, in parts that some clients must receive one by one.
        valid: Whether the line was a command; the others do not keep a session alive.
        hang_up: Whether the session ends with it.
    """

    parts: tuple[bytes, ...]
    valid: bool
    hang_up: bool = False


class Session:
    """One client's session.

    Args:
        services: What it uses.
        dialect: How it speaks.
        origin: The client's address.
        machine: Name of the machine that it starts with, if any.
        login_failures_max: Failed logins after which it ends.
        on_revoked: Called when the login is no longer good.
    """

    __slots__ = ("_login_failures_max", "_state")

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
        if on_revoked is not None:
            self._state.on_revoked = on_revoked

    @property
    def known(self) -> bool:
        """Whether somebody has logged in so far."""
        return self._state.has_logged_in

    @property
    def logged_in_by_ibutton(self) -> bool:
        """Whether whoever is logged in showed an iButton."""
        return self._state.ibutton_used

    def close(self) -> None:
        """Nothing more comes from the client."""
        self._state.give_permit_back()

    @property
    def awaits_outcome(self) -> bool:
        """Whether all that is under way is waiting: for a login, or for a drop, which goes on."""
        return self._state.logging_in or self._state.drop_id is not None

    def handle(self, event: Event) -> Soon[Answer] | None:
        """Carries out one line; None if it is nothing to reply to. Never raises for what it holds.

        To be called for one line after the other, each carried out before the next.

        Returns:
            The answer if all that the line asks for is in memory, else the work that makes it.
        """
        if isinstance(event, Garbage):
            return self._answer(Say(Phrase.GARBLED))
        if not event.text.strip(" "):
            unknown = self._state.dialect.blank_is_unknown
            return self._answer(Say(Phrase.UNKNOWN_COMMAND)) if unknown else None
        command = parse(event.text, self._state.dialect.heed)
        if command is None:
            return self._answer(Say(Phrase.UNKNOWN_COMMAND))
        if not command.arity_fits:
            return self._answer(WrongArity(command.verb), command.verb)
        log.debug("session_command", origin=self._state.origin, command=command.masked)
        try:
            reply = self._begin(command)
        except Exception as error:
            reply = self._excuse(command, error)
        if isinstance(reply, Coroutine):
            self._state.dropping = command.verb in _DROPPING
            return self._handle_later(command, reply)
        self._state.forget_seen()
        return self._answer(reply, command.verb)

    async def _handle_later(self, command: Command, work: Coroutine[Any, Any, Reply]) -> Answer:
        try:
            reply = await work
        except Exception as error:
            reply = self._excuse(command, error)
        finally:
            self._state.dropping = False
            self._state.forget_seen()
        return self._answer(reply, command.verb)

    def interject(self, event: Event) -> Answer | None:
        """The reply that is due at once while another line is still being carried out, if any."""
        dialect = self._state.dialect
        if isinstance(event, Garbage) or not dialect.refuses_second_drop:
            return None
        command = parse(event.text, dialect.heed) if self._state.dropping else None
        if command is None or command.verb not in _DROPPING:
            return None
        return self._answer(Say(Phrase.DROP_IN_PROGRESS))

    def farewell(self, phrase: Phrase) -> bytes:
        """The last words of a session that the server ends.

        A client that waits for a drop is told that nobody knows its outcome yet.
        """
        reply: Reply = Say(phrase)
        if self._state.drop_id is not None:
            reply = everyday.held(self._state.drop_id)
        return b"".join(encode(self._state.dialect, reply))

    def _excuse(self, command: Command, error: Exception) -> Reply:
        """What is said instead of a reply."""
        if isinstance(error, Refused):
            return Say(error.phrase)
        phrase = phrase_for(error, command.verb) if isinstance(error, DrinkError) else None
        if phrase is not None:
            return Say(phrase)
        # A fault of ours ends one command, not the session.
        log.error(
            "session_fault",
            exc_info=error,
            incident=secrets.token_hex(4),
            command=command.masked,
            account=self._state.account,
        )
        return Say(Phrase.FAULT)

    # What a command needs is taken from memory or else looked up, in the order of its refusals.

    def _begin(self, command: Command) -> Soon[Reply]:
        grammar = command.grammar
        if grammar.access is Access.ANYONE or (grammar.shows and self._state.recall_caller()):
            return self._go_on(command)
        return self._identify(command)

    async def _identify(self, command: Command) -> Reply:
        await self._state.identify(to_show=command.grammar.shows)
        reply = self._go_on(command)
        return await reply if isinstance(reply, Coroutine) else reply

    def _go_on(self, command: Command) -> Soon[Reply]:
        grammar = command.grammar
        if grammar.access is Access.ADMIN and not self._state.caller.admin:
            raise Refused(Phrase.DENIED)
        values = command.values()
        if grammar.machine and not self._state.recall_machine():
            return self._look(command, values)
        return HANDLERS[command.verb](self._state, *values)

    async def _look(self, command: Command, values: tuple[Value, ...]) -> Reply:
        await self._state.look()
        reply = HANDLERS[command.verb](self._state, *values)
        return await reply if isinstance(reply, Coroutine) else reply

    def _answer(self, reply: Reply, verb: Verb | None = None) -> Answer:
        valid = not isinstance(reply, WrongArity) and not (
            isinstance(reply, Say) and reply.phrase in _NOT_VALID
        )
        dialect, failures = self._state.dialect, self._state.login_failures
        parts = (
            self._state.services.pages.encode(dialect, reply)
            if isinstance(reply, SlotList)
            else encode(dialect, reply, to_stat=verb is Verb.STAT)
        )
        return Answer(
            parts,
            valid,
            hang_up=(verb is Verb.QUIT and valid) or failures >= self._login_failures_max,
        )
