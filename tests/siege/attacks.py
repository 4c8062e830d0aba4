"""What attacks are made of: where they go, from where, how fast, until when; and their registry."""

import asyncio
import contextlib
import json
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum

from tests.support.http2 import WINDOW_MAX, Headers, Http2Connection

TICK_S = 0.02
"""Seconds between two portions of a flood."""

RETRY_S = 0.05
"""Seconds until an attacker that was thrown out comes again."""

CONNECT_LIMIT_S = 5.0
"""Seconds that an attacker waits for its connection; a full backlog takes none."""


class Origin(StrEnum):
    """Whose addresses the attackers have."""

    OTHERS = "others"
    """Addresses of their own, none of which an honest client has."""
    SAME = "same"
    """The honest clients' address."""


ADDRESSES = {
    Origin.OTHERS: [f"127.0.0.{number}" for number in range(2, 18)],
    Origin.SAME: ["127.0.0.1"],
}


@dataclass(frozen=True)
class Target:
    """The system that is attacked, and what the attackers have got hold of.

    Attributes:
        rpc_port: Of gRPC.
        session_port: Of the plain sessions.
        tls_session_port: Of the sessions over TLS.
        drinkjs_port: Of the sessions whose dialect ends no idle client.
        finger_port: Of finger.
        tls: Whether gRPC is served over TLS.
        buyer: An attacker's own account, by name.
        password: Its password.
        token: A bearer token of it.
        machine: The machine whose token was stolen.
        machine_token: That token.
        drops: Drops of that machine, all settled.
        other_drops: Settled drops of other machines.
        slot: An empty slot of a machine of the honest.
    """

    rpc_port: int
    session_port: int
    tls_session_port: int
    drinkjs_port: int
    finger_port: int
    tls: bool
    buyer: str
    password: str
    token: str
    machine: str
    machine_token: str
    drops: Sequence[str]
    other_drops: Sequence[str]
    slot: str

    @property
    def ports(self) -> Sequence[int]:
        """All of them."""
        sessions = (self.session_port, self.tls_session_port, self.drinkjs_port)
        return (self.rpc_port, *sessions, self.finger_port)

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Target":
        """From another process."""
        return cls(**json.loads(text))


class Siege:
    """One attack under way.

    Args:
        target: What is attacked.
        origin: Whose addresses the attackers have.
        seconds: How long.
        seed: Of every choice.

    Attributes:
        counts: What was done and what came of it.
    """

    def __init__(self, target: Target, origin: Origin, seconds: float, seed: str) -> None:
        self.target = target
        self.seconds = seconds
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self._addresses = ADDRESSES[origin]
        self._turn = 0

    def address(self) -> str:
        """The next attacker's address."""
        self._turn += 1
        return self._addresses[self._turn % len(self._addresses)]

    @property
    def bearer(self) -> Headers:
        """The metadata of the attacking buyer."""
        return (("authorization", f"Bearer {self.target.token}"),)

    async def paced(self, per_second: float) -> AsyncIterator[int]:
        """How many are to be sent, again and again, so that it is this many a second for ever."""
        started, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - started) * per_second) + 1
            # Who was held up does not make up for it in one go.
            sent = max(sent, due - int(per_second * 5 * TICK_S) - 1)
            if due > sent:
                self.counts["sent"] += due - sent
                yield due - sent
                sent = due
            await asyncio.sleep(TICK_S)

    async def all(self, count: int, one: Callable[[], Awaitable[None]]) -> None:
        """So many attackers at once, each of which comes again when it is thrown out."""

        async def again() -> None:
            while True:
                try:
                    await one()
                except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
                    self.counts["thrown out"] += 1
                await asyncio.sleep(RETRY_S)

        await asyncio.gather(*(again() for _ in range(count)))

    @asynccontextmanager
    async def connection(
        self, port: int, *, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A TCP connection.

        Raises:
            OSError: there is none.
            TimeoutError: there is none in time.
        """
        async with asyncio.timeout(CONNECT_LIMIT_S):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(self.address(), 0), ssl=tls
            )
        self.counts["connections"] += 1
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def wire(
        self, *, window: int = WINDOW_MAX, reads: bool = True, answers: bool = True
    ) -> AsyncIterator[Http2Connection]:
        """An HTTP/2 connection that has begun."""
        async with self.connection(self.target.rpc_port) as (reader, writer):
            wire = Http2Connection(reader, writer, reads=reads, answers=answers)
            wire.begin(window=window)
            try:
                yield wire
            finally:
                for kind in ("answers", "GoAway", "RstStream"):
                    self.counts[kind] += wire.heard[kind]
                await wire.close()

    async def socket(self, port: int) -> socket.socket:
        """A connected socket without a task that reads from it; the caller closes it."""
        loop = asyncio.get_running_loop()
        made = socket.socket()
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.address(), 0))
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await loop.sock_connect(made, ("127.0.0.1", port))
        except BaseException:
            made.close()
            raise
        self.counts["connections"] += 1
        return made

    async def run(self, attack: "Attack") -> None:
        """Attacks for as long as it is to last."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await attack.run(self)


class Needs(StrEnum):
    """Which system an attack needs."""

    PLAIN = "plain"
    """Plain text on the ports of gRPC and of sessions, and a session port with TLS."""
    TLS = "tls"
    """TLS on the port of gRPC."""


@dataclass(frozen=True)
class Attack:
    """One way to attack.

    Attributes:
        name: On the command line.
        who: Who can do it: a stranger, a buyer, a machine's token.
        what: What is done, and at what rate, for people.
        run: Does it until it is cancelled.
        origins: Whose addresses it is done from, one row for each.
        needs: Which system it needs.
    """

    name: str
    who: str
    what: str
    run: Callable[[Siege], Awaitable[None]]
    origins: Sequence[Origin]
    needs: Needs


ATTACKS: dict[str, Attack] = {}
"""All of them by name, once `tests.siege.every` is imported."""

BOTH = (Origin.OTHERS, Origin.SAME)

Function = Callable[[Siege], Awaitable[None]]


def attack(
    who: str,
    what: str,
    *,
    origins: Sequence[Origin] = (Origin.OTHERS,),
    needs: Needs = Needs.PLAIN,
) -> Callable[[Function], Function]:
    """Registers a function as an attack, by its name."""

    def register(run: Function) -> Function:
        name = str(run.__name__).replace("_", "-")
        assert name not in ATTACKS, name
        ATTACKS[name] = Attack(name, who, what, run, origins, needs)
        return run

    return register


STRANGER, BUYER, MACHINE = "a stranger", "a buyer", "a machine's token"
