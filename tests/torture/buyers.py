"""Everybody who uses the house while it is tortured."""

import contextlib
import threading
from typing import Any

import grpc

from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client
from scripts.plan import UserPlan
from tests.torture.buyer import Buyer
from tests.torture.caller import Caller
from tests.torture.history import History
from tests.torture.house import House
from tests.torture.plan import ADMIN, CALLERS, PAUPER, TYPISTS
from tests.torture.typist import Typist


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
    return [
        *(Caller(house, user, *rest) for user in (*CALLERS, PAUPER)),
        *(Typist(house, user, *rest) for user in TYPISTS),
        Manager(house, ADMIN, *rest),
    ]
