"""MachineService over a real server."""

import grpc
import pytest

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.stock import Sensor
from tests.support.rpc_frontend import (
    ANN,
    LIMIT_S,
    ROOT,
    Frontend,
    read,
    refused,
    running_frontend,
)


async def test_lists_machines_with_their_slots(frontend: Frontend) -> None:
    bench = frontend.bench
    await bench.dispatched()
    await bench.agents.keep_status(
        "d", await bench.epoch(), {1: Sensor.STOCKED, 2: Sensor.EMPTY}, 3.5, complete=True
    )
    await bench.reach(Reach.OFFLINE, "ld")
    await bench.machines.change("test", "ld", enabled=False)
    answer = await frontend.machine_stub.ListMachines(pb.ListMachinesRequest(), timeout=LIMIT_S)
    big, little = answer.machines
    slots = [
        pb.Slot(
            name="machines/d/slots/1",
            item="Coke",
            price=50,
            enabled=True,
            available=2,
            reserved=1,
            sensor=pb.Slot.SENSOR_STOCKED,
        ),
        # Nothing can be bought while the sensor sees nothing.
        pb.Slot(
            name="machines/d/slots/2",
            item="Tea",
            price=30,
            enabled=True,
            available=0,
            sensor=pb.Slot.SENSOR_EMPTY,
        ),
    ]
    for slot in slots:
        slot.update_time.FromMilliseconds(bench.clock.now_ms())
    assert big == pb.Machine(
        name="machines/d",
        display_name="D",
        enabled=True,
        reach=pb.Machine.REACH_READY,
        temperature_celsius=3.5,
        slots=slots,
    )
    assert little.reach == pb.Machine.REACH_OFFLINE
    assert not little.enabled
    assert not little.HasField("temperature_celsius")


async def test_shows_one_machine(frontend: Frontend) -> None:
    answer = await frontend.machine_stub.GetMachine(
        pb.GetMachineRequest(name="machines/ld"), timeout=LIMIT_S
    )
    assert answer.machine.display_name == "LD"


@pytest.mark.parametrize(
    ("name", "reason"), [("machines/x", "MACHINE_NOT_FOUND"), ("x", "FIELD_INVALID")]
)
async def test_refuses_what_is_no_machine(frontend: Frontend, name: str, reason: str) -> None:
    refusal = await refused(
        frontend.machine_stub.GetMachine(pb.GetMachineRequest(name=name), timeout=LIMIT_S)
    )
    assert refusal.reason == reason
    watch = frontend.machine_stub.WatchMachines(
        pb.WatchMachinesRequest(names=[name]), timeout=LIMIT_S
    )
    assert (await refused(watch.read())).reason == reason


async def test_watches_all_machines_and_their_changes(frontend: Frontend) -> None:
    watch = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
    assert [(await read(watch)).machine.name for _ in range(2)] == ["machines/d", "machines/ld"]
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    changed = (await read(watch)).machine
    assert (changed.name, changed.reach) == ("machines/ld", pb.Machine.REACH_BOARD_DOWN)


async def test_watches_only_what_is_asked_for(frontend: Frontend) -> None:
    watch = frontend.machine_stub.WatchMachines(
        pb.WatchMachinesRequest(names=["machines/ld"]), timeout=LIMIT_S
    )
    assert (await read(watch)).machine.name == "machines/ld"
    await frontend.bench.reach(Reach.OFFLINE, "d")
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    assert (await read(watch)).machine.reach == pb.Machine.REACH_BOARD_DOWN


async def test_one_watch_names_a_hundred_machines_at_most(frontend: Frontend) -> None:
    watch = frontend.machine_stub.WatchMachines(
        pb.WatchMachinesRequest(names=["machines/d"] * 101), timeout=LIMIT_S
    )
    assert (await refused(watch.read())).facts == {"field": "names"}


async def test_one_address_cannot_take_all_watches() -> None:
    async with running_frontend(watches_per_caller_max=1) as frontend:
        first = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
        await read(first)
        second = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
        assert (await refused(second.read())).reason == "RATE_LIMITED"


async def test_a_watch_ends_with_the_frontend(frontend: Frontend) -> None:
    watch = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
    await read(watch)
    await read(watch)
    await frontend.server.drain()
    assert (await refused(watch.read())).reason == "SHUTTING_DOWN"


async def test_administrators_change_what_is_given(frontend: Frontend) -> None:
    answer = await frontend.machine_stub.UpdateSlot(
        pb.UpdateSlotRequest(
            name="machines/d/slots/1", item="Mate", price=0, enabled=False, available=0
        ),
        metadata=ROOT,
        timeout=LIMIT_S,
    )
    slot = answer.slot
    assert (slot.item, slot.price, slot.enabled, slot.available) == ("Mate", 0, False, 0)

    answer = await frontend.machine_stub.UpdateSlot(
        pb.UpdateSlotRequest(name="machines/d/slots/1", price=15), metadata=ROOT, timeout=LIMIT_S
    )
    slot = answer.slot
    assert (slot.item, slot.price, slot.enabled, slot.available) == ("Mate", 15, False, 0)


@pytest.mark.parametrize("name", ["machines/d/slots/1", "machines/x/slots/1", "machines/d/slots/9"])
async def test_rights_come_before_existence(frontend: Frontend, name: str) -> None:
    refusal = await refused(
        frontend.machine_stub.UpdateSlot(
            pb.UpdateSlotRequest(name=name, price=1), metadata=ANN, timeout=LIMIT_S
        )
    )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "ADMIN_REQUIRED",
    )


async def test_a_slot_that_is_not_there_cannot_be_changed(frontend: Frontend) -> None:
    refusal = await refused(
        frontend.machine_stub.UpdateSlot(
            pb.UpdateSlotRequest(name="machines/d/slots/9"), metadata=ROOT, timeout=LIMIT_S
        )
    )
    assert refusal.reason == "SLOT_NOT_FOUND"


async def test_fault_70_a_watch_with_a_token_ends_when_that_is_revoked(frontend: Frontend) -> None:
    watch = frontend.machine_stub.WatchMachines(
        pb.WatchMachinesRequest(), metadata=ANN, timeout=LIMIT_S
    )
    strangers = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
    for each in (watch, strangers):
        for _ in range(2):
            await read(each)
    await frontend.revoke("bob")
    await frontend.revoke("ann")

    refusal = await refused(read(watch))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    await frontend.machines.followers.are(1)
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    assert (await read(strangers)).machine.name == "machines/ld"


async def test_a_watch_with_a_token_that_is_none_is_a_strangers() -> None:
    async with running_frontend(watches_per_caller_max=1) as frontend:
        nobody = (("authorization", "Bearer nobodys"),)
        watch = frontend.machine_stub.WatchMachines(
            pb.WatchMachinesRequest(), metadata=nobody, timeout=LIMIT_S
        )
        await read(watch)
        second = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
        assert (await refused(second.read())).reason == "RATE_LIMITED"


async def test_fault_62_watches_with_a_token_count_for_the_account_and_not_the_address() -> None:
    """Strangers at the same address do not use up an account's watches."""
    async with running_frontend(watches_per_caller_max=1) as frontend:
        strangers = frontend.machine_stub.WatchMachines(pb.WatchMachinesRequest(), timeout=LIMIT_S)
        await read(strangers)
        watches = [
            frontend.machine_stub.WatchMachines(
                pb.WatchMachinesRequest(), metadata=metadata, timeout=LIMIT_S
            )
            for metadata in (ANN, ROOT)
        ]
        for watch in watches:
            await read(watch)
        more = frontend.machine_stub.WatchMachines(
            pb.WatchMachinesRequest(), metadata=ANN, timeout=LIMIT_S
        )
        assert (await refused(more.read())).reason == "RATE_LIMITED"
