"""Drops and alarms, from the command line."""

import asyncio

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Reach, Result
from drink_frontend.storage.database import Database
from drink_frontend.system.clock import SystemClock
from drink_frontend.usecases.agents import Agents
from drink_frontend.usecases.audit import Alarms
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.placement import DropOrder
from drink_frontend.usecases.settings import AlarmSettings, DropSettings, TemperatureSettings
from drink_frontend.usecases.temperatures import Temperatures
from tests.fakes.randomness import CountingRandomness
from tests.frontend.admin.conftest import Operator
from tests.support.bench import HandLinks


async def _buy(operator: Operator, outcome: State, cause: Cause) -> str:
    async with Database.open(operator.settings.storage) as storage:
        clock, links = SystemClock(), HandLinks()
        deadlines = Deadlines(storage, links, clock, DropSettings())
        drops = Drops(
            storage,
            links,
            clock,
            CountingRandomness("T"),
            deadlines=deadlines,
            settings=DropSettings(),
        )
        journals, alarms = Journals(storage, keep_s=1), Alarms(storage, clock, AlarmSettings())
        temperatures = Temperatures(storage, clock, TemperatureSettings())
        agents = Agents(storage, clock, journals, alarms, "F", temperatures=temperatures)
        dispatch = Dispatch(storage, clock, journals, alarms)
        epoch = (await agents.open_link("d", ("J", 0), Reach.READY, {})).epoch
        alice = await storage.read(lambda tx: tx.accounts.find("alice"))
        assert alice is not None
        drop = await drops.place(DropOrder(alice.id, "r1", "d", 1))
        assert await dispatch.take("d", epoch) is not None
        await dispatch.result("d", Result(drop.id, 1, outcome, cause, {"lines": ["31"]}, 3), "J")
        return drop.id


@pytest.fixture
def furnished(operator: Operator) -> Operator:
    """A machine, a slot, and Alice with 100 credits."""
    operator.admin("machine", "add", "d", "Big Drink")
    operator.admin("slot", "add", "d", "1", "--item", "Coke", "--price", "50", "--available", "10")
    operator.admin("user", "add", "alice")
    operator.admin("credits", "add", "alice", "100")
    return operator


@pytest.fixture
def unknown(furnished: Operator) -> str:
    """A drop whose board went silent."""
    return asyncio.run(_buy(furnished, State.UNKNOWN, Cause.BOARD_SILENT))


def test_drops_are_listed_by_account_and_state(furnished: Operator, unknown: str) -> None:
    header, line = furnished.admin("drops", "list").splitlines()
    assert header.split() == [
        "drop", "account", "machine", "slot", "item", "price", "state", "cause", "reserved",
    ]  # fmt: skip
    assert line.split()[:8] == [unknown, "alice", "d", "1", "Coke", "50", "UNKNOWN", "BOARD_SILENT"]
    assert unknown in furnished.admin("drops", "list", "--account", "alice", "--state", "UNKNOWN")
    assert unknown not in furnished.admin("drops", "list", "--state", "DISPENSED")
    assert "ACCOUNT_NOT_FOUND" in furnished.refused("drops", "list", "--account", "bob")
    furnished.admin("user", "add", "bob")
    assert unknown not in furnished.admin("drops", "list", "--account", "Bob")


@pytest.mark.parametrize(
    ("options", "is_listed"),
    [
        (("--machine", "d", "--slot", "1", "--item", "Coke", "--since", "2020-01-01"), True),
        (("--before", "2999-12-31 23:59:59"), True),
        (("--machine", "ld"), False),
        (("--machine", "d", "--slot", "2"), False),
        (("--item", "Mate"), False),
        (("--since", "2999-01-01"), False),
        (("--before", "0001-01-01"), False),
    ],
)
def test_drops_are_listed_by_place_item_and_time(
    furnished: Operator, unknown: str, options: tuple[str, ...], is_listed: bool
) -> None:
    assert (unknown in furnished.admin("drops", "list", *options)) == is_listed


def test_drops_cannot_be_listed_by_a_slot_of_no_machine(furnished: Operator) -> None:
    assert furnished.type("admin", "drops", "list", "--slot", "1").exit_code == 2
    assert "FIELD_INVALID" in furnished.refused("drops", "list", "--item", "x" * 65)


def test_closing_the_buyer_says_what_is_still_open(furnished: Operator, unknown: str) -> None:
    told = furnished.admin("user", "change", "alice", "--closed", "--force")
    assert told.splitlines() == [
        "alice owns 100 credits, 50 of them held",
        f"open: {unknown}  UNKNOWN  50 credits",
    ]


def test_one_drop_is_shown_with_its_history_and_evidence(furnished: Operator, unknown: str) -> None:
    text = furnished.admin("drops", "show", unknown)
    assert text.splitlines()[0] == f"{unknown}  UNKNOWN BOARD_SILENT"
    reserved, dispatched, lost = (line for line in text.splitlines() if "DROP_MOVED" in line)
    assert '"event": "RESERVE"' in reserved
    assert '"event": "DISPATCH"' in dispatched
    assert '"event": "LOSE"' in lost
    assert '"lines": ["31"]' in lost


@pytest.mark.parametrize(
    ("choice", "state", "left"),
    [("--dispensed", "DISPENSED", 50), ("--not-dispensed", "NOT_DISPENSED", 100)],
)
def test_an_unknown_drop_is_decided(
    furnished: Operator, unknown: str, choice: str, state: str, left: int
) -> None:
    answer = furnished.admin("drops", "resolve", unknown, choice, "--why", "looked into it")
    assert answer == f"{unknown}  {state} OPERATOR\n"
    account = furnished.look(lambda drink: drink.accounts.named("alice"))
    assert (account.available, account.held) == (left, 0)
    assert "looked into it" in furnished.admin("drops", "show", unknown)
    again = furnished.refused("drops", "resolve", unknown, choice, "--why", "again")
    assert again.startswith("DROP_NOT_UNKNOWN")
    assert furnished.admin("verify") == "The books agree.\n"


def test_a_decision_needs_a_drop_and_a_reason(furnished: Operator, unknown: str) -> None:
    refusal = furnished.refused("drops", "resolve", unknown, "--dispensed", "--why", " ")
    assert refusal.startswith("FIELD_INVALID")
    for command in (("show",), ("resolve", "--dispensed", "--why", "x")):
        assert furnished.refused("drops", command[0], "D404", *command[1:]).startswith(
            "DROP_NOT_FOUND"
        )


def test_a_paid_drop_is_refunded_once(furnished: Operator, unknown: str) -> None:
    why = ("--why", "it was warm")
    assert furnished.refused("drops", "refund", unknown, *why).startswith("DROP_NOT_PAID")
    furnished.admin("drops", "resolve", unknown, "--dispensed", "--why", "looked into it")
    for wrong in ("0", "-5", "51"):
        refusal = furnished.refused("drops", "refund", unknown, *why, "--credits", wrong)
        assert refusal.startswith("FIELD_INVALID")
    terms = ("--credits", "20", "--restock", "--request-id", "back", "--by", "ann")
    answers = {furnished.admin("drops", "refund", unknown, *why, *terms) for _ in range(2)}
    assert answers == {f"{unknown}  20 of 50 credits are back at alice\n"}
    assert furnished.refused("drops", "refund", unknown, *why).startswith("DROP_REFUNDED")
    shown = furnished.admin("drops", "show", unknown)
    assert "20 credits were given back" in shown
    assert "DROP_REFUNDED  operator:ann" in shown
    assert furnished.admin("verify") == "The books agree.\n"


def test_alarms_show_unknown_drops_and_what_was_raised(furnished: Operator, unknown: str) -> None:
    lines = furnished.admin("alarms").splitlines()
    assert any(unknown in line and "50 credits held" in line for line in lines)
    furnished.admin("drops", "resolve", unknown, "--not-dispensed", "--why", "it is still there")
    assert furnished.admin("alarms") == "Nothing to look at.\n"


def test_evidence_against_a_decision_is_an_alarm(furnished: Operator, unknown: str) -> None:
    furnished.admin("drops", "resolve", unknown, "--not-dispensed", "--why", "it is still there")

    async def late() -> None:
        async with Database.open(furnished.settings.storage) as storage:
            clock = SystemClock()
            alarms = Alarms(storage, clock, AlarmSettings())
            dispatch = Dispatch(storage, clock, Journals(storage, keep_s=1), alarms)
            result = Result(unknown, 2, State.DISPENSED, Cause.BOARD_ACK_LATE, {}, 4)
            await dispatch.result("d", result, "J")

    asyncio.run(late())
    assert "DROP_CONTRADICTED" in furnished.admin("alarms")
    assert "NOT_DISPENSED OPERATOR" in furnished.admin("drops", "show", unknown)
