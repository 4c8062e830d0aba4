"""Talks to the board directly, with no agent in between."""

import asyncio
from collections.abc import Callable, Iterator

from drink_agent.board.board import Board
from drink_agent.board.port import BoardEvent, DispenseEnded, StatusChanged
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Outcome

READY_LIMIT_S = 90.0
"""Time for the board to answer; one that dials in tries again every minute."""

SENSOR_WAIT_S = 1.0
"""Time for the sensors that follow the board's first answer."""

DROP_ID = "check-board"
"""Stands in for the id of a drop; no frontend knows of it."""


async def check_board(
    settings: BoardSettings,
    tell: Callable[[str], None],
    *,
    slot: int | None = None,
    ready_limit_s: float = READY_LIMIT_S,
) -> bool:
    """Waits for the board, tells what it says, and drops a can if asked to.

    Args:
        settings: How the board is reached.
        tell: Takes lines for a person.
        slot: Where to drop one can; None drops nothing.
        ready_limit_s: Time for the board to answer.

    Returns:
        Whether the board answered, and dispensed if it was asked to.
    """
    ended: asyncio.Future[DispenseEnded] = asyncio.get_running_loop().create_future()

    def on_event(event: BoardEvent) -> None:
        if isinstance(event, DispenseEnded) and not ended.done():
            ended.set_result(event)

    board = Board(settings, on_event)
    running = asyncio.create_task(board.run())
    try:
        tell(f"waiting for the board at {settings.url}")
        if not await board.wait_ready(ready_limit_s):
            tell(f"it did not answer within {ready_limit_s:g} s")
            return False
        await asyncio.sleep(SENSOR_WAIT_S)
        for line in _status(board.status):
            tell(line)
        if slot is None:
            return True
        tell(f"running the motor of slot {slot}")
        board.dispense(DROP_ID, slot)
        answer = await ended
        tell(f"{answer.outcome}, {answer.cause}")
        for each in answer.evidence.lines:
            tell(f"  {each.offset_ms:>+7} ms {each.direction} {each.text}")
        return answer.outcome is Outcome.DISPENSED
    finally:
        running.cancel()
        await asyncio.wait([running])


def _status(status: StatusChanged) -> Iterator[str]:
    yield "the board answers"
    for slot, sensor in sorted(status.sensors.items()):
        yield f"slot {slot}: {sensor}"
    if not status.sensors:
        yield "no slot has reported"
    if status.temperature_celsius is not None:
        yield f"{status.temperature_celsius:.1f} degrees Celsius"
