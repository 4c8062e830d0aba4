"""Talks to the board directly, with no agent in between."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from drink_agent.board.board import Board
from drink_agent.board.identity import BoardMemory
from drink_agent.board.login import LOGIN_REFUSED
from drink_agent.board.port import BoardEvent, DispenseEnded, StatusChanged
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import StreamUrl, parse_url
from drink_agent.domain.evidence import Outcome
from drink_agent.tools.advice import advice
from drink_agent.tools.port_name import warnings_of

DIAL_IN_LIMIT_S = 90.0
"""Seconds for a board that dials in; it tries again every minute."""

ANSWER_LIMIT_S = 30.0
"""Seconds for a board on a wire of our own, which is asked every few seconds."""

SENSOR_WAIT_S = 1.0
"""Seconds for the sensors that follow the board's first answer."""

DROP_ID = "check-board"
"""Stands in for the id of a drop; no frontend knows of it."""

_Tell = Callable[[str], None]


async def check_board(
    settings: BoardSettings,
    tell: _Tell,
    *,
    memory: BoardMemory | None = None,
    slot: int | None = None,
    ready_limit_s: float | None = None,
) -> bool:
    """Waits for the board, tells what happens and what it says, and drops a can if asked to.

    A port that cannot be opened ends it at once.

    Args:
        settings: How the board is reached.
        tell: Takes lines for a person.
        memory: Tells the machine's own board from others; None takes any.
        slot: Where to drop one can; None drops nothing.
        ready_limit_s: Seconds for the board to answer; None: as long as one of its kind may take.

    Returns:
        Whether the board answered, and dispensed if it was asked to.
    """
    ended: asyncio.Future[DispenseEnded] = asyncio.get_running_loop().create_future()

    def on_event(event: BoardEvent) -> None:
        if isinstance(event, DispenseEnded) and not ended.done():
            ended.set_result(event)

    if ready_limit_s is None:
        ready_limit_s = DIAL_IN_LIMIT_S if settings.dials_in else ANSWER_LIMIT_S
    url = parse_url(settings.url)
    with _telling(url, tell) as hopeless:
        if memory is not None and url.scheme == "serial":
            for line in _adapter(Path(url.path), memory):
                tell(line)
        board = Board(settings, on_event, memory=memory)
        running = asyncio.create_task(board.run())
        try:
            tell(_beginning(url, ready_limit_s))
            if not await _answers(board, hopeless, ready_limit_s):
                for line in _silence(settings, url, ready_limit_s, given_up=hopeless.is_set()):
                    tell(line)
                return False
            await asyncio.sleep(SENSOR_WAIT_S)
            for line in _status(board.status):
                tell(line)
            return slot is None or await _drop(board, slot, ended, tell)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await board.close()


async def _answers(board: Board, hopeless: asyncio.Event, limit_s: float) -> bool:
    """Waits until the board answers, or it is clear that it will not."""
    answer = asyncio.create_task(board.wait_ready(limit_s))
    end = asyncio.create_task(hopeless.wait())
    await asyncio.wait([answer, end], return_when=asyncio.FIRST_COMPLETED)
    for task in (answer, end):
        task.cancel()
    await asyncio.wait([answer, end])
    return board.ready


async def _drop(board: Board, slot: int, ended: asyncio.Future[DispenseEnded], tell: _Tell) -> bool:
    tell(f"running the motor of slot {slot}")
    board.dispense(DROP_ID, slot)
    answer = await ended
    tell(f"{answer.outcome}, {answer.cause}")
    for each in answer.evidence.lines:
        tell(f"  {each.offset_ms:>+7} ms {each.direction} {each.text}")
    return answer.outcome is Outcome.DISPENSED


def _adapter(device: Path, memory: BoardMemory) -> Iterator[str]:
    """What is behind the port's name, if it is there; if not, opening it will say so."""
    with contextlib.suppress(OSError):
        if (adapter := memory.found(device)) is not None:
            yield f"{device} is {adapter}"
            yield from warnings_of(device, adapter)


def _beginning(url: StreamUrl, limit_s: float) -> str:
    if url.scheme == "listen":
        where = url.host or "every address"
        return f"waiting up to {limit_s:g} s for the board to dial {where}, port {url.port}"
    return f"opening {url.path or f'{url.host} port {url.port}'}"


def _silence(
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


def _status(status: StatusChanged) -> Iterator[str]:
    yield "the board answers"
    for slot, sensor in sorted(status.sensors.items()):
        yield f"slot {slot}: {sensor}"
    if not status.sensors:
        yield "no slot has reported"
    if status.temperature_celsius is not None:
        yield f"{status.temperature_celsius:.1f} degrees Celsius"


class _Teller(logging.Handler):
    """Turns what the board's side logs into lines for a person, each of them once."""

    def __init__(self, url: StreamUrl, tell: _Tell) -> None:
        super().__init__()
        self._url = url
        self._tell = tell
        self._told: set[str] = set()
        self.hopeless = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Tells an event of the log."""
        facts = vars(record)
        match record.getMessage():
            case "board_unreachable":
                self._once(facts["reason"])
                for line in advice(self._url, facts["errno"]):
                    self._once(f"  {line}")
                self.hopeless.set()
            case "board_refused":
                self._once(facts["reason"])
                self.hopeless.set()
            case "board_connected":
                self._once(f"connected to {facts['peer']}, waiting for an answer")
            case "board_lost":
                self._once(f"connection lost: {facts['reason']}")
            case "board_logged_in":
                self._once(f"a board logged in from {facts['peer']}")
            case "stranger_turned_away":
                # The port of a connection is another one each time.
                self._once(f"turned away {facts['peer'].split(' ')[0]}: {facts['reason']}")
            case "board_note":
                self._once(facts["note"])
                if facts["note"] == LOGIN_REFUSED and self._url.scheme != "listen":
                    self._once("  another board, or board.password_file holds another password")
                    self.hopeless.set()

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


@contextlib.contextmanager
def _telling(url: StreamUrl, tell: _Tell) -> Iterator[asyncio.Event]:
    """Tells what the board's side logs while it lasts; yields what says that waiting is no use."""
    teller = _Teller(url, tell)
    logger = logging.getLogger("drink_agent.board")
    before = logger.level, logger.propagate
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield teller.hopeless
    finally:
        logger.removeHandler(teller)
        logger.setLevel(before[0])
        logger.propagate = before[1]
