"""Joins a board's driver to its byte stream on the event loop."""

import time
from collections.abc import Callable

from drink_agent.board.port import BoardEvent, StatusChanged
from drink_agent.board.settings import BoardSettings


class Board:
    """One machine's board.

    `run` must be running for anything to happen. Events are delivered on the event loop, in
    order, and never from within a call of `dispense`.
    """

    def __init__(
        self,
        settings: BoardSettings,
        on_event: Callable[[BoardEvent], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._on_event = on_event
        self._clock = clock

    @property
    def status(self) -> StatusChanged:
        """What the board says of itself now."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether a `dispense` would be commanded, as far as anyone can tell."""
        return self.status.ready

    async def wait_ready(self, timeout_s: float) -> bool:
        """Waits until `ready`; False if it is not within the time."""
        raise NotImplementedError

    async def run(self) -> None:
        """Keeps the board connected until cancelled; recovers from every fault of its stream."""
        raise NotImplementedError

    def dispense(self, drop_id: str, slot: int) -> None:
        """Runs a slot's motor once; returns at once.

        Exactly one `DispenseEnded` follows. A board that is not ready gives NOT_DISPENSED with
        BOARD_UNREACHABLE, without a byte sent. No other command may be outstanding.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Closes the stream; a command outstanding ends UNKNOWN."""
        raise NotImplementedError
