"""Buyers: drives a frontend, or a relay, with drops, from the process of the benchmark itself."""

import asyncio
import itertools
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from benchmarks.measure import percentile
from benchmarks.systems import MACHINES, SLOTS, Metadata, Target
from drink.v1.drop_service_pb2 import Drop, DropRequest, DropResponse

CALL_LIMIT_S = 60
"""Seconds that a drop may take."""

_METHOD = "/drink.v1.DropService/Drop"


class WrongAnswerError(Exception):
    """A drop did not come to the end that it should have come to."""


@dataclass(slots=True)
class Bought:
    """What some drops were like.

    Attributes:
        seconds: From the first request to the last answer.
        asked_at: When each drop was asked for, in seconds since the epoch.
        latencies_s: Of each drop.
        client_cpu_s: What it cost to ask for them.
        answers: As they came.
    """

    seconds: float = 0
    asked_at: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    client_cpu_s: float = 0
    answers: list[bytes] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Drops a second."""
        return len(self.latencies_s) / self.seconds

    def ms(self, share: float) -> float:
        """Milliseconds that this share of the drops did not exceed."""
        return percentile(self.latencies_s, share) * 1000

    def check(self) -> None:
        """Fails unless every can fell.

        Raises:
            WrongAnswerError: it did not.
        """
        for answer in self.answers:
            drop = DropResponse.FromString(answer).drop
            if drop.state != Drop.STATE_DISPENSED:
                raise WrongAnswerError(f"{drop.name} is {Drop.State.Name(drop.state)}")


class Buyers:
    """Connections of all buyers to one target.

    Answers are read after the run, so that little of the client's work is in what is measured.

    Args:
        calls: The method of each buyer's channel.
        metadata: Of each buyer's calls.
    """

    def __init__(
        self,
        calls: Sequence["grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"],
        metadata: Sequence[Metadata],
    ) -> None:
        self._buyers = list(zip(calls, metadata, strict=True))
        self._slots = self._turns(MACHINES)

    def only(self, machines: Sequence[str]) -> None:
        """From now on buys from these machines, in turn."""
        self._slots = self._turns(machines)

    async def buy(self, at_once: int, seconds: float) -> Bought:
        """Keeps so many drops under way for so long, each from the next machine."""
        bought = Bought()
        cpu = time.process_time()
        started = time.perf_counter()
        until = started + seconds

        async def keep_buying(number: int) -> None:
            call, metadata = self._buyers[number % len(self._buyers)]
            while (asked := time.perf_counter()) < until:
                asked_at = time.time()
                request = DropRequest(request_id=_request_id(), slot=next(self._slots))
                answer = await call(
                    request.SerializeToString(), metadata=metadata, timeout=CALL_LIMIT_S
                )
                bought.asked_at.append(asked_at)
                bought.latencies_s.append(time.perf_counter() - asked)
                bought.answers.append(answer)

        await asyncio.gather(*(keep_buying(number) for number in range(at_once)))
        bought.seconds = time.perf_counter() - started
        bought.client_cpu_s = time.process_time() - cpu
        bought.check()
        return bought

    def ask(self, machine: str) -> Iterator["asyncio.Future[bytes]"]:
        """Asks for a drop of the machine by each buyer, whose answers nobody waits for."""
        for call, metadata in self._buyers:
            request = DropRequest(request_id=_request_id(), slot=f"machines/{machine}/slots/1")
            yield asyncio.ensure_future(
                _answer(call(request.SerializeToString(), metadata=metadata, timeout=CALL_LIMIT_S))
            )

    @staticmethod
    def _turns(machines: Sequence[str]) -> Iterator[str]:
        slots = [f"machines/{m}/slots/{n}" for n in range(1, SLOTS + 1) for m in machines]
        return itertools.cycle(slots)


@asynccontextmanager
async def buyers(target: Target) -> AsyncIterator[Buyers]:
    """Buyers of a target, connected."""
    # Clients in one process share connections otherwise.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    async with AsyncExitStack() as undo:
        channels = [
            await undo.enter_async_context(grpc.aio.insecure_channel(address, options))
            for _, address in zip(target.buyers, itertools.cycle(target.addresses), strict=False)
        ]
        yield Buyers([channel.unary_unary(_METHOD) for channel in channels], target.buyers)


async def _answer(call: "grpc.aio.UnaryUnaryCall[bytes, bytes]") -> bytes:
    return await call


def _request_id() -> str:
    return str(uuid.UUID(bytes=os.urandom(16), version=4))
