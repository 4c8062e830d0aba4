"""Buyers, and people who manage and refund, who call the frontend at random over gRPC."""

import dataclasses
import threading
import uuid
from collections.abc import Callable
from typing import Any

import grpc

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client
from scripts.plan import UserPlan
from tests.integration.audited_system import reason
from tests.soak.actor import Soak
from tests.soak.buyer import Buyer
from tests.soak.history import Attempt, Reading, now_ms
from tests.soak.plan import CREDIT_LIMITS, DEBTOR, PLAN

DEADLINES_S = (0.02, 0.2, 2, 20)
"""Deadlines of a call, each as likely as the others."""

TRIES_MAX = 40
"""Tries of one request; then its buyer gives up without an answer."""

UNDECIDED = (
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


class Caller(Buyer):
    """Buys, repeats, cancels, sends credits and looks at the balance over gRPC."""

    def __init__(self, soak: Soak, user: UserPlan, name: str = "") -> None:
        super().__init__(soak, user, name)
        self.client = Client(f"127.0.0.1:{self.system.rpc.port}", user.name, user.password)
        self._requests: list[Request] = []

    def close(self) -> None:
        """Closes its connection."""
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
        self._repeat_until_answered(self._new())

    def _repeat_until_answered(self, request: Request) -> None:
        """Sends a request until there is an answer, or gives up."""
        for _ in range(TRIES_MAX):
            if not self._try(request).lost or self.random.random() < 0.1:
                return
            if self.idle(self.random.uniform(0, 0.5)):
                return

    def _buy_twice_at_once(self) -> None:
        request = self._new()
        together = [threading.Thread(target=self._try, args=(request,)) for _ in range(3)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        self._repeat_until_answered(request)

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
            if not done.lost or self.idle(0.2):
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
        """The answer, or the reason of the refusal; neither if the call's outcome is undecided."""
        try:
            answer = method(
                message,
                metadata=self.client.metadata,
                timeout=self.random.choice(DEADLINES_S),
                wait_for_ready=self.random.random() < 0.5,
            )
        except grpc.RpcError as error:
            why = reason(error)
            return None, "" if why in UNDECIDED else why
        return answer, ""


class Manager(Caller):
    """Changes prices, of which drops under way must keep theirs, and what the debtor may owe."""

    def act(self) -> None:
        """Changes one price or the credit limit."""
        self.random.choice((*(self._change_price,) * 3, self._change_limit))()

    def _change_limit(self) -> None:
        message = accounts.UpdateAccountRequest(
            name=f"accounts/{DEBTOR.name}", credit_limit=self.random.choice(CREDIT_LIMITS)
        )
        self._send(self.client.accounts.UpdateAccount, message)

    def _change_price(self) -> None:
        machine, number = self.any_slot().split("/")
        message = machines.UpdateSlotRequest(
            name=f"machines/{machine}/slots/{number}", price=self.random.randrange(100)
        )
        self._send(self.client.machines.UpdateSlot, message)


class Refunder(Caller):
    """Gives back what was paid for drops, in whole or part, and tries to do it twice."""

    def act(self) -> None:
        """Refunds one drop, mostly with the same or another request at once or later."""
        listing = drops.ListDropsRequest(
            parent="accounts/-", states=[drops.Drop.STATE_DISPENSED], page_size=20
        )
        answer, _ = self._send(self.client.drops.ListDrops, listing)
        # What cost nothing cannot be given back.
        paid = [drop for drop in answer.drops if drop.price] if answer is not None else []
        if not paid:
            return
        drop = self.random.choice(paid)
        first, second = (self._refund_of(drop) for _ in range(2))
        if self.random.random() < 0.5:
            second = first
        if self.random.random() < 0.5:
            together = [
                threading.Thread(target=self._try_refund, args=(each,)) for each in (first, second)
            ]
            for thread in together:
                thread.start()
            for thread in together:
                thread.join()
        for request in (first, second):
            for _ in range(TRIES_MAX):
                if not self._try_refund(request).lost or self.idle(0.2):
                    break

    def _refund_of(self, drop: drops.Drop) -> drops.RefundDropRequest:
        return drops.RefundDropRequest(
            request_id=str(uuid.UUID(int=self.random.getrandbits(128))),
            name=drop.name,
            credits=self.random.choice([drop.price, self.random.randint(1, drop.price)]),
            reason="it was warm",
            restock=self.random.random() < 0.3,
        )

    def _try_refund(self, request: drops.RefundDropRequest) -> Attempt:
        start_ms = now_ms()
        answer, refusal = self._send(self.client.drops.RefundDrop, request)
        done = Attempt(
            "refund",
            self.user.name,
            request.request_id,
            request.name.removeprefix("drops/"),
            start_ms,
            now_ms(),
            credits=request.credits,
            state="REFUNDED" if answer is not None else "",
            refusal=refusal,
        )
        self.history.add(done)
        return done
