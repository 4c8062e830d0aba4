"""What boards say of their slots: a sensor closes and opens a slot, and never counts."""

from typing import Any

import pytest

from drink_frontend.domain.alarms import RAISED_BY
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import LinkSupersededError, SlotEmptyError
from drink_frontend.domain.stock import Sensor
from tests.support.bench import Bench


async def test_fault_49_a_slot_that_reads_empty_is_closed_and_its_count_questioned(
    bench: Bench,
) -> None:
    await bench.agents.keep_status("d", 1, {1: Sensor.EMPTY}, 4.5)

    slot = await bench.slot()
    assert (slot.sensor, slot.on_hand, slot.available) == (Sensor.EMPTY, 3, 0)
    with pytest.raises(SlotEmptyError):
        await bench.place()
    (record,) = await bench.audit(AuditKind.SENSOR_CONTRADICTED)
    assert record.kind in RAISED_BY
    assert record.facts == {"slot": 1, "sensor": "EMPTY", "on_hand": 3}
    assert (await bench.machines.get("d")).temperature_celsius == 4.5

    await bench.agents.keep_status("d", 1, {1: Sensor.STOCKED}, None)
    assert (await bench.place()).state is State.RESERVED
    assert (await bench.machines.get("d")).temperature_celsius is None


async def test_fault_49_a_slot_that_reads_stocked_with_nothing_in_it(bench: Bench) -> None:
    await bench.change_slot("d", 2, available=0)
    await bench.agents.keep_status("d", 1, {2: Sensor.STOCKED}, None)

    assert (await bench.slot("d", 2)).available == 0
    (record,) = await bench.audit(AuditKind.SENSOR_CONTRADICTED)
    assert record.facts == {"slot": 2, "sensor": "STOCKED", "on_hand": 0}


@pytest.mark.parametrize(("slot", "sensor"), [(1, Sensor.STOCKED), (2, Sensor.EMPTY)])
async def test_sensors_that_agree_are_kept_quietly(bench: Bench, slot: int, sensor: Sensor) -> None:
    await bench.place("last", slot=2)
    for _ in range(2):
        await bench.agents.keep_status("d", 1, {slot: sensor, 77: Sensor.EMPTY}, None)

    assert (await bench.slot("d", slot)).sensor is sensor
    assert await bench.audit(AuditKind.SENSOR_CONTRADICTED) == []


async def test_the_last_item_still_stands_in_the_slot_while_its_drop_is_open(bench: Bench) -> None:
    await bench.place("last", slot=2)
    await bench.agents.keep_status("d", 1, {2: Sensor.STOCKED}, None)

    assert await bench.audit(AuditKind.SENSOR_CONTRADICTED) == []


async def test_fault_58_a_slot_that_the_board_does_not_list_is_an_alarm_once(bench: Bench) -> None:
    for _ in range(2):
        await bench.agents.keep_status("d", 1, {1: Sensor.STOCKED}, None, complete=True)
    [alarm] = await bench.audit(AuditKind.SLOT_UNLISTED)
    assert alarm.kind in RAISED_BY
    assert (alarm.machine, alarm.facts) == ("d", {"slots": [2], "listed": [1]})


async def test_fault_58_a_slot_that_is_no_longer_listed_has_no_sensor(bench: Bench) -> None:
    both = {1: Sensor.STOCKED, 2: Sensor.EMPTY}
    await bench.agents.keep_status("d", 1, both, None, complete=True)
    assert await bench.audit(AuditKind.SLOT_UNLISTED) == []
    await bench.agents.keep_status("d", 1, {1: Sensor.STOCKED}, None, complete=False)
    assert (await bench.slot("d", 2)).sensor is Sensor.EMPTY, "its list may be in the making"
    await bench.agents.keep_status("d", 1, {1: Sensor.STOCKED}, None, complete=True)
    assert (await bench.slot("d", 2)).sensor is Sensor.UNSPECIFIED
    assert len(await bench.audit(AuditKind.SLOT_UNLISTED)) == 1


@pytest.mark.parametrize("sensors", [{}, {1: Sensor.STOCKED, 2: Sensor.STOCKED, 3: Sensor.EMPTY}])
async def test_fault_58_a_board_without_sensors_or_with_more_slots_is_no_alarm(
    bench: Bench, sensors: dict[int, Sensor]
) -> None:
    await bench.agents.keep_status("d", 1, sensors, None, complete=True)
    assert await bench.audit(AuditKind.SLOT_UNLISTED) == []


async def test_fault_17_a_superseded_link_says_nothing_of_its_board(bench: Bench) -> None:
    """Invariant 14: what came late on an older stream must not cover what the newer one said."""
    await bench.link("d")
    await bench.agents.keep_status("d", 2, {1: Sensor.EMPTY}, 4.5)
    with pytest.raises(LinkSupersededError):
        await bench.agents.keep_status("d", 1, {1: Sensor.STOCKED}, 30.0)
    assert (await bench.slot()).sensor is Sensor.EMPTY
    assert (await bench.machines.get("d")).temperature_celsius == 4.5


async def test_what_changes_on_a_link_wakes_who_watches_the_machine(bench: Bench) -> None:
    views: list[Any] = []
    watch = bench.machines.watch(["d"])
    views.append(await anext(watch))
    await bench.agents.keep_status("d", 1, {1: Sensor.EMPTY}, 4.5)
    views.append(await anext(watch))
    await watch.aclose()

    assert [view.temperature_celsius for view in views] == [None, 4.5]


async def test_a_board_s_version_is_kept_until_the_board_is_ready_without_one(
    bench: Bench,
) -> None:
    sensors = {1: Sensor.STOCKED, 2: Sensor.STOCKED}
    steps = [("1.2", True, "1.2"), ("", False, "1.2"), ("1.3", False, "1.3"), ("", True, None)]
    for version, complete, kept in steps:
        await bench.agents.keep_status(
            "d", 1, sensors, None, complete=complete, firmware_version=version
        )
        assert (await bench.machines.get("d")).firmware_version == kept


async def test_the_version_is_that_of_the_agent_linked_last_and_empty_if_it_tells_none(
    bench: Bench,
) -> None:
    for version, kept in (("0.1.0", "0.1.0"), ("0.2.0", "0.2.0"), ("", None)):
        await bench.link(version=version)
        assert (await bench.machines.get("d")).agent_version == kept


async def test_the_temperature_s_time_is_that_of_its_change(bench: Bench) -> None:
    first_ms = bench.clock.now_ms()
    await bench.agents.keep_status("d", 1, {}, 4.5)
    bench.clock.pass_s(60)
    await bench.agents.keep_status("d", 1, {}, 4.5)
    assert (await bench.machines.get("d")).temperature_ms == first_ms
    await bench.agents.keep_status("d", 1, {}, 5.0)
    assert (await bench.machines.get("d")).temperature_ms == first_ms + 60_000
