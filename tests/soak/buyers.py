"""The buyers and the manager that use the system during a soak run."""

import contextlib
import threading
from typing import Any

import grpc

from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client
from scripts.plan import UserPlan
from tests.soak.buyer import Buyer
from tests.soak.caller import Caller
from tests.soak.history import History
from tests.soak.plan import ADMIN, CALLERS, PAUPER, TYPISTS
from tests.soak.soak_system import SoakSystem
from tests.soak.typist import Typist


class Manager(Buyer):
    """Changes prices all the time; drops under way must keep theirs."""

    def __init__(self, system: SoakSystem, user: UserPlan, *rest: Any) -> None:
        super().__init__(user, *rest)
        self._client = Client(f"127.0.0.1:{system.rpc.port}", user.name, user.password)

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


def buyers(system: SoakSystem, seed: str, history: History, stop: threading.Event) -> list[Buyer]:
    """All that there are."""
    rest = (seed, history, stop)
    return [
        *(Caller(system, user, *rest) for user in (*CALLERS, PAUPER)),
        *(Typist(system, user, *rest) for user in TYPISTS),
        Manager(system, ADMIN, *rest),
    ]
