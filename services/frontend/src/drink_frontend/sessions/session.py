"""One client's session without its socket: lines in, replies out."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from drink_frontend.domain.errors import DrinkError
from drink_frontend.sessions import administration, everyday
from drink_frontend.sessions.codec import Event, Garbage
from drink_frontend.sessions.commands import Access, Command, Verb, parse
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.encoding import encode
from drink_frontend.sessions.phrases import Phrase, Refused
from drink_frontend.sessions.refusals import phrase_for
from drink_frontend.sessions.replies import Reply, Say, WrongArity
from drink_frontend.sessions.services import Services
from drink_frontend.sessions.state import SessionState

log = structlog.get_logger(__name__)

Handler = Callable[..., Awaitable[Reply]]

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
    ) -> None:
        self._state = SessionState(services, dialect, origin, machine)
        self._login_failures_max = login_failures_max

    @property
    def awaits_outcome(self) -> bool:
        """Whether all that is under way is waiting for a drop, which goes on without it."""
        return self._state.drop_id is not None

    async def handle(self, event: Event) -> Answer | None:
        """Carries out one line; None if it is nothing to reply to. Never raises for what it holds.

        To be called for one line after the other.
        """
        if isinstance(event, Garbage):
            return self._answer(Say(Phrase.GARBLED))
        if not event.text.strip(" "):
            unknown = self._state.dialect.blank_is_unknown
            return self._answer(Say(Phrase.UNKNOWN_COMMAND)) if unknown else None
        command = parse(event.text, self._state.dialect.heeded)
        if command is None:
            return self._answer(Say(Phrase.UNKNOWN_COMMAND))
        if not command.arity_fits:
            return self._answer(WrongArity(command.verb), command.verb)
        log.debug("session_command", origin=self._state.origin, command=command.masked)
        self._state.dropping = command.verb in _DROPPING
        try:
            return self._answer(await self._reply(command), command.verb)
        finally:
            self._state.dropping = False
            self._state.forget_caller()

    def interject(self, event: Event) -> Answer | None:
        """The reply that is due at once while another line is still being carried out, if any."""
        dialect = self._state.dialect
        if isinstance(event, Garbage) or not dialect.refuses_second_drop:
            return None
        command = parse(event.text, dialect.heeded) if self._state.dropping else None
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

    async def _reply(self, command: Command) -> Reply:
        try:
            return await self._carry_out(command)
        except Refused as refused:
            return Say(refused.phrase)
        except DrinkError as error:
            phrase = phrase_for(error, command.verb)
            if phrase is not None:
                return Say(phrase)
            self._report(command, error)
        except Exception as error:
            # A fault of ours ends one command, not the session.
            self._report(command, error)
        return Say(Phrase.FAULT)

    def _report(self, command: Command, error: Exception) -> None:
        log.error(
            "session_fault",
            exc_info=error,
            incident=secrets.token_hex(4),
            command=command.masked,
            account=self._state.account,
        )

    async def _carry_out(self, command: Command) -> Reply:
        access = command.grammar.access
        if access is not Access.ANYONE:
            caller = await self._state.identify()
            if access is Access.ADMIN and not caller.admin:
                raise Refused(Phrase.DENIED)
        return await HANDLERS[command.verb](self._state, *command.values())

    def _answer(self, reply: Reply, verb: Verb | None = None) -> Answer:
        valid = not isinstance(reply, WrongArity) and not (
            isinstance(reply, Say) and reply.phrase in _NOT_VALID
        )
        failures = self._state.login_failures
        return Answer(
            encode(self._state.dialect, reply, to_stat=verb is Verb.STAT),
            valid,
            hang_up=(verb is Verb.QUIT and valid) or failures >= self._login_failures_max,
        )
