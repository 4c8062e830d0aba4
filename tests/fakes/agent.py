"""An agent at the other end of a link, played line by line by a test."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Result
from drink_frontend.links.messages import (
    AgentMessage,
    BoardStatus,
    Envelope,
    FrontendMessage,
    Hello,
    ResultAck,
)
from tests.support.tasks import cancel

LIMIT_S = 20
"""Longest wait for a message in seconds; a test that waits longer has failed."""

M = TypeVar("M")

READY = BoardStatus(ready=True)


def hello(machine: str = "d", /, **changed: Any) -> Hello:
    """A sound Hello with a board that answers."""
    fields: dict[str, Any] = {
        "machine": machine,
        "protocol_version": 1,
        "boot_id": "boot-1",
        "journal_id": "journal-1",
        "journal_sequence": 0,
        "agent_version": "1.0",
        "board_status": READY,
        **changed,
    }
    return Hello(**fields)


def dispensed(drop_id: str, *, revision: int = 1, sequence: int = 1) -> Result:
    """What an agent reports of a drop that its board acknowledged."""
    return Result(drop_id, revision, State.DISPENSED, Cause.BOARD_ACK, {}, sequence)


class ScriptedAgent:
    """Says what a test tells it to, and hears what the frontend sends.

    `incoming` is the stream that the frontend reads; `connect` takes the one that it writes.

    Attributes:
        listened: Set when the frontend begins to read.
        acks_along: The acknowledgements that came along with other messages.
    """

    def __init__(self) -> None:
        self.listened = asyncio.Event()
        self.acks_along: list[ResultAck] = []
        self._said: asyncio.Queue[AgentMessage | None] = asyncio.Queue()
        self._sent: AsyncGenerator[Envelope, None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._heard: asyncio.Queue[FrontendMessage | Exception | None] = asyncio.Queue()

    async def incoming(self) -> AsyncIterator[AgentMessage]:
        """What the frontend reads."""
        self.listened.set()
        while (message := await self._said.get()) is not None:
            yield message

    def say(self, *messages: AgentMessage) -> None:
        for message in messages:
            self._said.put_nowait(message)

    def hang_up(self) -> None:
        """Ends the agent's half of the stream."""
        self._said.put_nowait(None)

    @property
    def connected(self) -> bool:
        """Whether `connect` was called."""
        return self._sent is not None

    def connect(self, sent: AsyncGenerator[Envelope, None]) -> None:
        """Begins to hear what the frontend sends."""
        self._sent = sent
        self._hearing = asyncio.create_task(self._hear(sent))

    async def _hear(self, sent: AsyncGenerator[Envelope, None]) -> None:
        try:
            async for envelope in sent:
                self.acks_along.extend(envelope.acks)
                self._heard.put_nowait(envelope.message)
        except Exception as error:
            self._heard.put_nowait(error)
        else:
            self._heard.put_nowait(None)

    async def hears(self, kind: type[M]) -> M:
        """The next message, which must be of that kind."""
        message = await self._next()
        assert isinstance(message, kind), message
        return message

    async def hears_end(self) -> None:
        """The stream ends without an error."""
        message = await self._next()
        assert message is None, message

    async def hears_error(self, kind: type[M]) -> M:
        """The stream ends with that error."""
        return await self.hears(kind)

    def heard_more(self) -> bool:
        """Whether something was heard that nobody asked about yet."""
        return not self._heard.empty()

    async def _next(self) -> object:
        async with asyncio.timeout(LIMIT_S):
            return await self._heard.get()

    async def vanish(self) -> None:
        """The stream is cut: nothing is said or heard any more."""
        assert self._hearing is not None
        assert self._sent is not None
        await cancel(self._hearing)
        await self._sent.aclose()
