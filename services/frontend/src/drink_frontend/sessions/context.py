"""What sessions share: the use cases, and for each listener its settings, dialect and limits."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from drink_frontend.domain.entities import Slot
from drink_frontend.domain.errors import DrinkError
from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.commands import begins_command
from drink_frontend.sessions.connection_tracker import ConnectionTracker
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.limits import BufferLimit, TurnQueue
from drink_frontend.sessions.replies import StatReplies, greeting, machine_title
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.spans.tracer import NO_TRACER, Tracer
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.audit import Notes
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.permits import Permits
from drink_frontend.usecases.transfers import Transfers
from drink_frontend.usecases.views import Views

log = structlog.get_logger(__name__)

SERVICE_NAME = "Drink"
"""Name in the greeting of a client that has no machine."""


def _request_id() -> str:
    # 128 random bits: two drops with the same id would be one drop.
    return f"session-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and facts that every session of a process uses.

    Attributes:
        accounts: Logins and accounts.
        transfers: Credits.
        permits: Validity of logins.
        drops: Purchases.
        machines: Machines and slots.
        notes: The audit log.
        views: Accounts and machines from memory, for commands that only show them.
        version: Of this service, for VERSION and the greeting of `drinkd`.
        started_ms: Start of the service, in ms since the epoch.
        shutdown: Stops the service gracefully, to be started again if True; None where
            administrators may not do that from a session.
        stat_replies: Encoded replies to STAT.
        request_id: Makes an id for each command that moves credits.
        choose: Chooses one of the slots that RAND may drop.
        tracer: Makes the spans of commands that buy.
    """

    accounts: Accounts
    transfers: Transfers
    permits: Permits
    drops: Drops
    machines: Machines
    notes: Notes
    views: Views
    version: str
    started_ms: int
    shutdown: Callable[[bool], None] | None = None
    stat_replies: StatReplies = field(default_factory=StatReplies)
    request_id: Callable[[], str] = _request_id
    choose: Callable[[Sequence[Slot]], Slot] = secrets.choice
    tracer: Tracer = NO_TRACER


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What all connections of one listener share.

    Attributes:
        listener: Settings of the listener.
        settings: Settings of all listeners.
        dialect: Words and line ends of its replies.
        services: The use cases.
        tracker: All connections of all listeners.
        buffers: Limit of the bytes that all connections hold.
        turns: Turns of connections with many lines to execute.
    """

    listener: ListenerSettings
    settings: SessionSettings
    dialect: Dialect
    services: Services
    tracker: ConnectionTracker
    buffers: BufferLimit
    turns: TurnQueue

    def decoder(self) -> LineDecoder:
        """A decoder for the bytes of one client."""
        settings, dialect = self.settings, self.dialect
        if not dialect.silence_ends_line:
            return LineDecoder(settings.line_bytes_max, settings.endless_line_bytes_max)
        return LineDecoder(
            settings.line_bytes_max,
            settings.endless_line_bytes_max,
            lambda line, more: begins_command(line, more, dialect.argument_limits),
        )

    def cached_greeting(self, machine: str | None) -> bytes | None:
        """The greeting for clients of a machine, if the machine is in memory.

        Args:
            machine: Name of the machine; None for a client without one, whom the service greets.
        """
        if machine is None:
            return self._greeting(SERVICE_NAME)
        cached = self.services.views.machines.get_cached(machine)
        return None if cached is None else self._greeting(machine_title(cached))

    async def greeting(self, machine: str) -> bytes:
        """The greeting for clients of a machine; that of the service if it cannot be read."""
        try:
            name = machine_title(await self.services.views.machines.get(machine))
        except DrinkError as error:
            log.warning("greeting_without_machine", machine=machine, reason=error.reason)
            name = SERVICE_NAME
        return self._greeting(name)

    def _greeting(self, name: str) -> bytes:
        return greeting(self.dialect, name, self.services.version)
