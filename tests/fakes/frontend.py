"""A frontend that speaks the link's contract over real gRPC, played step by step by a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self

import grpc

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_link_service_pb2 import (
    AgentStats,
    ConnectRequest,
    ConnectResponse,
    Dispense,
    Goodbye,
    Heartbeat,
    Hello,
    Result,
    ResultAck,
    Welcome,
)
from drink.v1.machine_link_service_pb2_grpc import (
    MachineLinkServiceServicer,
    add_MachineLinkServiceServicer_to_server,
)

LIMIT_S = 20.0
"""Longest wait for anything an agent is to do, in seconds; a test that waits longer has failed."""

FINAL = {Drop.STATE_DISPENSED, Drop.STATE_NOT_DISPENSED, Drop.STATE_UNKNOWN}

Context = grpc.aio.ServicerContext[ConnectRequest, ConnectResponse]


class FakeLink:
    """One stream of an agent, from its Hello on."""

    def __init__(self, hello: Hello, metadata: dict[str, str]) -> None:
        self.hello = hello
        self.metadata = metadata
        self.epoch = 0
        self.ended = asyncio.Event()
        self.said_goodbye = False
        self.results: list[Result] = []
        self.statuses = [hello.board_status]
        self.heartbeats: list[Heartbeat] = []
        self.not_received: list[str] = []
        self.stats: list[AgentStats] = []
        self.answers_heartbeats = True
        self.acknowledges = True
        self._outgoing: asyncio.Queue[ConnectResponse | Exception | None] = asyncio.Queue()
        self._changed = asyncio.Event()

    def say(self, response: ConnectResponse) -> None:
        """Sends any message."""
        self._outgoing.put_nowait(response)

    def welcome(
        self,
        epoch: int = 1,
        wanted: Sequence[str] = (),
        interval_s: int = 1,
        journal_report_ms: int = 0,
        stats_interval_s: int = 0,
    ) -> None:
        """Takes the link."""
        self.epoch = epoch
        wanted_drops = [f"drops/{drop}" for drop in wanted]
        self.say(
            ConnectResponse(
                welcome=Welcome(
                    epoch=epoch,
                    wanted_drops=wanted_drops,
                    heartbeat_interval_seconds=interval_s,
                    journal_report_ms=journal_report_ms,
                    stats_interval_seconds=stats_interval_s,
                )
            )
        )

    def dispense(
        self,
        drop: str,
        *,
        slot: int = 1,
        ttl_ms: int = 10_000,
        epoch: int | None = None,
        traceparent: str = "",
    ) -> None:
        """Commands a drop."""
        epoch = self.epoch if epoch is None else epoch
        message = Dispense(
            drop=f"drops/{drop}", epoch=epoch, slot=slot, ttl_ms=ttl_ms, traceparent=traceparent
        )
        self.say(ConnectResponse(dispense=message))

    async def drop(self, drop: str, **terms: Any) -> Result:
        """Commands a drop and waits for its report."""
        self.dispense(drop, **terms)
        return await self.result(drop)

    def ack(self, result: Result) -> None:
        """Acknowledges a result."""
        ack = ResultAck(drop=result.drop, revision=result.revision)
        self.say(ConnectResponse(result_ack=ack))

    def goodbye(self, reason: Goodbye.Reason.ValueType) -> None:
        """Closes the link on purpose."""
        self.say(ConnectResponse(goodbye=Goodbye(reason=reason)))
        self._outgoing.put_nowait(None)

    def cut(self) -> None:
        """Ends the stream without a word."""
        self._outgoing.put_nowait(None)

    def fail(self, code: grpc.StatusCode, reason: str) -> None:
        """Refuses the stream, as the frontend does, with a reason of drink.v1."""
        self._outgoing.put_nowait(_RefusalError(code, reason))

    async def until(self, condition: Callable[[Self], object]) -> None:
        """Waits until the condition holds for what the agent has said."""
        async with asyncio.timeout(LIMIT_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def result(self, drop: str, revision: int = 1) -> Result:
        """Waits for the report of a drop."""

        def reports(link: FakeLink) -> list[Result]:
            wanted = (f"drops/{drop}", revision)
            return [each for each in link.results if (each.drop, each.revision) == wanted]

        await self.until(reports)
        return reports(self)[0]

    def _hear(self, request: ConnectRequest) -> None:
        match request.WhichOneof("message"):
            case "result":
                self._hear_result(request.result)
            case "not_received":
                self.not_received.append(request.not_received.drop.removeprefix("drops/"))
            case "board_status":
                self.statuses.append(request.board_status)
            case "heartbeat":
                assert request.heartbeat.sequence == len(self.heartbeats) + 1
                self.heartbeats.append(request.heartbeat)
                if self.answers_heartbeats:
                    answer = Heartbeat(sequence=request.heartbeat.sequence)
                    self.say(ConnectResponse(heartbeat=answer))
            case "agent_stats":
                self.stats.append(request.agent_stats)
            case "goodbye":
                assert request.goodbye.reason == Goodbye.REASON_SHUTTING_DOWN
                self.said_goodbye = True
            case kind:
                raise AssertionError(f"an agent does not say {kind} here")
        self._changed.set()

    def _hear_result(self, result: Result) -> None:
        assert result.drop.startswith("drops/")
        assert result.revision >= 1
        assert result.outcome in FINAL
        assert result.cause != Drop.CAUSE_UNSPECIFIED
        assert result.journal_sequence >= 1
        assert len(result.evidence.lines) <= 32
        self.results.append(result)
        if self.acknowledges:
            self.ack(result)


class _RefusalError(Exception):
    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FakeFrontend(MachineLinkServiceServicer):
    """Listens on loopback; hands each link to the test once its Hello is there.

    Args:
        greet: Called for each new link, to welcome it or not; by default the test does.
        host: Where it listens.
        port: On which port; 0 for any.
    """

    def __init__(
        self,
        greet: Callable[[FakeLink], None] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._greet = greet
        self._host = host
        self._links: asyncio.Queue[FakeLink] = asyncio.Queue()
        self._server: grpc.aio.Server | None = None
        self.port = port
        self.faults: list[BaseException] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        assert not self.faults, self.faults

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listens, on the same port as before if it did before."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_MachineLinkServiceServicer_to_server(self, server)
        if credentials is None:
            self.port = server.add_insecure_port(self.address)
        else:
            self.port = server.add_secure_port(self.address, credentials)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Stops at once, links and all."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def next_link(self) -> FakeLink:
        """Waits for the next agent that dials in."""
        async with asyncio.timeout(LIMIT_S):
            return await self._links.get()

    async def Connect(  # noqa: N802  # the name in the protocol
        self, request_iterator: AsyncIterator[ConnectRequest], context: Context
    ) -> AsyncIterator[ConnectResponse]:
        """Serves one link."""
        first = await anext(aiter(request_iterator))
        assert first.WhichOneof("message") == "hello"
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        link = FakeLink(first.hello, metadata)
        if self._greet is not None:
            self._greet(link)
        self._links.put_nowait(link)
        reader = asyncio.create_task(self._read(link, request_iterator))
        try:
            while (response := await link._outgoing.get()) is not None:
                if isinstance(response, _RefusalError):
                    trailing = (("drink-error-reason", response.reason),)
                    await context.abort(response.code, "refused", trailing)
                if isinstance(response, ConnectResponse):
                    yield response
        finally:
            reader.cancel()
            link.ended.set()

    async def _read(self, link: FakeLink, requests: AsyncIterator[ConnectRequest]) -> None:
        try:
            async for request in requests:
                link._hear(request)
            link.cut()
        except AssertionError as fault:
            self.faults.append(fault)
            link.cut()


def welcome_all(interval_s: int = 1) -> Callable[[FakeLink], None]:
    """Returns a greeting that takes every link, each with the next epoch."""
    epoch = 0

    def greet(link: FakeLink) -> None:
        nonlocal epoch
        epoch += 1
        link.welcome(epoch, interval_s=interval_s)

    return greet
