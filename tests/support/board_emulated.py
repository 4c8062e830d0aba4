"""Emulated boards for tests, with a fast motor and free ports."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import DialHost, ListenHost, PtyHost
from drink_agent.board.emulator.spec import BoardSpec

MOTOR_S = 0.05
"""Motor time of a fast board, in seconds."""


def quick(**changes: object) -> EmulatedBoard:
    """A board of three slots, the third one empty, with a fast motor."""
    values: dict[str, object] = {"cans": {1: 5, 2: 1, 3: 0}, "motor_s": MOTOR_S}
    return EmulatedBoard(BoardSpec(**(values | changes)))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def on_pty(link: Path, board: EmulatedBoard | None = None) -> AsyncIterator[PtyHost]:
    """A board on a pseudo terminal."""
    async with PtyHost(board or quick(), link) as host:
        yield host


@contextlib.asynccontextmanager
async def listening(board: EmulatedBoard | None = None) -> AsyncIterator[ListenHost]:
    """A board that is dialled."""
    async with ListenHost(board or quick(), "127.0.0.1", 0) as host:
        yield host


@contextlib.asynccontextmanager
async def dialling(port: int, board: EmulatedBoard | None = None) -> AsyncIterator[DialHost]:
    """A board that dials in."""
    async with DialHost(board or quick(), "127.0.0.1", port, redial_s=0.02) as host:
        yield host
