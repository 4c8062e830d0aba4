"""A program with the stubs of the first release only, which calls each of its methods.

Usage: python client_0_1_0.py STUBS ADDRESS USER PASSWORD ADMIN PASSWORD

It prints each method that was answered as an old program expects, and fails where one was not. The
slots `d/1` and `ld/1` must have cans.
"""

import sys
import uuid
from collections.abc import Callable
from typing import Any

sys.path.insert(0, sys.argv[1])

import grpc

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import account_service_pb2_grpc, drop_service_pb2_grpc, machine_service_pb2_grpc
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines

LIMIT_S = 60
SLOT = "machines/d/slots/1"


class Program:
    """Calls methods as one user and as an administrator.

    Args:
        channel: To the frontend.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self._drops = drop_service_pb2_grpc.DropServiceStub(channel)
        self._machines = machine_service_pb2_grpc.MachineServiceStub(channel)

    def login(self, name: str, password: str) -> tuple[tuple[str, str]]:
        """The metadata of a user's calls."""
        credentials = accounts.PasswordCredentials(account=f"accounts/{name}", password=password)
        request = accounts.LoginRequest(password=credentials)
        token = self._accounts.Login(request, timeout=LIMIT_S).token
        return (("authorization", f"Bearer {token}"),)

    def run(self, user: tuple[str, str], admin: tuple[str, str]) -> None:
        """Calls every method."""
        self._mine, self._admins = self.login(*user), self.login(*admin)
        print("Login")
        self._move_credits(admin[0])
        self._look_at_machines()
        bought = self._buy()
        self._cancel()
        entries = self._call(self._accounts.ListEntries, accounts.ListEntriesRequest()).entries
        assert {each.drop for each in entries} >= {bought}, entries
        print("ListEntries")

    def _call(self, method: Callable[..., Any], request: object, *, by_admin: bool = False) -> Any:
        metadata = self._admins if by_admin else self._mine
        return method(request, metadata=metadata, timeout=LIMIT_S)

    def _move_credits(self, recipient: str) -> None:
        before = self._call(self._accounts.GetAccount, accounts.GetAccountRequest()).account
        print("GetAccount")
        grant = accounts.AddCreditsRequest(
            request_id=str(uuid.uuid4()), account=before.name, credits=120
        )
        self._call(self._accounts.AddCredits, grant, by_admin=True)
        print("AddCredits")
        transfer = accounts.TransferCreditsRequest(
            request_id=str(uuid.uuid4()), recipient=f"accounts/{recipient}", credits=20
        )
        after = self._call(self._accounts.TransferCredits, transfer).account
        assert after.posted_credits == before.posted_credits + 100, after
        print("TransferCredits")

    def _look_at_machines(self) -> None:
        listed = self._call(self._machines.ListMachines, machines.ListMachinesRequest()).machines
        assert {each.name for each in listed} >= {"machines/d", "machines/ld"}, listed
        print("ListMachines")
        request = machines.GetMachineRequest(name="machines/d")
        machine = self._call(self._machines.GetMachine, request).machine
        assert machine.reach == machines.Machine.REACH_READY, machine
        print("GetMachine")
        update = machines.UpdateSlotRequest(name=SLOT, price=machine.slots[0].price, enabled=True)
        slot = self._call(self._machines.UpdateSlot, update, by_admin=True).slot
        assert slot.price == update.price, slot
        print("UpdateSlot")
        names = machines.WatchMachinesRequest(names=["machines/d"])
        watch = self._call(self._machines.WatchMachines, names)
        assert next(watch).machine.name == "machines/d"
        watch.cancel()
        print("WatchMachines")

    def _buy(self) -> str:
        """Buys a can with one request that is sent twice; the name of its drop."""
        request = drops.DropRequest(request_id=str(uuid.uuid4()), slot=SLOT)
        bought, again = (self._call(self._drops.Drop, request).drop for _ in range(2))
        assert bought == again, again
        assert bought.state == drops.Drop.STATE_DISPENSED, bought
        print("Drop")
        found = self._call(self._drops.GetDrop, drops.GetDropRequest(name=bought.name)).drop
        assert found == bought, found
        print("GetDrop")
        *_, last = self._call(self._drops.WatchDrop, drops.WatchDropRequest(name=bought.name))
        assert last.drop == bought, last
        print("WatchDrop")
        return str(bought.name)

    def _cancel(self) -> None:
        """Orders a drop for later, which is answered as soon as it is reserved, and cancels it."""
        order = drops.DropRequest(request_id=str(uuid.uuid4()), slot="machines/ld/slots/1")
        order.delay.FromSeconds(60)
        later = self._call(self._drops.Drop, order).drop
        request = drops.ListDropsRequest(states=[drops.Drop.STATE_SCHEDULED])
        assert list(self._call(self._drops.ListDrops, request).drops) == [later]
        print("ListDrops")
        cancelled = self._call(self._drops.CancelDrop, drops.CancelDropRequest(name=later.name))
        assert cancelled.drop.cause == drops.Drop.CAUSE_CANCELLED, cancelled
        print("CancelDrop")


if __name__ == "__main__":
    _, _, address, user, password, admin, admins_password = sys.argv
    with grpc.insecure_channel(address) as opened:
        Program(opened).run((user, password), (admin, admins_password))
