"""The agents' side: links, taking drops, and settling what agents report."""

import itertools

import pytest

from drink_frontend.domain.alarms import RAISED_BY
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.errors import (
    LinkProtocolError,
    LinkSupersededError,
    MachineNotFoundError,
)
from tests.support.bench import JOURNAL, Bench, BenchDatabase
from tests.support.ids import BOB, ROOT

CLAIMS = [
    (State.DISPENSED, Cause.BOARD_ACK),
    (State.DISPENSED, Cause.BOARD_ACK_LATE),
    (State.DISPENSED, Cause.DECLARED),
    (State.NOT_DISPENSED, Cause.BOARD_REFUSED),
    (State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE),
    (State.NOT_DISPENSED, Cause.BOARD_UNREACHABLE),
    (State.NOT_DISPENSED, Cause.EXPIRED),
    (State.UNKNOWN, Cause.BOARD_SILENT),
    (State.UNKNOWN, Cause.BOARD_LOST),
    (State.UNKNOWN, Cause.AGENT_RESTARTED),
]

BOOKS = {
    State.DISPENSED: ((150, 0), (2, 0, 1, 0)),
    State.NOT_DISPENSED: ((200, 0), (3, 0, 0, 0)),
    State.UNKNOWN: ((200, 50), (2, 0, 0, 1)),
}
"""Ann's credits and the slot's stock after each outcome of one drop."""

TRANSFERS = {
    State.DISPENSED: ["HOLD", "POST"],
    State.NOT_DISPENSED: ["HOLD", "VOID"],
    State.UNKNOWN: ["HOLD"],
}
"""The drop's transfers after each outcome."""


@pytest.fixture
async def drop(bench: Bench) -> Drop:
    """A drop whose command its agent has."""
    return await bench.dispatched()


async def test_each_link_has_a_higher_epoch(bench: Bench) -> None:
    first = await bench.link()
    second = await bench.link()

    assert second.epoch == first.epoch + 1
    assert first.wanted == second.wanted == ()
    record = (await bench.audit(AuditKind.LINK_OPENED))[-1]
    assert record.facts == {
        "epoch": second.epoch,
        "journal_id": JOURNAL,
        "boot_id": "boot-1",
        "agent_version": "",
    }


async def test_no_link_of_an_unknown_machine(bench: Bench) -> None:
    with pytest.raises(MachineNotFoundError):
        await bench.link("s")


async def test_a_drop_is_taken_with_its_link_and_journal(bench: Bench) -> None:
    """Invariant 7: the dispatch is durable before anything can be sent."""
    await bench.place()
    taken = await bench.taken()
    drop = await bench.drop(taken.id)
    assert (drop.state, drop.epoch, drop.journal_id) == (State.DISPATCHED, 1, JOURNAL)
    assert drop.dispatched_ms == bench.clock.now_ms()


async def test_drops_are_taken_one_by_one_in_their_order(bench: Bench) -> None:
    """Invariant 11: one command outstanding per machine, in the order of reservation."""
    placed = [await bench.place(f"r{number}") for number in range(3)]
    for drop in placed:
        assert (await bench.taken()).id == drop.id
        assert await bench.take() is None
        await bench.report(drop)

    assert await bench.take() is None


async def test_a_machine_does_not_wait_for_another(bench: Bench) -> None:
    """Invariant 11: a dead machine blocks no other."""
    await bench.dispatched()

    assert (await bench.dispatched("r2", machine="ld")).machine == "ld"


async def test_a_scheduled_drop_is_not_taken_and_holds_nobody_up(bench: Bench) -> None:
    await bench.place("later", delay_s=60)
    now = await bench.place("now")
    assert (await bench.taken()).id == now.id


async def test_an_unknown_drop_does_not_block_its_machine(bench: Bench) -> None:
    await bench.unknown("r1")

    assert (await bench.dispatched("r2")).state is State.DISPATCHED


async def test_fault_17_an_old_link_takes_nothing(bench: Bench) -> None:
    """Invariant 14: commands are given on the newest epoch only."""
    old = await bench.epoch()
    await bench.link()
    drop = await bench.place()

    with pytest.raises(LinkSupersededError):
        await bench.dispatch.take("d", old)
    with pytest.raises(LinkSupersededError):
        await bench.dispatch.take("d", old + 2)
    assert await bench.state(drop) == (State.RESERVED, Cause.NONE)


async def test_fault_17_an_old_links_results_count(bench: Bench, drop: Drop) -> None:
    """Invariant 15: a fact is a fact on any link."""
    await bench.link()
    await bench.report(drop)

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)


async def test_fault_56_a_disabled_machine_settles_and_is_given_nothing(bench: Bench) -> None:
    drop, waiting = await bench.dispatched("r1"), await bench.place("r2")
    await bench.machines.change(ROOT, "d", enabled=False)
    await bench.link()
    await bench.report(drop)

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)
    assert await bench.take() is None
    assert await bench.state(waiting) == (State.RESERVED, Cause.NONE)
    await bench.machines.change(ROOT, "d", enabled=True)
    assert await bench.take() is not None


@pytest.mark.parametrize(("outcome", "cause"), CLAIMS)
async def test_faults_40_to_44_each_outcome_settles_the_books(
    bench: Bench, outcome: State, cause: Cause, drop: Drop
) -> None:
    """Invariant 8: posted on evidence, void on proof, held when nobody can tell."""
    await bench.report(drop, outcome, cause, evidence={"lines": ["3"]})

    assert await bench.state(drop) == (outcome, cause)
    assert await bench.books() == BOOKS[outcome]
    assert await bench.holds_and_ends(drop) == TRANSFERS[outcome]
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    assert (record.actor, record.facts["evidence"]) == ("agent:d", {"lines": ["3"]})


OUTCOMES = (State.DISPENSED, State.NOT_DISPENSED, State.UNKNOWN)
UNDECLARED = (State.DISPENSED, Cause.SENSOR)
UNRECOGNIZED = sorted(set(itertools.product(OUTCOMES, Cause)) - {*CLAIMS, UNDECLARED})


@pytest.mark.parametrize(("outcome", "cause"), UNRECOGNIZED)
async def test_fault_22_an_outcome_for_a_reason_not_known_here_is_for_a_person_to_decide(
    bench: Bench, outcome: State, cause: Cause, drop: Drop
) -> None:
    """Invariant 8: an outcome without its own cause is no evidence; the credits stay held."""
    await bench.report(drop, outcome, cause)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.UNRECOGNIZED)
    assert await bench.holds_and_ends(drop) == ["HOLD"]
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    assert (record.facts["outcome"], record.facts["reported_cause"]) == (outcome, cause)


@pytest.mark.parametrize("outcome", sorted(set(State) - set(OUTCOMES)))
async def test_what_is_no_outcome_settles_nothing(bench: Bench, outcome: State) -> None:
    """The database is not asked."""
    before = bench.storage.stats.units
    with pytest.raises(LinkProtocolError):
        await bench.report("D1", outcome, Cause.NONE)
    assert bench.storage.stats.units == before


async def test_fault_48_evidence_that_contradicts_the_outcome_is_raised(bench: Bench) -> None:
    drop = await bench.dispatched()
    words = "acknowledged, but the sensor said before that the slot was empty"
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK, evidence={"contradiction": words})

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)
    [alarm] = await bench.audit(AuditKind.SENSOR_CONTRADICTED)
    assert (alarm.drop_id, alarm.facts) == (drop.id, {"slot": 1, "contradiction": words})


async def test_a_return_that_is_said_twice_returns_once(bench: Bench, drop: Drop) -> None:
    epoch = (await bench.link()).epoch
    await bench.dispatch.not_received("d", epoch, drop.id)
    await bench.dispatch.not_received("d", epoch, drop.id)
    assert await bench.state(drop) == (State.RESERVED, Cause.NOT_RECEIVED)


@pytest.mark.parametrize("revision", [0, -1])
async def test_revisions_begin_at_one(bench: Bench, revision: int) -> None:
    with pytest.raises(LinkProtocolError):
        await bench.report("D1", revision=revision)


@pytest.mark.parametrize(("outcome", "cause"), CLAIMS)
async def test_fault_13_a_repeated_result_changes_nothing(
    bench: Bench, outcome: State, cause: Cause, drop: Drop
) -> None:
    """Invariant 15: delivered at least once, settled once."""
    await bench.report(drop, outcome, cause)
    settled, records = await bench.drop(drop.id), await bench.audit()
    bench.clock.pass_s(60)
    await bench.report(drop, outcome, cause)

    assert await bench.drop(drop.id) == settled
    assert await bench.audit() == records
    assert await bench.holds_and_ends(drop) == TRANSFERS[outcome]


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (State.DISPENSED, Cause.BOARD_ACK_LATE),
        (State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE),
    ],
)
async def test_fault_41_a_late_answer_settles_an_unknown_drop(
    bench: Bench, outcome: State, cause: Cause
) -> None:
    drop = await bench.unknown()
    await bench.report(drop, outcome, cause, revision=2)

    assert await bench.state(drop) == (outcome, cause)
    assert await bench.books() == BOOKS[outcome]
    assert await bench.holds_and_ends(drop) == TRANSFERS[outcome]


async def test_fault_41_results_in_the_wrong_order_end_the_same(bench: Bench, drop: Drop) -> None:
    """Invariant 15: order does not matter."""
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=2)
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT, revision=1)

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK_LATE)
    assert await bench.credits() == (150, 0)


async def test_fault_42_a_contradiction_is_raised_and_not_applied(bench: Bench, drop: Drop) -> None:
    """Invariant 3: the first settlement stands; what argues with it is for a person."""
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    for _ in range(2):
        await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=2)

    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    assert await bench.credits() == (200, 0)
    (record,) = await bench.audit(AuditKind.DROP_CONTRADICTED)
    assert record.kind in RAISED_BY
    assert (record.facts["outcome"], record.facts["reported_cause"]) == (
        "DISPENSED",
        "BOARD_ACK_LATE",
    )


async def test_fault_48_a_sensor_that_contradicts_the_board_is_kept_with_it(bench: Bench) -> None:
    drop = await bench.dispatched()
    evidence = {
        "sensor_before": "STOCKED",
        "sensor_after": "STOCKED",
        "contradiction": "acknowledged, and the slot is as full as before",
    }
    await bench.report(drop, evidence=evidence)

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    assert record.facts["evidence"] == evidence


async def test_fault_16_an_expired_command_frees_the_credits(bench: Bench, drop: Drop) -> None:
    """Invariant 16: its agent refused to start it."""
    await bench.report(drop, State.NOT_DISPENSED, Cause.EXPIRED)

    assert await bench.books() == ((200, 0), (3, 0, 0, 0))


async def test_fault_10_a_command_that_never_arrived_waits_for_its_turn_again(
    bench: Bench, drop: Drop
) -> None:
    """Invariant 6: it is the same drop, with the same hold, that is dispatched again."""
    opening = await bench.link()
    assert opening.wanted == (drop.id,)

    await bench.dispatch.not_received("d", opening.epoch, drop.id)
    assert await bench.state(drop) == (State.RESERVED, Cause.NOT_RECEIVED)
    assert await bench.credits() == (200, 50)
    assert (await bench.taken()).id == drop.id
    assert (await bench.drop(drop.id)).epoch == opening.epoch
    await bench.report(drop)
    assert await bench.holds_and_ends(drop) == ["HOLD", "POST"]


async def test_fault_10_a_returned_drop_is_first_in_its_queue_and_can_be_cancelled(
    bench: Bench,
) -> None:
    drop, later = await bench.dispatched("r1"), await bench.place("r2")
    await bench.returned(drop)
    await bench.drops.cancel(await bench.account("ann"), drop.id)

    assert (await bench.taken()).id == later.id
    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.CANCELLED)


async def test_fault_11_a_drop_that_its_agent_has_is_wanted_until_it_is_told(
    bench: Bench, drop: Drop
) -> None:
    for _ in range(2):
        assert (await bench.link()).wanted == (drop.id,)
        assert await bench.take() is None

    await bench.report(drop)
    assert (await bench.link()).wanted == ()


async def test_fault_12_a_result_after_the_cut_settles_the_drop(bench: Bench, drop: Drop) -> None:
    await bench.link()
    await bench.report(drop, State.UNKNOWN, Cause.AGENT_RESTARTED)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.AGENT_RESTARTED)
    assert await bench.credits() == (200, 50)


async def test_fault_21_a_restart_of_the_frontend_loses_no_drop(database: BenchDatabase) -> None:
    """Invariant 19: what was dispatched is asked about by the next process."""
    async with database.open() as bench:
        await bench.furnish()
        drop, waiting = await bench.dispatched("r1"), await bench.place("r2")
    async with database.open() as bench:
        assert (await bench.link()).wanted == (drop.id,)
        await bench.report(drop)
        assert (await bench.taken()).id == waiting.id


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_only_the_newest_link_proves_that_a_command_never_arrived(
    bench: Bench, epoch: int, drop: Drop
) -> None:
    await bench.link()

    with pytest.raises(LinkSupersededError):
        await bench.dispatch.not_received("d", epoch, drop.id)
    assert (await bench.drop(drop.id)).state is State.DISPATCHED


async def test_an_agent_proves_nothing_about_another_machines_drop(bench: Bench) -> None:
    drop = await bench.dispatched()
    for drop_id in (drop.id, "nothing"):
        with pytest.raises(LinkProtocolError):
            await bench.dispatch.not_received("ld", await bench.epoch("ld"), drop_id)

    assert (await bench.drop(drop.id)).state is State.DISPATCHED


@pytest.mark.parametrize("journal", [("journal-2", 0), ("journal-2", 99), (JOURNAL, 6)])
async def test_fault_37_a_replaced_or_older_journal_proves_nothing(
    bench: Bench, journal: tuple[str, int]
) -> None:
    """Invariant 8: what was dispatched becomes UNKNOWN, and is never sent again."""
    bench.agents.keep_journal("d", (JOURNAL, 7))
    drop, waiting = await bench.dispatched("r1"), await bench.place("r2")
    opening = await bench.link("d", *journal)

    assert opening.wanted == ()
    assert await bench.state(drop) == (State.UNKNOWN, Cause.JOURNAL_REPLACED)
    assert await bench.books() == ((200, 100), (1, 1, 0, 1))
    assert (await bench.taken()).id == waiting.id
    (record,) = await bench.audit(AuditKind.JOURNAL_REPLACED)
    assert record.kind in RAISED_BY
    assert record.facts == {
        "journal_id": journal[0],
        "journal_sequence": journal[1],
        "known_journal_id": JOURNAL,
        "known_journal_sequence": 7,
        "drops": [drop.id],
    }


@pytest.mark.parametrize("sequence", [7, 8])
async def test_fault_37_a_journal_that_has_all_that_was_seen_is_believed(
    bench: Bench, sequence: int, drop: Drop
) -> None:
    await bench.report("orphan", journal=(JOURNAL, 7))
    bench.agents.keep_journal("d", (JOURNAL, 3))
    bench.agents.keep_journal("d", ("another", 99))

    assert (await bench.link("d", JOURNAL, sequence)).wanted == (drop.id,)
    assert await bench.audit(AuditKind.JOURNAL_REPLACED) == []


@pytest.mark.parametrize(
    ("outcome", "cause"), [claim for claim in CLAIMS if claim[0] is not State.DISPENSED]
)
async def test_fault_37_an_older_journal_frees_no_credits(
    bench: Bench, outcome: State, cause: Cause
) -> None:
    """Invariant 8: a copy from before the motor was started would swear that it was not."""
    bench.agents.keep_journal("d", (JOURNAL, 7))
    drop = await bench.dispatched()
    await bench.link("d", JOURNAL, 5)
    await bench.report(drop, outcome, cause)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.JOURNAL_REPLACED)
    assert await bench.credits() == (200, 50)
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    assert (record.facts["outcome"], record.facts["reported_cause"]) == (outcome, cause)


async def test_fault_37_an_item_that_fell_is_believed_of_any_journal(bench: Bench) -> None:
    bench.agents.keep_journal("d", (JOURNAL, 7))
    drop = await bench.dispatched()
    await bench.link("d", JOURNAL, 5)
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE)

    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK_LATE)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (State.DISPENSED, Cause.BOARD_ACK_LATE),
        (State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE),
    ],
)
async def test_fault_37_a_late_answer_to_a_command_that_an_older_journal_lacks_is_nobodys(
    bench: Bench, outcome: State, cause: Cause
) -> None:
    """Invariant 8: the agent takes it for an answer to the last command that it knows of."""
    earlier = await bench.unknown()
    later = await bench.dispatched("r2")
    bench.agents.keep_journal("d", (JOURNAL, 7))
    await bench.link("d", JOURNAL, 5)
    before = await bench.state(earlier)
    await bench.report(earlier, outcome, cause, revision=2)

    assert await bench.state(earlier) == before
    assert before[0] is State.UNKNOWN
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=earlier.id))[-1]
    assert (record.facts["outcome"], record.facts["reported_cause"]) == (outcome, cause)
    await bench.report(later, State.DISPENSED, Cause.BOARD_ACK_LATE)
    assert await bench.state(later) == (State.DISPENSED, Cause.BOARD_ACK_LATE)


async def test_fault_36_a_restored_backup_learns_what_became_of_its_drops(
    database: BenchDatabase,
) -> None:
    """Invariant 15: an agent's result counts for a drop that was never dispatched, it seems."""
    async with database.open() as bench:
        await bench.furnish()
        await bench.change_slot("d", 1, available=4)
        fell, refused, lost = [await bench.place(f"r{number}") for number in range(3)]
        later = await bench.place("later", delay_s=60)
    backup = database.back_up()
    async with database.open() as bench:
        forgotten = await bench.place("forgotten", account=BOB, machine="ld")
        for drop in (fell, refused, lost):
            assert await bench.take() is not None
            await bench.report(drop)
    database.restore(backup)
    async with database.open() as bench:
        await bench.report(fell, State.DISPENSED, Cause.BOARD_ACK)
        await bench.report(refused, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
        await bench.report(lost, State.UNKNOWN, Cause.BOARD_SILENT)
        await bench.report(later, State.DISPENSED, Cause.BOARD_ACK)
        await bench.report(forgotten)

        states = [(await bench.drop(drop.id)).state for drop in (fell, refused, lost, later)]
        assert states == [State.DISPENSED, State.NOT_DISPENSED, State.UNKNOWN, State.DISPENSED]
        assert await bench.credits() == (100, 50)
        (record,) = await bench.audit(AuditKind.ORPHAN_RESULT)
        assert record.kind in RAISED_BY
        assert (record.machine, record.facts["drop"]) == ("ld", forgotten.id)


async def test_an_agent_settles_no_other_machines_drop(bench: Bench, drop: Drop) -> None:
    await bench.report(drop.id, machine="ld")

    assert await bench.state(drop) == (State.DISPATCHED, Cause.NONE)
    (record,) = await bench.audit(AuditKind.ORPHAN_RESULT)
    assert (record.actor, record.facts["drop"]) == ("agent:ld", drop.id)
