"""Machines, slots and agents' tokens, from the command line."""

from pathlib import Path

import pytest

from drink_frontend.app import Administration
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import TokenInvalidError
from drink_frontend.system.clock import SystemClock
from drink_frontend.usecases.agents import Agents
from drink_frontend.usecases.audit import Alarms
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.settings import AlarmSettings, TemperatureSettings
from drink_frontend.usecases.temperatures import Temperatures
from tests.frontend.admin.conftest import Operator


@pytest.fixture
def furnished(operator: Operator) -> Operator:
    """One machine with one slot."""
    operator.admin("machine", "add", "d", "Big Drink", "--location", "NRH (North)")
    operator.admin("slot", "add", "d", "1", "--item", "Coke", "--price", "50", "--available", "10")
    return operator


def test_a_machine_and_its_slots_are_listed(furnished: Operator) -> None:
    header, line, _, machines, big_drink = furnished.admin("machine", "list").splitlines()
    assert header.startswith("machine  slot  item")
    assert line.split() == ["d", "1", "Coke", "50", "10", "0", "0", "0", "UNSPECIFIED", "yes"]
    machine = furnished.look(lambda drink: drink.machines.get("d"))
    assert (machine.display_name, machine.location) == ("Big Drink", "NRH (North)")
    assert machines.split()[:6] == ["machine", "name", "reach", "since", "temperature", "since"]
    assert machines.split()[6:] == ["agent", "firmware", "enabled"]
    assert big_drink.split() == ["d", "Big", "Drink", "OFFLINE", "-", "-", "-", "-", "-", "yes"]


def test_a_machine_is_listed_with_its_times_and_versions(furnished: Operator) -> None:
    async def run(drink: Administration) -> None:
        storage, clock = drink.storage, SystemClock()
        alarms = Alarms(storage, clock, AlarmSettings())
        temperatures = Temperatures(storage, clock, TemperatureSettings())
        journals = Journals(storage, keep_s=1)
        agents = Agents(storage, clock, journals, alarms, "F", temperatures=temperatures)
        opening = await agents.open_link(
            "d", ("journal", 0), Reach.READY, {"agent_version": "0.2.0"}
        )
        await agents.keep_status("d", opening.epoch, {}, 4.25, firmware_version="1.2")

    furnished.look(run)
    *_, line = furnished.admin("machine", "list").splitlines()
    words = line.split()
    assert words[:4] == ["d", "Big", "Drink", "READY"]
    assert words[4] == words[8]
    assert (words[6:8], words[10:]) == (["4.2", "C"], ["0.2.0", "1.2", "yes"])


def test_fault_18_a_machine_with_two_agents_is_shown_as_such(furnished: Operator) -> None:
    async def take(drink: Administration) -> None:
        storage, clock = drink.storage, SystemClock()
        alarms = Alarms(storage, clock, AlarmSettings())
        temperatures = Temperatures(storage, clock, TemperatureSettings())
        journals = Journals(storage, keep_s=1)
        agents = Agents(storage, clock, journals, alarms, "F", temperatures=temperatures)
        for run, address in (("a", "192.0.2.1"), ("b", "192.0.2.2"), ("a", "192.0.2.1")):
            agent = {"boot_id": run, "address": address}
            await agents.open_link("d", ("journal", 0), Reach.READY, agent)

    assert "two agents" not in furnished.admin("machine", "list")
    furnished.look(take)
    *_, last = furnished.admin("machine", "list").splitlines()
    assert last.startswith("d: two agents ran as this machine's at 20")
    assert "192.0.2.1 and 192.0.2.2" in last
    assert "TWO_AGENTS" in furnished.admin("alarms")


def test_a_slot_changes_in_what_is_given(furnished: Operator) -> None:
    furnished.admin("slot", "change", "d", "1", "--price", "45", "--available", "7")
    furnished.admin("slot", "change", "d", "1", "--item", "Cherry Coke", "--disabled")
    slot = furnished.look(lambda drink: drink.machines.get("d")).slots[0]
    assert (slot.item, slot.price, slot.on_hand, slot.enabled) == ("Cherry Coke", 45, 7, False)


def test_a_slot_is_loaded_taken_from_and_counted(furnished: Operator) -> None:
    assert furnished.admin("slot", "load", "d", "1", "5", "--why", "box") == (
        "LOADED +5: 15 on hand\n"
    )
    once = ("slot", "take", "d", "1", "2", "--lost", "--request-id", "broken")
    assert furnished.admin(*once) == furnished.admin(*once) == "LOST -2: 13 on hand\n"
    assert furnished.admin("slot", "take", "d", "1", "1") == "TAKEN_OUT -1: 12 on hand\n"
    assert furnished.admin("slot", "count", "d", "1", "11", "--was", "12") == (
        "COUNTED -1: 11 on hand\n"
    )
    assert furnished.refused("slot", "count", "d", "1", "11", "--was", "12") == (
        "SLOT_CHANGED: the slot has 11 on hand, not 12"
    )
    assert furnished.refused("slot", "take", "d", "1", "12").startswith("STOCK_INVALID")
    assert furnished.refused("slot", "count", "d", "9", "1").startswith("SLOT_NOT_FOUND")


def test_a_slot_that_runs_low_is_named_and_an_empty_one_deleted(furnished: Operator) -> None:
    levels = ("--capacity", "12", "--low-stock", "10")
    furnished.admin("slot", "change", "d", "1", *levels)
    *_, last = furnished.admin("machine", "list").splitlines()
    assert last == "d 1: low stock, 10 left"
    assert furnished.refused("slot", "load", "d", "1", "3").startswith("STOCK_INVALID")
    assert furnished.refused("slot", "delete", "d", "1").startswith("SLOT_IN_USE")
    furnished.admin("slot", "take", "d", "1", "10")
    furnished.admin("slot", "delete", "d", "1")
    assert "Coke" not in furnished.admin("machine", "list")
    furnished.admin("slot", "add", "d", "1", "--item", "Tea", "--price", "5", *levels)
    slot = furnished.look(lambda drink: drink.machines.slot("d", 1))
    assert (slot.item, slot.capacity, slot.low_stock_mark) == ("Tea", 12, 10)


def test_movements_are_listed(furnished: Operator) -> None:
    furnished.admin("slot", "load", "d", "1", "5", "--why", "box", "--by", "anna")
    header, newest, first = furnished.admin("slot", "movements", "d", "1").splitlines()
    assert header.startswith("time")
    assert newest.split()[2:] == ["d", "1", "LOADED", "+5", "15", "operator:anna", "-", "box"]
    assert "LOADED  +10" in first
    for none in (("--kind", "LOST"), ("--before", "2020-01-01"), ("--since", "2999-01-01")):
        assert len(furnished.admin("slot", "movements", *none).splitlines()) == 1
    assert furnished.type("admin", "slot", "movements", "d").exit_code == 2


def test_a_machine_changes_in_what_is_given(furnished: Operator) -> None:
    furnished.admin("machine", "change", "d", "--disabled", "--location", "cellar")
    machine = furnished.look(lambda drink: drink.machines.get("d"))
    expected = ("Big Drink", "cellar", False)
    assert (machine.display_name, machine.location, machine.enabled) == expected


def test_a_token_is_good_until_the_next_one(furnished: Operator) -> None:
    first = furnished.admin("machine", "token", "d").strip()
    assert furnished.look(lambda drink: drink.machines.authenticate(first)) == "d"
    second = furnished.admin("machine", "token", "d").strip()
    assert furnished.look(lambda drink: drink.machines.authenticate(second)) == "d"
    with pytest.raises(TokenInvalidError):
        furnished.look(lambda drink: drink.machines.authenticate(first))


def test_a_token_in_a_file_is_for_its_owner_s_eyes(furnished: Operator, tmp_path: Path) -> None:
    path = tmp_path / "d.token"
    assert furnished.admin("machine", "token", "d", "--output", str(path)) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert furnished.look(lambda drink: drink.machines.authenticate(token)) == "d"

    assert furnished.refused("machine", "token", "d", "--output", str(path)).endswith(
        "exists already."
    )
    assert furnished.look(lambda drink: drink.machines.authenticate(token)) == "d"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("machine", "add", "d", "Again"), "ALREADY_EXISTS"),
        (("machine", "add", "D", "Upper"), "FIELD_INVALID"),
        (("machine", "change", "x", "--disabled"), "MACHINE_NOT_FOUND"),
        (("machine", "token", "x"), "MACHINE_NOT_FOUND"),
        (("slot", "add", "d", "1", "--item", "Tea", "--price", "1"), "ALREADY_EXISTS"),
        (("slot", "add", "x", "1", "--item", "Tea", "--price", "1"), "MACHINE_NOT_FOUND"),
        (("slot", "add", "d", "0", "--item", "Tea", "--price", "1"), "FIELD_INVALID"),
        (("slot", "add", "d", "2", "--item", 'T"ea', "--price", "1"), "FIELD_INVALID"),
        (("slot", "change", "d", "2", "--price", "1"), "SLOT_NOT_FOUND"),
        (("slot", "change", "d", "1", "--price", "-1"), "FIELD_INVALID"),
        (("slot", "change", "d", "1", "--available", "10001"), "FIELD_INVALID"),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    furnished: Operator, arguments: tuple[str, ...], reason: str
) -> None:
    before = furnished.admin("machine", "list")
    assert furnished.refused(*arguments).startswith(f"{reason}: ")
    assert furnished.admin("machine", "list") == before
