"""MachineService over a real server."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.stock import Sensor
from tests.support.rpc_frontend import ANN, ROOT, Frontend, read, refused, running_frontend


async def test_lists_machines_with_their_slots(frontend: Frontend) -> None:
    bench = frontend.bench
    await bench.dispatched()
    await bench.link(version="0.2.0")
    sensors = {1: Sensor.STOCKED, 2: Sensor.EMPTY}
    await bench.agents.keep_status(
        "d", await bench.epoch(), sensors, 3.5, complete=True, firmware_version="1.2"
    )
    await bench.reach(Reach.OFFLINE, "ld")
    await bench.machines.change("test", "ld", enabled=False)
    answer = await frontend.call(pb.ListMachinesRequest())
    big, little = answer.machines
    expected = pb.Machine(
        name="machines/d",
        display_name="D",
        enabled=True,
        reach=pb.Machine.REACH_READY,
        temperature_celsius=3.5,
        slots=await _slots_of_d(frontend),
        agent_version="0.2.0",
        firmware_version="1.2",
    )
    for time in (expected.reach_time, expected.temperature_time):
        time.FromMilliseconds(bench.clock.now_ms())
    assert big == expected
    assert little.reach == pb.Machine.REACH_OFFLINE
    assert not little.enabled
    assert little.HasField("reach_time")
    # Its agent told no version.
    assert (little.agent_version, little.firmware_version) == ("", "")
    assert not little.HasField("temperature_celsius")
    assert not little.HasField("temperature_time")


async def test_anyone_lists_temperatures_in_pages(frontend: Frontend) -> None:
    bench = frontend.bench
    for machine, celsius in (("d", 3.5), ("ld", 5.0)):
        await bench.agents.keep_status(machine, await bench.epoch(machine), {}, celsius)
    begin_ms = bench.clock.now_ms()
    for _ in range(3):
        bench.clock.pass_s(300)
        await bench.temperatures.keep()

    async def pages(machine: str, **more: Any) -> list[list[tuple[str, int, float]]]:
        request = pb.ListTemperaturesRequest(machine=machine, **more)
        found = []
        while True:
            page = await frontend.call(request)
            found.append(
                [
                    (
                        row.machine.removeprefix("machines/"),
                        (row.start_time.ToMilliseconds() - begin_ms) // 60_000,
                        row.mean_celsius,
                    )
                    for row in page.temperatures
                ]
            )
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert await pages("machines/d") == [[("d", 0, 3.5), ("d", 5, 3.5), ("d", 10, 3.5)]]
    assert await pages("machines/-", page_size=4) == [
        [("d", 0, 3.5), ("d", 5, 3.5), ("d", 10, 3.5), ("ld", 0, 5.0)],
        [("ld", 5, 5.0), ("ld", 10, 5.0)],
    ]
    hour = Duration(seconds=3_600)
    assert await pages("machines/-", step=hour) == [[("d", 0, 3.5), ("ld", 0, 5.0)]]
    refusal = await frontend.refused(pb.ListTemperaturesRequest(machine="machines/none"))
    assert refusal.status == ("NOT_FOUND", "MACHINE_NOT_FOUND")
    refusal = await frontend.refused(pb.ListTemperaturesRequest(machine="d"))
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def _slots_of_d(frontend: Frontend) -> list[pb.Slot]:
    bench = frontend.bench
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
    for number, slot in enumerate(slots, start=1):
        slot.etag = (await bench.slot("d", number)).etag
        slot.update_time.FromMilliseconds(bench.clock.now_ms())
    return slots


async def test_shows_one_machine(frontend: Frontend) -> None:
    answer = await frontend.call(pb.GetMachineRequest(name="machines/ld"))
    assert answer.machine.display_name == "LD"


@pytest.mark.parametrize(
    ("name", "reason"), [("machines/x", "MACHINE_NOT_FOUND"), ("x", "FIELD_INVALID")]
)
async def test_refuses_what_is_no_machine(frontend: Frontend, name: str, reason: str) -> None:
    refusal = await frontend.refused(pb.GetMachineRequest(name=name))
    assert refusal.reason == reason
    watch = frontend.call(pb.WatchMachinesRequest(names=[name]))
    assert (await refused(watch.read())).reason == reason


async def test_watches_all_machines_and_their_changes(frontend: Frontend) -> None:
    watch = frontend.call(pb.WatchMachinesRequest())
    assert [(await read(watch)).machine.name for _ in range(2)] == ["machines/d", "machines/ld"]
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    changed = (await read(watch)).machine
    assert (changed.name, changed.reach) == ("machines/ld", pb.Machine.REACH_BOARD_DOWN)


async def test_watches_only_what_is_asked_for(frontend: Frontend) -> None:
    watch = frontend.call(pb.WatchMachinesRequest(names=["machines/ld"]))
    assert (await read(watch)).machine.name == "machines/ld"
    await frontend.bench.reach(Reach.OFFLINE, "d")
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    assert (await read(watch)).machine.reach == pb.Machine.REACH_BOARD_DOWN


async def test_one_watch_names_a_hundred_machines_at_most(frontend: Frontend) -> None:
    watch = frontend.call(pb.WatchMachinesRequest(names=["machines/d"] * 101))
    assert (await refused(watch.read())).facts == {"field": "names"}


@pytest.mark.parametrize("caller", [None, (("authorization", "Bearer nobodys"),)])
async def test_one_address_cannot_take_all_watches(caller: Any) -> None:
    """A token that is nobody's makes a caller no less a stranger."""
    async with running_frontend(watches_per_caller_max=1) as frontend:
        await read(frontend.call(pb.WatchMachinesRequest(), caller))
        second = frontend.call(pb.WatchMachinesRequest())
        assert (await refused(second.read())).reason == "RATE_LIMITED"


async def test_a_watch_ends_with_the_frontend(frontend: Frontend) -> None:
    watch = frontend.call(pb.WatchMachinesRequest())
    await read(watch)
    await read(watch)
    await frontend.server.drain()
    assert (await refused(watch.read())).reason == "SHUTTING_DOWN"


async def test_administrators_change_what_is_given(frontend: Frontend) -> None:
    everything: dict[str, Any] = {"item": "Mate", "price": 0, "enabled": False, "available": 0}
    for changes, price in ((everything, 0), ({"price": 15}, 15)):
        request = pb.UpdateSlotRequest(name="machines/d/slots/1", **changes)
        slot = (await frontend.call(request, ROOT)).slot
        assert (slot.item, slot.price, slot.enabled, slot.available) == ("Mate", price, False, 0)


async def test_a_slot_is_made_with_levels_and_deleted(frontend: Frontend) -> None:
    name = "machines/d/slots/9"
    create = pb.CreateSlotRequest(
        name=name, item="Mate", price=5, available=2, capacity=10, low_stock_mark=2
    )
    slot = (await frontend.call(create, ROOT)).slot
    assert (slot.capacity, slot.low_stock_mark, slot.low_stock) == (10, 2, True)
    update = pb.UpdateSlotRequest(name=name, capacity=0, low_stock_mark=0)
    slot = (await frontend.call(update, ROOT)).slot
    assert (slot.capacity, slot.low_stock_mark, slot.low_stock) == (0, 0, False)

    delete = pb.DeleteSlotRequest(name=name)
    refusal = await frontend.refused(delete, ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "SLOT_IN_USE")
    assert refusal.facts == {"on_hand": "2", "reserved": "0", "unknown": "0"}
    await frontend.call(pb.UpdateSlotRequest(name=name, available=0), ROOT)
    assert await frontend.call(delete, ROOT) == pb.DeleteSlotResponse()
    assert (await frontend.refused(delete, ROOT)).reason == "SLOT_NOT_FOUND"
    machine = (await frontend.call(pb.GetMachineRequest(name="machines/d"))).machine
    assert name not in {each.name for each in machine.slots}
    assert (await frontend.call(create, ROOT)).slot.available == 2


@pytest.mark.parametrize("levels", [-1, 10_001, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("field", ["capacity", "low_stock_mark"])
async def test_levels_have_limits(frontend: Frontend, field: str, levels: int) -> None:
    new: dict[str, Any] = {"name": "machines/d/slots/9", "item": "Tea", "price": 1, field: levels}
    known: dict[str, Any] = {"name": "machines/d/slots/1", field: levels}
    for request in (pb.CreateSlotRequest(**new), pb.UpdateSlotRequest(**known)):
        refusal = await frontend.refused(request, ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


@pytest.mark.parametrize(
    "name", ["", "machines/d", "machines/d/slots/0", "machines/d/slots/x", "machines/d\0/slots/1"]
)
async def test_a_name_of_no_slot_is_not_deleted(frontend: Frontend, name: str) -> None:
    refusal = await frontend.refused(pb.DeleteSlotRequest(name=name), ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "name"})


@pytest.mark.parametrize("name", ["machines/d/slots/1", "machines/x/slots/1", "machines/d/slots/9"])
async def test_rights_come_before_existence(frontend: Frontend, name: str) -> None:
    refusal = await frontend.refused(pb.UpdateSlotRequest(name=name, price=1), ANN)
    assert refusal.status == ("PERMISSION_DENIED", "ADMIN_REQUIRED")


async def test_a_slot_that_is_not_there_cannot_be_changed(frontend: Frontend) -> None:
    refusal = await frontend.refused(pb.UpdateSlotRequest(name="machines/d/slots/9"), ROOT)
    assert refusal.reason == "SLOT_NOT_FOUND"


async def test_fault_70_a_watch_with_a_token_ends_when_that_is_revoked(frontend: Frontend) -> None:
    watch = frontend.call(pb.WatchMachinesRequest(), ANN)
    strangers = frontend.call(pb.WatchMachinesRequest())
    for each in (watch, strangers):
        for _ in range(2):
            await read(each)
    await frontend.revoke("bob")
    await frontend.revoke("ann")

    refusal = await refused(read(watch))
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    await frontend.machines.followers.are(1)
    await frontend.bench.reach(Reach.BOARD_DOWN, "ld")
    assert (await read(strangers)).machine.name == "machines/ld"


async def test_fault_62_watches_with_a_token_count_for_the_account_and_not_the_address() -> None:
    """Strangers at the same address do not use up an account's watches."""
    async with running_frontend(watches_per_caller_max=1) as frontend:
        for caller in (None, ANN, ROOT):
            await read(frontend.call(pb.WatchMachinesRequest(), caller))
        more = frontend.call(pb.WatchMachinesRequest(), ANN)
        assert (await refused(more.read())).reason == "RATE_LIMITED"
