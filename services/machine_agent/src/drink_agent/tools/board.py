"""The commands `check-board` and `accept-board`, which use the board without an agent."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from drink_agent.board.board import Board
from drink_agent.board.drivers.tini import LOGIN_REFUSED
from drink_agent.board.identity import AnotherBoardError, Identity, IdentityStore
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import StreamUrl, parse_url
from drink_agent.domain.events import BoardEvent, BoardOutcome, BoardStatus
from drink_agent.domain.evidence import Outcome
from drink_agent.tools.port_advice import open_error_advice, port_name_warnings

DIAL_IN_LIMIT_S = 90.0
"""Limit, in seconds, for a board that dials in; such a board dials every minute."""

ANSWER_LIMIT_S = 30.0
"""Limit, in seconds, for a board that the agent connects to; it is probed every few seconds."""

SENSOR_WAIT_S = 1.0
"""Wait, in seconds, for the sensor messages that follow the board's first answer."""

DROP_ID = "check-board"
"""Id of the test drop, which no frontend has."""

_Print = Callable[[str], None]


async def check_board(
    settings: BoardSettings,
    show: _Print,
    *,
    identities: IdentityStore | None = None,
    slot: int | None = None,
    ready_limit_s: float | None = None,
) -> bool:
    """Waits for the board, prints its events and status, and drops a can if `slot` is given.

    If the port cannot be opened, the function returns at once.

    Args:
        settings: Settings of the board.
        show: Prints a line.
        identities: Identity of the machine's board; None accepts any board.
        slot: Slot of the can to drop; None drops nothing.
        ready_limit_s: Longest wait for the board's answer in seconds; by default the limit for its
            kind of connection.

    Returns:
        Whether the board answered and, if `slot` is given, dispensed.
    """
    ended: asyncio.Future[BoardOutcome] = asyncio.get_running_loop().create_future()

    def on_event(event: BoardEvent) -> None:
        if isinstance(event, BoardOutcome) and not ended.done():
            ended.set_result(event)

    if ready_limit_s is None:
        ready_limit_s = DIAL_IN_LIMIT_S if settings.dials_in else ANSWER_LIMIT_S
    url = parse_url(settings.url)
    with _show_board_log(url, show) as unusable:
        if identities is not None and url.scheme == "serial":
            for line in _adapter_lines(Path(url.path), identities):
                show(line)
        board = Board(settings, on_event, identities=identities)
        running = asyncio.create_task(board.run())
        try:
            show(_opening_line(url, ready_limit_s))
            if not await _answers(board, unusable, ready_limit_s):
                for line in _no_answer_lines(
                    settings, url, ready_limit_s, given_up=unusable.is_set()
                ):
                    show(line)
                return False
            await asyncio.sleep(SENSOR_WAIT_S)
            for line in _status_lines(board.status):
                show(line)
            return slot is None or await _drop(board, slot, ended, show)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await board.close()


async def _answers(board: Board, unusable: asyncio.Event, limit_s: float) -> bool:
    """Waits until the board answers or cannot be used; returns whether it answers."""
    answer = asyncio.create_task(board.wait_ready(limit_s))
    end = asyncio.create_task(unusable.wait())
    await asyncio.wait([answer, end], return_when=asyncio.FIRST_COMPLETED)
    for task in (answer, end):
        task.cancel()
    await asyncio.wait([answer, end])
    return board.ready


async def _drop(board: Board, slot: int, ended: asyncio.Future[BoardOutcome], show: _Print) -> bool:
    show(f"running the motor of slot {slot}")
    board.dispense(DROP_ID, slot)
    answer = await ended
    show(f"{answer.outcome}, {answer.cause}")
    for each in answer.evidence.lines:
        show(f"  {each.offset_ms:>+7} ms {each.direction} {each.text}")
    return answer.outcome is Outcome.DISPENSED


def _adapter_lines(device: Path, identities: IdentityStore) -> Iterator[str]:
    """Yields the adapter of a port and warnings about the port's name; nothing if it is missing."""
    with contextlib.suppress(OSError):
        if (adapter := identities.found(device)) is not None:
            yield f"{device} is {adapter}"
            yield from port_name_warnings(device, adapter)


def _opening_line(url: StreamUrl, limit_s: float) -> str:
    if url.scheme == "listen":
        where = url.host or "every address"
        return f"waiting up to {limit_s:g} s for the board to dial {where}, port {url.port}"
    return f"opening {url.path or f'{url.host} port {url.port}'}"


def _no_answer_lines(
    settings: BoardSettings, url: StreamUrl, limit_s: float, *, given_up: bool
) -> Iterator[str]:
    if given_up:
        yield "the board cannot be asked; mend that and try again"
        return
    yield f"the board did not answer within {limit_s:g} s"
    match url.scheme:
        case "listen":
            yield "  does it have power, this computer's address and port, and the right password?"
            yield "  does a firewall keep it out?"
        case "serial" | "rfc2217":
            yield f"  does it have power, and speak {settings.dialect} at {url.baudrate} baud?"
            yield "  are the wires for sending and receiving the right way round?"
        case _:
            yield f"  does the board at the other end have power, and speak {settings.dialect}?"


def _status_lines(status: BoardStatus) -> Iterator[str]:
    yield "the board answers"
    for slot, sensor in sorted(status.sensors.items()):
        yield f"slot {slot}: {sensor}"
    if not status.sensors:
        yield "no slot has reported"
    if status.temperature_celsius is not None:
        yield f"{status.temperature_celsius:.1f} degrees Celsius"
    if status.firmware_version:
        yield f"firmware {status.firmware_version}"


class _BoardLogPrinter(logging.Handler):
    """Prints the log events of the board's modules for a person, each line once."""

    def __init__(self, url: StreamUrl, show: _Print) -> None:
        super().__init__()
        self._url = url
        self._show = show
        self._shown: set[str] = set()
        self.unusable = asyncio.Event()
        """Set when waiting longer is useless."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one event."""
        fields = vars(record)
        match record.getMessage():
            case "board_unreachable":
                self._once(fields["reason"])
                for line in open_error_advice(self._url, fields["errno"]):
                    self._once(f"  {line}")
                self.unusable.set()
            case "board_refused":
                self._once(fields["reason"])
                self.unusable.set()
            case "board_connected":
                self._once(f"connected to {fields['peer']}, waiting for an answer")
            case "board_lost":
                self._once(f"connection lost: {fields['reason']}")
            case "board_logged_in":
                self._once(f"a board logged in from {fields['peer']}")
            case "stranger_turned_away":
                # Without the peer's port, which differs for each connection.
                self._once(f"turned away {fields['peer'].split(' ')[0]}: {fields['reason']}")
            case "board_note":
                self._once(fields["note"])
                if fields["note"] == LOGIN_REFUSED and self._url.scheme != "listen":
                    self._once("  another board, or board.password_file holds another password")
                    self.unusable.set()

    def _once(self, line: str) -> None:
        if line not in self._shown:
            self._shown.add(line)
            self._show(line)


@contextlib.contextmanager
def _show_board_log(url: StreamUrl, show: _Print) -> Iterator[asyncio.Event]:
    """Prints the board's log events; yields an event that is set when waiting is useless."""
    printer = _BoardLogPrinter(url, show)
    logger = logging.getLogger("drink_agent.board")
    before = logger.level, logger.propagate
    logger.addHandler(printer)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield printer.unusable
    finally:
        logger.removeHandler(printer)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def accept_board(settings: BoardSettings, identities: IdentityStore, show: _Print) -> bool:
    """Stores the connected board's adapter as the machine's; a running agent applies it at once.

    Args:
        settings: Settings of the board.
        identities: Stored identity of the machine's board.
        show: Prints a line.

    Returns:
        False if the board's port is missing; nothing is stored then.

    Raises:
        OSError: The identity could not be stored.
    """
    try:
        known = identities.load()
        show(f"until now: {_description(known)}")
    except AnotherBoardError as error:
        show(str(error).rpartition(";")[0])
    url = parse_url(settings.url)
    adapter = None
    if url.scheme == "serial":
        try:
            adapter = identities.found(Path(url.path))
        except OSError as error:
            show(f"{url.path}: {error.strerror}; plug the machine's board in first")
            return False
    if adapter is None:
        identities.forget()
        show("from now on: the next board that answers")
    else:
        accepted = Identity(adapter)
        identities.save(accepted)
        show(f"from now on: {_description(accepted)}")
    return True


def _description(identity: Identity | None) -> str:
    if identity is None or identity == Identity():
        return "any board"
    words = [] if identity.adapter is None else [str(identity.adapter)]
    if identity.greeting:
        words.append("with the login that it was known by")
    return ", ".join(words)
