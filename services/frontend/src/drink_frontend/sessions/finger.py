"""Finger (RFC 1288): the stock of the machines, without a login."""

import asyncio
import socket
from collections.abc import Iterable, Sequence

import structlog

from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.domain.errors import DrinkError
from drink_frontend.domain.origin import place
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.sessions.dialects import ITEM_BYTES_MAX, NAME_BYTES_MAX, clean
from drink_frontend.sessions.replies import UNKNOWN_LOCATION, machine_title
from drink_frontend.sessions.settings import FingerSettings
from drink_frontend.system import connection_filter
from drink_frontend.system.connection_rates import ConnectionRates, OpeningSettings
from drink_frontend.system.sockets import endpoint_address, listen
from drink_frontend.usecases.machines import Machines

log = structlog.get_logger(__name__)

QUERY_BYTES_MAX = 512
"""Bytes of the longest query; as a session's line."""

QUERY_LIMIT_S = 10.0
"""Seconds from connecting to the end of the answer."""

QUERIES_MAX = 64
"""Queries at once: more than the people of a campus make, and few of the open files."""

QUERIES_PER_PLACE_MAX = 16
"""Queries at once from one address, so that silent clients delay only their own address."""

BUSY_QUERIES, BUSY_S = 100, 5.0
"""So many queries in fewer seconds are logged as `finger_busy`, answered or not."""

BUSY_INTERVAL_S = 60.0
"""Seconds between two such lines."""

BAR_MAX = 40
"""Characters of the longest bar of a graph."""

_RULE = "-" * 56
_INFO = (
    "Ask for one of:",
    "  (nothing)        what there is, with prices and stock",
    "  temp             the temperature",
    "  graph            the stock as bars",
    "  info             this text",
    "  a machine        what it holds",
    "  a slot or item   that slot",
)


def answer(query: str, machines: Sequence[Machine], here: str | None) -> list[str]:
    """The answer to a query, line by line.

    Args:
        query: The query, without its line end.
        machines: All machines.
        here: Name of the machine that the query came to; None for all of them.
    """
    asked = " ".join(word for word in query.split() if word.upper() != "/W")
    if "@" in asked:
        return ["Finger forwarding service denied"]
    shown = [machine for machine in machines if here in {None, machine.name}]
    named = [machine for machine in machines if machine.name == asked]
    if named:
        return _listing(named[0])
    match asked.lower():
        case "":
            lines = _joined(_listing(machine) for machine in shown)
        case "temp":
            lines = [f"{_name(machine)}: {_temperature(machine)}" for machine in shown]
        case "graph":
            lines = _joined(_graph(machine) for machine in shown)
        case "info" | "help":
            lines = list(_INFO)
        case wanted:
            lines = _joined(_found(machine, wanted) for machine in shown)
            return lines or ["Slot not found"]
    return lines or ["Machine not found"]


def _joined(parts: Iterable[list[str]]) -> list[str]:
    """The non-empty parts, separated by empty lines."""
    lines: list[str] = []
    for part in filter(None, parts):
        lines += ["", *part] if lines else part
    return lines


def _name(machine: Machine) -> str:
    return clean(machine_title(machine), NAME_BYTES_MAX)


def _item(slot: Slot) -> str:
    return clean(slot.item, ITEM_BYTES_MAX)


def _temperature(machine: Machine) -> str:
    celsius = machine.temperature_celsius
    if celsius is None:
        return "Unable to determine temperature."
    return f"Drink temperature is {celsius * 9 / 5 + 32:.1f} F"


def _head(machine: Machine) -> list[str]:
    return [
        f"Motd:      Welcome to {_name(machine)}!",
        f"Location:  {clean(machine.location.strip() or UNKNOWN_LOCATION, NAME_BYTES_MAX)}",
        "",
    ]


def _row(slot: Slot) -> str:
    off = "" if slot.enabled else "  (disabled)"
    return (
        f"{slot.number:>4}   {_item(slot):<20} {slot.price:>6} {slot.available:>8}"
        f" {slot.dispensed:>8}{off}"
    )


_COLUMNS = f"{'SLOT':<4}   {'DRINK':<20} {'COST':>6} {'# LEFT':>8} {'# SOLD':>8}"


def _listing(machine: Machine) -> list[str]:
    rows = [_row(slot) for slot in machine.slots]
    return [*_head(machine), _COLUMNS, _RULE, *rows, _RULE, _temperature(machine)]


def _graph(machine: Machine) -> list[str]:
    fullest = max((slot.available for slot in machine.slots), default=0)
    scale = min(1.0, BAR_MAX / fullest) if fullest else 0.0
    bars = [
        f"{slot.number:>4}   {_item(slot):<20} {'#' * round(slot.available * scale)}"
        f" {slot.available}"
        for slot in machine.slots
    ]
    return [*_head(machine), *bars]


def _found(machine: Machine, wanted: str) -> list[str]:
    rows = [_row(slot) for slot in machine.slots if wanted in {str(slot.number), slot.item.lower()}]
    return [*_head(machine), _COLUMNS, _RULE, *rows] if rows else []


class FingerServer:
    """Answers finger queries.

    Args:
        settings: The port, and the machine of each local address.
        machines: The machines.
        opening: How often strangers may connect.
    """

    def __init__(
        self, settings: FingerSettings, machines: Machines, opening: OpeningSettings
    ) -> None:
        self._settings = settings
        self._machines = machines
        self._crowded_cost = opening.crowded_cost
        self._rates = ConnectionRates("finger", opening, self._ignore)
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None
        self._queries: dict[asyncio.Task[None], str] = {}
        self._counted = 0
        self._counted_since = 0.0
        self._busy = LogRateLimiter(1, BUSY_INTERVAL_S)

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port."""
        assert self._server is not None, "started"
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Begins to serve.

        Raises:
            OSError: the port cannot be used.
        """
        listener = listen(self._settings.address, self._settings.port)
        self._listener = listener
        self._server = await asyncio.start_server(self._take, sock=listener, limit=QUERY_BYTES_MAX)
        log.info("finger_listening", address=self.address)

    def resume(self) -> None:
        """Lets places connect again whose pause is over; called periodically."""
        self._rates.resume(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        """Ends everything at once."""
        if self._server is not None:
            self._server.close()
        for query in self._queries:
            query.cancel()
        await asyncio.gather(*self._queries, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here = place(endpoint_address(writer.get_extra_info("peername")))
        self._count(here)
        of_place = sum(each == here for each in self._queries.values())
        is_crowded = len(self._queries) >= QUERIES_MAX or of_place >= QUERIES_PER_PLACE_MAX
        now = asyncio.get_running_loop().time()
        self._rates.count(here, now, self._crowded_cost if is_crowded else 1)
        if is_crowded:
            log.warning("finger_turned_away", queries=len(self._queries))
            writer.transport.abort()
            return
        query = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._queries[query] = here
        query.add_done_callback(self._queries.pop)

    def _ignore(self, places: Sequence[str]) -> bool:
        return self._listener is not None and connection_filter.ignore(self._listener, places)

    def _count(self, here: str) -> None:
        """Counts a query; logs many queries in a short time."""
        now = asyncio.get_running_loop().time()
        if not self._counted:
            self._counted_since = now
        self._counted += 1
        if self._counted < BUSY_QUERIES:
            return
        took_s, self._counted = now - self._counted_since, 0
        if took_s < BUSY_S and self._busy.passes(now) is not None:
            log.warning(
                "finger_busy", queries=BUSY_QUERIES, seconds=round(took_s, 1), latest_from=here
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(QUERY_LIMIT_S):
                # A LimitOverrunError becomes this ValueError.
                query = (await reader.readline()).decode(errors="replace")
                here = self._settings.machine_at(
                    endpoint_address(writer.get_extra_info("sockname"))
                )
                lines = answer(query, await self._machines.list(), here)
                writer.write("".join(f"{line}\r\n" for line in lines).encode())
                writer.close()
                await writer.wait_closed()
        except (DrinkError, OSError, ValueError, RuntimeError) as error:
            # A RuntimeError: uvloop's transport was reset while the query waited.
            log.debug("finger_not_answered", error=type(error).__name__)
        finally:
            writer.transport.abort()
