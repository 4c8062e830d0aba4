"""Buyers at random: callers over gRPC and typists in sessions, each with a history of their own."""

import contextlib
import dataclasses
import random
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client
from scripts.plan import UserPlan
from tests.integration.house import reason
from tests.torture.history import Attempt, History, Reading, now_ms
from tests.torture.house import House
from tests.torture.plan import CALLERS, PLAN, SLOTS

DEADLINES_S = (0.02, 0.2, 2, 20)
"""Deadlines of a call, each as likely as the others."""

TRIES_MAX = 40
"""Tries of one request; then its buyer goes away without an answer."""

PATIENCE_S = 30
"""Seconds that a typist waits for a reply, longer than any drop takes."""

NOBODY_KNOWS = (
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RATE_LIMITED",
    "SHUTTING_DOWN",
    "STORAGE_UNAVAILABLE",
    "UNAVAILABLE",
    "UNKNOWN",
)
"""Refusals of one try that leave open whether the request was or will be taken."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A drop that was asked for."""

    request_id: str
    slot: str
    delay_s: int
    price_ceiling: int | None

    def message(self) -> drops.DropRequest:
        """As it is sent."""
        machine, number = self.slot.split("/")
        message = drops.DropRequest(
            request_id=self.request_id, slot=f"machines/{machine}/slots/{number}"
        )
        if self.delay_s:
            message.delay.FromSeconds(self.delay_s)
        if self.price_ceiling is not None:
            message.price_ceiling = self.price_ceiling
        return message


class Buyer(threading.Thread):
    """One buyer, in a thread.

    Args:
        user: Who it is.
        seed: Of its choices.
        history: What was asked and answered.
        stop: Set when it is enough.
    """

    def __init__(self, user: UserPlan, seed: str, history: History, stop: threading.Event) -> None:
        super().__init__(name=user.name, daemon=True)
        self.user = user
        self.random = random.Random(f"{seed}/{user.name}")
        self.history = history
        self.failure: Exception | None = None
        """What went wrong here, if anything did."""
        self.stop_event = stop

    def run(self) -> None:
        """Buys until it is enough."""
        try:
            while not self.stop_event.wait(self.random.expovariate(4)):
                self.act()
        except Exception as error:  # whoever waits for this thread raises it
            self.failure = error

    def act(self) -> None:
        """Does one thing."""
        raise NotImplementedError

    def any_slot(self) -> str:
        """A slot such as `d/1`."""
        machine, slot = self.random.choice(PLAN.machines), self.random.choice(SLOTS)
        return f"{machine.name}/{slot.number}"

    def any_delay_s(self) -> int:
        """Mostly none."""
        return self.random.choice((0, 0, 0, 0, 1, 3))


class Caller(Buyer):
    """Buys, repeats, cancels, sends credits and looks at the balance over gRPC."""

    def __init__(self, house: House, user: UserPlan, *rest: Any) -> None:
        super().__init__(user, *rest)
        self.client = Client(f"127.0.0.1:{house.rpc.port}", user.name, user.password)
        self._requests: list[Request] = []

    def close(self) -> None:
        """Ends its connection."""
        self.client.close()

    def act(self) -> None:
        """Mostly buys."""
        choices = (
            *(self._buy,) * 8,
            self._buy_twice_at_once,
            self._cancel,
            self._repeat,
            self._misuse,
            self._send_credits,
            *(self._look,) * 3,
        )
        self.random.choice(choices)()

    def _new(self, delay_s: int | None = None) -> Request:
        request = Request(
            str(uuid.UUID(int=self.random.getrandbits(128))),
            self.any_slot(),
            self.any_delay_s() if delay_s is None else delay_s,
            self.random.choice((None, None, 50, 1000)),
        )
        self._requests.append(request)
        return request

    def _buy(self) -> None:
        self._insist(self._new())

    def _insist(self, request: Request) -> None:
        """Sends a request until there is an answer, or gives up."""
        for _ in range(TRIES_MAX):
            if not self._try(request).lost or self.random.random() < 0.1:
                return
            if self.stop_event.wait(self.random.uniform(0, 0.5)):
                return

    def _buy_twice_at_once(self) -> None:
        request = self._new()
        together = [threading.Thread(target=self._try, args=(request,)) for _ in range(3)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        self._insist(request)

    def _repeat(self) -> None:
        """The same request again, however old it is."""
        if self._requests:
            self._try(self.random.choice(self._requests))

    def _misuse(self) -> None:
        """Another request with the same id: at most one of the two is made."""
        if self._requests:
            old = self.random.choice(self._requests)
            self._try(dataclasses.replace(old, delay_s=old.delay_s + 7))

    def _try(self, request: Request) -> Attempt:
        """Sends a request once."""
        return self._call("drop", request, self.client.drops.Drop, request.message())

    def _cancel(self) -> None:
        request = self._new(delay_s=2)
        placed = self._try(request)
        if placed.drop:
            message = drops.CancelDropRequest(name=f"drops/{placed.drop}")
            self._call("cancel", request, self.client.drops.CancelDrop, message)

    def _send_credits(self) -> None:
        recipient = self.random.choice(
            [user.name for user in PLAN.users if user != self.user and not user.admin]
        )
        request_id = str(uuid.UUID(int=self.random.getrandbits(128)))
        message = accounts.TransferCreditsRequest(
            request_id=request_id,
            recipient=f"accounts/{recipient}",
            credits=self.random.randrange(1, 200),
        )
        for _ in range(TRIES_MAX):
            start_ms = now_ms()
            answer, refusal = self._send(self.client.accounts.TransferCredits, message)
            done = Attempt(
                "transfer",
                self.user.name,
                request_id,
                recipient,
                start_ms,
                now_ms(),
                credits=message.credits,
                state="SENT" if answer is not None else "",
                refusal=refusal,
            )
            self.history.add(done)
            if not done.lost or self.stop_event.wait(0.2):
                return

    def _look(self) -> None:
        start_ms = now_ms()
        answer, _ = self._send(self.client.accounts.GetAccount, accounts.GetAccountRequest())
        if answer is not None:
            account = answer.account
            self.history.add(
                Reading(
                    self.user.name,
                    start_ms,
                    now_ms(),
                    account.available_credits,
                    account.held_credits,
                )
            )

    def _call(
        self, what: str, request: Request, method: Callable[..., Any], message: Any
    ) -> Attempt:
        """Sends a message about a drop once, and keeps what came of it."""
        start_ms = now_ms()
        answer, refusal = self._send(method, message)
        end_ms = now_ms()
        drop = answer.drop if answer is not None else None
        attempt = Attempt(
            what,
            self.user.name,
            request.request_id,
            request.slot,
            start_ms,
            end_ms,
            delay_s=request.delay_s,
            drop=drop.name.removeprefix("drops/") if drop else "",
            state=drops.Drop.State.Name(drop.state).removeprefix("STATE_") if drop else "",
            refusal=refusal,
        )
        self.history.add(attempt)
        if isinstance(answer, drops.DropResponse):
            self.history.add(Reading(self.user.name, start_ms, end_ms, answer.available_credits))
        return attempt

    def _send(self, method: Callable[..., Any], message: Any) -> tuple[Any, str]:
        """The answer, or why there is none; neither if nobody knows."""
        try:
            answer = method(
                message,
                metadata=self.client.metadata,
                timeout=self.random.choice(DEADLINES_S),
                wait_for_ready=self.random.random() < 0.5,
            )
        except grpc.RpcError as error:
            why = reason(error)
            return None, "" if why in NOBODY_KNOWS else why
        return answer, ""


class Typist(Buyer):
    """Buys in sessions; has no request ids, so a lost reply leaves open what became of it."""

    def __init__(self, house: House, user: UserPlan, *rest: Any) -> None:
        super().__init__(user, *rest)
        self._port = house.sessions.port

    def act(self) -> None:
        """One session, with some commands."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as connection,
            connection.makefile("rb") as replies,
        ):
            for line, keep in self._lines():
                start_ms, reply = now_ms(), b""
                try:
                    self._type(connection, line.encode())
                    reply = replies.readline()
                finally:
                    going_on = keep(start_ms, reply.decode(errors="replace"))
                if not going_on or not reply.endswith(b"\n"):
                    return

    def _lines(self) -> Iterator[tuple[str, Callable[[int, str], bool]]]:
        """What is typed, each with who keeps the reply; the greeting comes first."""
        for line in ("", f"USER {self.user.name}\n", f"PASS {self.user.password}\n"):
            yield line, self._expect_ok
        for _ in range(self.random.randrange(1, 6)):
            machine, number = self.any_slot().split("/")
            yield f"MACHINE {machine}\n", self._expect_ok
            yield "GETBALANCE\n", self._keep_balance
            yield self._drop(f"{machine}/{number}")
            yield "GETBALANCE\n", self._keep_balance
        yield "QUIT\n", self._expect_ok

    def _drop(self, slot: str) -> tuple[str, Callable[[int, str], bool]]:
        delay_s = self.any_delay_s()
        number = slot.split("/")[1]

        def keep(start_ms: int, reply: str) -> bool:
            state, drop, refusal = outcome_of(reply)
            self.history.add(
                Attempt(
                    "drop",
                    self.user.name,
                    "",
                    slot,
                    start_ms,
                    now_ms(),
                    delay_s=delay_s,
                    drop=drop,
                    state=state,
                    refusal=refusal,
                )
            )
            return self._keep_balance(start_ms, reply)

        return f"DROP {number} {delay_s or ''}\n", keep

    def _keep_balance(self, start_ms: int, reply: str) -> bool:
        if reply.startswith("OK Credits") and reply.endswith("\n"):
            credits_ = int(reply.rsplit(maxsplit=1)[1])
            self.history.add(Reading(self.user.name, start_ms, now_ms(), credits_))
        return True

    def _expect_ok(self, _start_ms: int, reply: str) -> bool:
        return reply.startswith("OK")

    def _type(self, connection: socket.socket, data: bytes) -> None:
        """In one write, or in two with a pause."""
        cut = self.random.choice((0, self.random.randrange(len(data) + 1)))
        if cut:
            connection.sendall(data[:cut])
            self.stop_event.wait(self.random.uniform(0, 0.2))
        connection.sendall(data[cut:])


HELD = "HELD"
"""What a session is told of a drop that is made and has no outcome that anybody knows now."""


def outcome_of(reply: str) -> tuple[str, str, str]:
    """What a session's reply to DROP says: a state, the drop, a refusal; all empty if nothing."""
    if not reply.endswith("\n"):
        return "", "", ""
    if reply.startswith("OK Credits remaining"):
        return "DISPENSED", "", ""
    if reply.startswith("ERR 103 Unknown Failure. Credits held"):
        return HELD, reply.rsplit(maxsplit=1)[-1], ""
    if reply.startswith(("ERR 103", "ERR 350")):
        return "", "", ""
    return "", "", reply.strip()


class Manager(Buyer):
    """Changes prices all the time; drops under way must keep theirs."""

    def __init__(self, house: House, user: UserPlan, *rest: Any) -> None:
        super().__init__(user, *rest)
        self._client = Client(f"127.0.0.1:{house.rpc.port}", user.name, user.password)

    def act(self) -> None:
        """One price, between free and dear."""
        machine, number = self.any_slot().split("/")
        message = machines.UpdateSlotRequest(
            name=f"machines/{machine}/slots/{number}", price=self.random.randrange(100)
        )
        with contextlib.suppress(grpc.RpcError):
            self._client.machines.UpdateSlot(message, metadata=self._client.metadata, timeout=2)

    def close(self) -> None:
        """Ends its connection."""
        self._client.close()


def buyers(house: House, seed: str, history: History, stop: threading.Event) -> list[Buyer]:
    """All that there are."""
    rest = (seed, history, stop)
    callers = [user for user in PLAN.users if user in CALLERS or user.name == "pauper"]
    typists = [user for user in PLAN.users if user.name.startswith("typist")]
    admin = next(user for user in PLAN.users if user.admin)
    return [
        *(Caller(house, user, *rest) for user in callers),
        *(Typist(house, user, *rest) for user in typists),
        Manager(house, admin, *rest),
    ]
