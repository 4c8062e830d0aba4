"""Greetings, without asking the database for each of ten thousand clients."""

import structlog

from drink_frontend.domain.errors import DrinkError
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.encoding import greeting
from drink_frontend.sessions.replies import title
from drink_frontend.sessions.services import Services

log = structlog.get_logger(__name__)

KEPT_S = 10.0
"""Seconds for which a machine's name is kept. Names change once in years."""

SERVICE_NAME = "Drink"
"""What a client is welcomed to when it has not come to a machine."""


class Greeter:
    """Knows what each machine is called.

    Args:
        services: What it asks.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._names: dict[str, tuple[float, str]] = {}

    def known(self, dialect: Dialect, machine: str | None) -> bytes | None:
        """The greeting for clients of a machine (of none: of the service), if it is known."""
        if machine is None:
            return self._greeting(dialect, SERVICE_NAME)
        until, name = self._names.get(machine, (0.0, ""))
        if self._services.clock.monotonic() >= until:
            return None
        return self._greeting(dialect, name)

    async def found(self, dialect: Dialect, machine: str) -> bytes:
        """The greeting for clients of a machine; of the service if the machine has no name."""
        try:
            chosen = await self._services.machines.get(machine)
        except DrinkError as error:
            log.warning("greeting_without_machine", machine=machine, reason=error.reason)
            return self._greeting(dialect, SERVICE_NAME)
        name = title(chosen)
        # The names come from the settings, so there are only a few.
        self._names[machine] = (self._services.clock.monotonic() + KEPT_S, name)
        return self._greeting(dialect, name)

    def _greeting(self, dialect: Dialect, name: str) -> bytes:
        return greeting(dialect, name, self._services.version)
