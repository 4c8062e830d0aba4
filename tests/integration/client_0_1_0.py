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


def main(address: str, user: str, password: str, admin: str, admins_password: str) -> None:
    with grpc.insecure_channel(address) as channel:
        account = account_service_pb2_grpc.AccountServiceStub(channel)
        drop = drop_service_pb2_grpc.DropServiceStub(channel)
        machine = machine_service_pb2_grpc.MachineServiceStub(channel)

        def login(name: str, secret: str) -> tuple[tuple[str, str]]:
            credentials = accounts.PasswordCredentials(account=f"accounts/{name}", password=secret)
            token = account.Login(accounts.LoginRequest(password=credentials), timeout=LIMIT_S)
            return (("authorization", f"Bearer {token.token}"),)

        mine, admins = login(user, password), login(admin, admins_password)
        print("Login")

        def mine_of(method: Callable[..., Any], request: object) -> Any:
            return method(request, metadata=mine, timeout=LIMIT_S)

        before = mine_of(account.GetAccount, accounts.GetAccountRequest()).account
        assert before.name == f"accounts/{user}", before
        print("GetAccount")
        account.AddCredits(
            accounts.AddCreditsRequest(
                request_id=str(uuid.uuid4()), account=before.name, credits=120
            ),
            metadata=admins,
            timeout=LIMIT_S,
        )
        print("AddCredits")
        sent = mine_of(
            account.TransferCredits,
            accounts.TransferCreditsRequest(
                request_id=str(uuid.uuid4()), recipient=f"accounts/{admin}", credits=20
            ),
        )
        assert sent.account.posted_credits == before.posted_credits + 100, sent
        print("TransferCredits")

        listed = machine.ListMachines(machines.ListMachinesRequest(), timeout=LIMIT_S).machines
        assert {each.name for each in listed} >= {"machines/d", "machines/ld"}, listed
        print("ListMachines")
        one = machine.GetMachine(machines.GetMachineRequest(name="machines/d"), timeout=LIMIT_S)
        assert one.machine.reach == machines.Machine.REACH_READY, one
        print("GetMachine")
        price = one.machine.slots[0].price
        changed = machine.UpdateSlot(
            machines.UpdateSlotRequest(name=SLOT, price=price, enabled=True),
            metadata=admins,
            timeout=LIMIT_S,
        )
        assert changed.slot.price == price, changed
        print("UpdateSlot")
        watch = machine.WatchMachines(
            machines.WatchMachinesRequest(names=["machines/d"]), timeout=LIMIT_S
        )
        assert next(watch).machine.name == "machines/d"
        watch.cancel()
        print("WatchMachines")

        wanted = drops.DropRequest(request_id=str(uuid.uuid4()), slot=SLOT)
        answers = [mine_of(drop.Drop, wanted).drop for _ in range(2)]
        assert answers[0] == answers[1], answers
        assert answers[0].state == drops.Drop.STATE_DISPENSED, answers
        print("Drop")
        name = answers[0].name
        assert mine_of(drop.GetDrop, drops.GetDropRequest(name=name)).drop == answers[0]
        print("GetDrop")
        # The last message of a watch has the outcome.
        *_, last = mine_of(drop.WatchDrop, drops.WatchDropRequest(name=name))
        assert last.drop.state == drops.Drop.STATE_DISPENSED, last
        print("WatchDrop")
        late = drops.DropRequest(request_id=str(uuid.uuid4()), slot="machines/ld/slots/1")
        late.delay.FromSeconds(60)
        # A drop with a delay is answered as soon as it is reserved.
        scheduled = mine_of(drop.Drop, late).drop
        request = drops.ListDropsRequest(states=[drops.Drop.STATE_SCHEDULED])
        assert list(mine_of(drop.ListDrops, request).drops) == [scheduled]
        print("ListDrops")
        cancel = drops.CancelDropRequest(name=scheduled.name)
        assert mine_of(drop.CancelDrop, cancel).drop.cause == drops.Drop.CAUSE_CANCELLED
        print("CancelDrop")
        entries = mine_of(account.ListEntries, accounts.ListEntriesRequest()).entries
        assert entries, "no entries"
        assert {each.drop for each in entries} >= {name}, entries
        print("ListEntries")


if __name__ == "__main__":
    main(*sys.argv[2:])
