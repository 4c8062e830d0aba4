"""Buyers who never give up: each can is asked for under one request id until it is answered."""

import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

import grpc

from drink.v1 import drop_service_pb2 as drops
from scripts.client import Client
from scripts.demo.plan import ALICE
from tests.system.compose_system import ComposeSystem

T = TypeVar("T")

ATTEMPT_LIMIT_S = 20.0
"""Seconds for one call; a full queue of a machine, and a frontend that stops."""

PURCHASE_LIMIT_S = 90.0
"""Seconds for one can, however often it is asked for."""

PAUSE_S = 0.1
"""Longest pause between two attempts."""

RETRYABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
"""What a client may try again, with the same request id: nobody there, no answer in time, or too
many drops of the account wait for one machine, since all buyers here use one account."""


@dataclass
class Sales:
    """What came of it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Cans asked for, by the state in which the last answer left them."""
    retried: Counter[str] = field(default_factory=Counter)
    """Attempts that were refused in a way that allows another, by gRPC code."""
    failures: list[str] = field(default_factory=list)
    """Cans that were given up, with the reason."""
    names: list[str] = field(default_factory=list)
    """The drops that were answered."""


class Buyers:
    """Threads that buy while things break; a context manager that lets each end its purchase.

    Args:
        system: Where they buy.
        slots: What they buy, each thread from one slot after the other.
        count: Threads.
    """

    def __init__(self, system: ComposeSystem, slots: Sequence[str], count: int) -> None:
        self.sales = Sales()
        """What came of it so far."""
        self._system = system
        self._slots = slots
        self._clients: list[Client] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads = [
            threading.Thread(target=self._buy_on, args=(number,), name=f"buyer-{number}")
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        # Before anything breaks: what is tried here is buying, not logging in.
        frontends = range(len(self._system.profile.frontends))
        self._clients = [self._system.client(ALICE, frontend) for frontend in frontends]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PURCHASE_LIMIT_S)
        for client in self._clients:
            client.close()

    def wait_for_more(self, cans: int, limit_s: float = PURCHASE_LIMIT_S) -> None:
        """Waits until so many more cans were answered."""
        with self._changed:
            wanted = len(self.sales.names) + cans
            assert self._changed.wait_for(
                lambda: len(self.sales.names) >= wanted or self.sales.failures, limit_s
            ), f"not {cans} more cans within {limit_s:g} s: {self.sales}"

    def _buy_on(self, number: int) -> None:
        # Each begins at another frontend and another slot.
        doors = itertools.cycle(_from(self._clients, number))
        slots = itertools.cycle(_from(self._slots, number))
        chance = random.Random(number)
        while not self._stop.is_set():
            self._buy(doors, next(slots), chance)

    def _buy(self, doors: "itertools.cycle[Client]", slot: str, chance: random.Random) -> None:
        machine, _, number = slot.partition("/")
        request = drops.DropRequest(
            request_id=str(uuid.uuid4()), slot=f"machines/{machine}/slots/{number}"
        )
        deadline = time.monotonic() + PURCHASE_LIMIT_S
        while True:
            client = next(doors)
            try:
                drop = client.drops.Drop(
                    request, metadata=client.metadata, timeout=ATTEMPT_LIMIT_S
                ).drop
            except grpc.RpcError as error:
                code, details = error.code(), error.details()
                if code not in RETRYABLE or time.monotonic() > deadline:
                    return self._tell(failure=f"{slot}: {code.name}, {details}")
                with self._lock:
                    self.sales.retried[code.name] += 1
                time.sleep(chance.uniform(0, PAUSE_S))
            else:
                return self._tell(drop=drop)

    def _tell(self, drop: drops.Drop | None = None, failure: str = "") -> None:
        with self._changed:
            if drop is None:
                self.sales.failures.append(failure)
            else:
                self.sales.outcomes[drops.Drop.State.Name(drop.state).removeprefix("STATE_")] += 1
                self.sales.names.append(drop.name)
            self._changed.notify_all()


def _from(things: Sequence[T], number: int) -> list[T]:
    """All things, the one of this number first."""
    first = number % len(things)
    return [*things[first:], *things[:first]]
