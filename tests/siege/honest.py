"""Honest clients: they buy all the time, others come and go, and somebody asks for health."""

import contextlib
import itertools
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import account_service_pb2_grpc
from drink.v1 import drop_service_pb2 as drops
from scripts.client import Client, open_channel
from scripts.plan import UserPlan
from tests.siege.siege_system import (
    CALLERS,
    NEWCOMER,
    SLOTS,
    TYPIST_MACHINES,
    TYPISTS,
    SiegeSystem,
)

PATIENCE_S = 10.0
"""Seconds that an honest client waits for one answer before it tries again."""

PAUSE_S = 0.05
"""Seconds until somebody who was refused tries again."""

NEWCOMER_PATIENCE_S = 5.0
"""Seconds that somebody who just came waits for each answer."""

NEWCOMER_PAUSE_S = 1.0
"""Seconds between two newcomers of a kind."""

HEALTH_PAUSE_S, HEALTH_LIMIT_S = 0.5, 3.0
"""Seconds between two questions for health, and that an answer may take."""

JOIN_LIMIT_S = 30.0


class NotServedError(Exception):
    """An honest client did not get what it should get."""


@dataclass
class Tally:
    """What one honest client saw; times are monotonic seconds.

    Attributes:
        drops: When each drop was answered, and how many seconds after it was first asked for.
        failures: When a try failed, and why.
        asked: When the drop was first asked for that has no answer yet.
    """

    drops: list[tuple[float, float]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    asked: float | None = None


class Buyer(threading.Thread):
    """Buys can after can, and asks again when it is not answered.

    Args:
        system: Where.
        user: Who.
        machine: At which machine.
        enough: Set when it is to end.
    """

    def __init__(
        self, system: SiegeSystem, user: UserPlan, machine: str, enough: threading.Event
    ) -> None:
        super().__init__(name=user.name, daemon=True)
        self.tally = Tally()
        self.system, self.user, self.machine, self.enough = system, user, machine, enough
        self._slots = itertools.cycle(range(1, SLOTS + 1))

    def run(self) -> None:
        """Buys until it is enough."""
        while not self.enough.is_set():
            self.tally.asked = time.monotonic()
            slot, request_id = next(self._slots), str(uuid.uuid4())
            while not self.enough.is_set():
                try:
                    self.buy(slot, request_id)
                except (OSError, grpc.RpcError, NotServedError, ValueError) as error:
                    self.tally.failures.append((time.monotonic(), _why(error)))
                    if isinstance(error, NotServedError):
                        # That was the outcome of this request, and will always be.
                        request_id = str(uuid.uuid4())
                    self.enough.wait(PAUSE_S)
                else:
                    now = time.monotonic()
                    self.tally.drops.append((now, now - self.tally.asked))
                    break
        self.close()

    def buy(self, slot: int, request_id: str) -> None:
        """One try to get one can.

        Raises:
            NotServedError: there was an answer, and it was not that the can fell.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Hangs up."""


class Caller(Buyer):
    """Buys over gRPC."""

    _client: Client | None = None

    def buy(self, slot: int, request_id: str) -> None:
        """The same request again after a failure, as a client should."""
        if self._client is None:
            self._client = self.system.client(self.user)
        request = drops.DropRequest(
            request_id=request_id, slot=f"machines/{self.machine}/slots/{slot}"
        )
        answer = self._client.drops.Drop(
            request, metadata=self._client.metadata, timeout=PATIENCE_S, wait_for_ready=True
        )
        if answer.drop.state != drops.Drop.STATE_DISPENSED:
            raise NotServedError(drops.Drop.State.Name(answer.drop.state))

    def close(self) -> None:
        """Hangs up."""
        if self._client is not None:
            self._client.close()


class Typist(Buyer):
    """Buys in a session, which it opens again when it is lost."""

    _session: socket.socket | None = None
    _lines: BinaryIO

    def buy(self, slot: int, request_id: str) -> None:
        """Sessions know no request ids: a lost reply means another can."""
        try:
            if self._session is None:
                self._session, self._lines = type_in(
                    self.system.session_port, self.user, PATIENCE_S
                )
                ask(self._session, self._lines, f"MACHINE {self.machine}")
            ask(self._session, self._lines, f"DROP {slot}")
        except (OSError, NotServedError):
            self.close()
            raise

    def close(self) -> None:
        """Hangs up."""
        if self._session is not None:
            self._lines.close()
            self._session.close()
            self._session = None


def type_in(port: int, user: UserPlan, patience_s: float) -> tuple[socket.socket, BinaryIO]:
    """A session that is logged in, and its replies.

    Raises:
        OSError: there is no connection, or no reply in time.
        NotServedError: a command was refused.
    """
    session = socket.create_connection(("127.0.0.1", port), timeout=patience_s)
    lines = session.makefile("rb")
    try:
        ask(session, lines, "")
        ask(session, lines, f"USER {user.name}")
        ask(session, lines, f"PASS {user.password}")
    except BaseException:
        lines.close()
        session.close()
        raise
    return session, lines


def ask(session: socket.socket, lines: BinaryIO, line: str) -> bytes:
    """Sends a line, and returns the last line of its reply; no line waits for the greeting.

    Raises:
        OSError: there is no reply.
        NotServedError: it is a refusal.
    """
    if line:
        session.sendall(f"{line}\n".encode())
    for reply in lines:
        if reply.startswith(b"OK"):
            return reply
        if reply.startswith((b"ERR", b"WARN")):
            raise NotServedError(reply.decode(errors="replace").strip())
    raise ConnectionResetError("the session ended")


class Newcomer(threading.Thread):
    """Connects, logs in, looks, and leaves, again and again.

    Args:
        name: For people.
        visit: One visit; an exception says that it failed.
        enough: Set when it is to end.
    """

    def __init__(self, name: str, visit: Callable[[], None], enough: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.tally = Tally()
        self._visit = visit
        self._enough = enough

    def run(self) -> None:
        """Visits until it is enough."""
        while not self._enough.wait(NEWCOMER_PAUSE_S):
            started = time.monotonic()
            try:
                self._visit()
            except (OSError, grpc.RpcError, NotServedError, ValueError) as error:
                self.tally.failures.append((time.monotonic(), _why(error)))
            else:
                self.tally.drops.append((time.monotonic(), time.monotonic() - started))


class Health(threading.Thread):
    """Asks for health over a connection that it keeps.

    Args:
        system: Whose.
        enough: Set when it is to end.

    Attributes:
        answers: When it was asked, and whether the answer was SERVING; None: there was none.
    """

    def __init__(self, system: SiegeSystem, enough: threading.Event) -> None:
        super().__init__(name="health", daemon=True)
        self.answers: list[tuple[float, bool | None]] = []
        self._system = system
        self._enough = enough

    def run(self) -> None:
        """Asks until it is enough."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]
        with open_channel(self._system.address, self._system.authority, options) as channel:
            stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            while not self._enough.wait(HEALTH_PAUSE_S):
                asked, serving = time.monotonic(), None
                with contextlib.suppress(grpc.RpcError):
                    answer = stub.Check(
                        health_pb2.HealthCheckRequest(),
                        timeout=HEALTH_LIMIT_S,
                        wait_for_ready=True,
                    )
                    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
                self.answers.append((asked, serving))


class Honest:
    """All honest clients of a system; a context manager that ends them.

    Args:
        system: Whose.
    """

    def __init__(self, system: SiegeSystem) -> None:
        self._enough = threading.Event()
        self.health = Health(system, self._enough)
        self.buyers: Sequence[Buyer] = [
            *(
                Caller(system, user, machine, self._enough)
                for user, machine in zip(CALLERS, system.caller_machines, strict=False)
            ),
            *(
                Typist(system, user, machine, self._enough)
                for user, machine in zip(TYPISTS, system.typist_machines, strict=False)
            ),
        ]
        self.newcomers = [
            Newcomer("newcomer-grpc", lambda: _visit_grpc(system), self._enough),
            Newcomer("newcomer-session", lambda: _visit_session(system), self._enough),
        ]

    def unserved(self, since: float) -> list[str]:
        """Who was not served since a time in monotonic seconds, with the latest failure."""
        everybody: Sequence[Buyer | Newcomer] = [*self.buyers, *self.newcomers]
        return [
            f"{each.name} ({each.tally.failures[-1][1] if each.tally.failures else 'no answer'})"
            for each in everybody
            if not each.tally.drops or each.tally.drops[-1][0] <= since
        ]

    def __enter__(self) -> Self:
        for thread in self._threads():
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads():
            thread.join(JOIN_LIMIT_S)

    def _threads(self) -> Iterable[threading.Thread]:
        return (*self.buyers, *self.newcomers, self.health)


def _visit_grpc(system: SiegeSystem) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with open_channel(system.address, system.authority, options) as channel:
        stub = account_service_pb2_grpc.AccountServiceStub(channel)
        credentials = accounts.PasswordCredentials(
            account=f"accounts/{NEWCOMER.name}", password=NEWCOMER.password
        )
        login = stub.Login(
            accounts.LoginRequest(password=credentials),
            timeout=NEWCOMER_PATIENCE_S,
            wait_for_ready=True,
        )
        stub.GetAccount(
            accounts.GetAccountRequest(),
            metadata=(("authorization", f"Bearer {login.token}"),),
            timeout=NEWCOMER_PATIENCE_S,
        )


def _visit_session(system: SiegeSystem) -> None:
    session, lines = type_in(system.session_port, NEWCOMER, NEWCOMER_PATIENCE_S)
    with session, lines:
        ask(session, lines, f"MACHINE {TYPIST_MACHINES[0]}")
        ask(session, lines, "STAT")
        ask(session, lines, "QUIT")


def _why(error: Exception) -> str:
    if isinstance(error, grpc.Call):
        return error.code().name
    return type(error).__name__ if isinstance(error, OSError) else str(error)
