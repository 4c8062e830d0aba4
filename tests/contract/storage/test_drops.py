"""The contract of `DropTable`."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import ALL_DROPS, MS_MIN, Drop, DropSelection, Queue
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, add_machine, advance, found, hold_of, kept, reserve
from tests.support.books import drop as order
from tests.support.ids import ALICE, BOB

SCHEDULED = {"state": State.SCHEDULED, "not_before_ms": NOW + 1_000}


async def _move(storage: Database, number: int, target: State, cause: Cause) -> Drop:
    return await storage.write(lambda tx: advance(tx, order(number).id, target, cause))


async def _numbers(storage: Database, query: Callable[[Transaction], list[Drop]]) -> list[int]:
    return [int(drop.id) for drop in await storage.read(query)]


async def test_a_drop_is_kept_as_it_was_ordered_and_counted(house: Database) -> None:
    for number in (1, 2):
        kept_drop = await house.write(lambda tx, number=number: reserve(tx, order(number)))  # type: ignore[misc]
        assert kept_drop == replace(order(number), sequence=number)
    assert await house.read(lambda tx: tx.drops.get("none")) is None


async def test_a_drop_is_found_by_the_request_of_its_buyer(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    found_drop = await house.read(lambda tx: tx.drops.by_request(ALICE, "request-1"))
    assert found_drop == replace(order(1), sequence=1)
    assert await house.read(lambda tx: tx.drops.by_request(BOB, "request-1")) is None


async def test_each_move_keeps_its_times_and_its_link(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1, **SCHEDULED)))
    drop_id = order(1).id

    def move(source: State, target: State, at_ms: int, **details: object) -> Callable[..., Drop]:
        def unit(tx: Transaction) -> Drop:
            causes = {State.UNKNOWN: Cause.BOARD_SILENT, State.DISPENSED: Cause.OPERATOR}
            cause = causes.get(target, Cause.NONE)
            before = kept(tx, drop_id)
            assert before.state is source
            moved = tx.drops.move(before, target, cause, at_ms, **details)  # type: ignore[arg-type]
            assert moved == kept(tx, drop_id)
            return moved

        return unit

    due = await house.write(move(State.SCHEDULED, State.RESERVED, NOW + 1))
    assert (due.state, due.dispatched_ms, due.settled_ms) == (State.RESERVED, None, None)
    assert due.not_before_ms == NOW + 1_000
    link = {"epoch": 3, "journal_id": "journal"}
    sent = await house.write(move(State.RESERVED, State.DISPATCHED, NOW + 2, **link))
    assert (sent.epoch, sent.journal_id, sent.dispatched_ms) == (3, "journal", NOW + 2)
    returned = await house.write(move(State.DISPATCHED, State.RESERVED, NOW + 3))
    assert (returned.epoch, returned.journal_id, returned.dispatched_ms) == (None, None, None)
    await house.write(move(State.RESERVED, State.DISPATCHED, NOW + 4, **link))
    lost = await house.write(move(State.DISPATCHED, State.UNKNOWN, NOW + 5, revision=1))
    assert (lost.cause, lost.revision, lost.settled_ms) == (Cause.BOARD_SILENT, 1, NOW + 5)
    assert (lost.epoch, lost.journal_id, lost.dispatched_ms) == (3, "journal", NOW + 4)
    decided = await house.write(move(State.UNKNOWN, State.DISPENSED, NOW + 6, decided_by="root"))
    expected = (State.DISPENSED, Cause.OPERATOR, "root")
    assert (decided.state, decided.cause, decided.decided_by) == expected
    assert (decided.settled_ms, decided.revision) == (NOW + 5, 1)


async def test_moving_a_drop_from_where_it_is_not_is_a_mistake(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    elsewhere = replace(order(1), state=State.DISPATCHED)
    with pytest.raises(AssertionError, match="not DISPATCHED"):
        await house.write(lambda tx: tx.drops.move(elsewhere, State.UNKNOWN, Cause.AGENT_LOST, NOW))


async def test_motor_times_are_those_of_answers_in_time(storage: Database) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        for number in range(1, 6):
            reserve(tx, order(number, price=0, created_ms=NOW + number))

    await storage.write(queue)
    for number, cause, motor_ms in (
        (1, Cause.BOARD_ACK, 10),
        (2, Cause.SENSOR, 20),
        (3, Cause.BOARD_ACK_LATE, 30),
        (4, Cause.BOARD_ACK, 40),
    ):

        def settle(
            tx: Transaction, number: int = number, cause: Cause = cause, motor_ms: int = motor_ms
        ) -> None:
            before = kept(tx, order(number).id)
            link = {"epoch": 1, "journal_id": "journal"}
            sent = tx.drops.move(before, State.DISPATCHED, Cause.NONE, NOW, **link)  # type: ignore[arg-type]
            tx.drops.move(sent, State.DISPENSED, cause, NOW + motor_ms)

        await storage.write(settle)

    async def times(machine: str, limit: int) -> list[int]:
        return list(await storage.read(lambda tx: tx.drops.motor_times_ms(machine, limit)))

    assert await times("d", 9) == [40, 20, 10]
    # Those that wait and those that were late count, too.
    assert await times("d", 3) == [40]
    assert await times("ld", 9) == []


async def test_what_comes_before_a_drop_is_what_its_machine_has_still_to_do(
    storage: Database,
) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        add_machine(tx, "ld")
        reserve(tx, order(1))
        reserve(tx, order(2, machine="ld"))
        reserve(tx, order(3, **SCHEDULED))
        for number in (4, 5):
            reserve(tx, order(number))

    await storage.write(queue)
    await _move(storage, 1, State.DISPATCHED, Cause.NONE)

    def ahead(tx: Transaction) -> list[list[int | None]]:
        return [list(tx.drops.ahead(kept(tx, order(number).id))) for number in (1, 2, 4, 5)]

    none_before, none_there, first, second = await storage.read(ahead)
    assert (none_before, none_there) == ([], [])
    assert len(first) == 1
    assert first[0] is not None
    assert sorted(second, key=bool) == [None, *first]


async def test_revisions_only_rise(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    for revision, seen in ((2, 2), (1, 2), (3, 3)):
        await house.write(
            lambda tx, revision=revision: tx.drops.saw_revision(order(1).id, revision)  # type: ignore[misc]
        )
        assert (await house.read(lambda tx: kept(tx, order(1).id))).revision == seen


async def test_a_machine_serves_its_drops_in_order_and_no_others(storage: Database) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        add_machine(tx, "s")
        reserve(tx, order(1, machine="s"))
        reserve(tx, order(2, **SCHEDULED))
        reserve(tx, order(3))
        reserve(tx, order(4))

    await storage.write(queue)
    following = await storage.write(lambda tx: tx.drops.next_reserved("d"))
    assert following is not None
    assert following.id == order(3).id
    await _move(storage, 3, State.DISPATCHED, Cause.NONE)
    assert await storage.write(lambda tx: tx.drops.next_reserved("d")) is None
    await _move(storage, 3, State.UNKNOWN, Cause.AGENT_LOST)
    following = await storage.write(lambda tx: tx.drops.next_reserved("d"))
    assert following is not None
    assert following.id == order(4).id
    assert await storage.write(lambda tx: tx.drops.next_reserved("x")) is None


async def test_waiting_counts_what_is_still_to_come(storage: Database) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        add_machine(tx, "s")
        reserve(tx, order(1, **SCHEDULED))
        reserve(tx, order(2))
        reserve(tx, order(3))
        reserve(tx, order(4, machine="s"))

    async def waiting(machine: str, buyer: str = ALICE) -> Queue:
        found = await storage.read(lambda tx: tx.machines.with_slot(machine, 1, buyer))
        assert found is not None
        return found[1]

    await storage.write(queue)
    assert await waiting("d") == Queue(2, at_motor=False, of_buyer=3)
    assert await waiting("d", BOB) == Queue(2, at_motor=False, of_buyer=0)
    await _move(storage, 2, State.DISPATCHED, Cause.NONE)
    assert await waiting("d") == Queue(2, at_motor=True, of_buyer=3)
    await _move(storage, 2, State.UNKNOWN, Cause.AGENT_LOST)
    await _move(storage, 3, State.NOT_DISPENSED, Cause.CANCELLED)
    assert await waiting("d") == Queue(0, at_motor=False, of_buyer=1)
    assert await waiting("s") == Queue(1, at_motor=False, of_buyer=1)
    assert await storage.read(lambda tx: tx.drops.scheduled("d")) == 1
    assert await storage.read(lambda tx: tx.drops.scheduled("s")) == 0


async def test_open_drops_are_found_by_state_and_machine_oldest_first(storage: Database) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        add_machine(tx, "a")
        for number, machine in ((1, "d"), (2, "a"), (3, "d")):
            reserve(tx, order(number, machine=machine))

    await storage.write(queue)
    reserved = await _numbers(storage, lambda tx: list(tx.drops.in_state(State.RESERVED)))
    assert reserved == [1, 2, 3]
    at_d = await _numbers(storage, lambda tx: list(tx.drops.in_state(State.RESERVED, "d")))
    assert at_d == [1, 3]
    assert await storage.read(lambda tx: tx.drops.in_state(State.UNKNOWN)) == []
    with pytest.raises(AssertionError):
        await storage.read(lambda tx: tx.drops.in_state(State.DISPENSED))


async def test_scheduled_drops_are_due_by_their_time(storage: Database) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        for number, wait_ms in ((1, 300), (2, 100), (3, 200)):
            reserve(tx, order(number, state=State.SCHEDULED, not_before_ms=NOW + wait_ms))

    assert await storage.read(lambda tx: tx.drops.next_due_ms()) is None
    await storage.write(queue)
    assert await storage.read(lambda tx: tx.drops.next_due_ms()) == NOW + 100
    assert await _numbers(storage, lambda tx: list(tx.drops.due(NOW + 99))) == []
    assert await _numbers(storage, lambda tx: list(tx.drops.due(NOW + 200))) == [2, 3]
    await _move(storage, 2, State.RESERVED, Cause.NONE)
    assert await _numbers(storage, lambda tx: list(tx.drops.due(NOW + 200))) == [3]


async def test_lists_select_by_account_and_state_newest_first_and_by_pages(
    storage: Database,
) -> None:
    def queue(tx: Transaction) -> None:
        found(tx)
        for number in range(1, 5):
            reserve(tx, order(number, account=BOB if number == 2 else ALICE, price=0))

    await storage.write(queue)
    await _move(storage, 1, State.DISPENSED, Cause.BOARD_ACK)
    await _move(storage, 3, State.UNKNOWN, Cause.BOARD_SILENT)

    async def listed(
        account: str | None, states: tuple[State, ...], before: int | None = None, limit: int = 9
    ) -> list[int]:
        return await _numbers(
            storage, lambda tx: list(tx.drops.list(DropSelection(account, states), before, limit))
        )

    assert await listed(None, ()) == [4, 3, 2, 1]
    assert await listed(None, (), before=4, limit=2) == [3, 2]
    assert await listed(ALICE, ()) == [4, 3, 1]
    assert await listed(ALICE, (State.RESERVED,)) == [4]
    assert await listed(None, (State.UNKNOWN,)) == [3]
    assert await listed(None, (State.UNKNOWN, State.RESERVED), limit=2) == [4, 3]
    assert await listed(None, (State.DISPENSED, State.UNKNOWN, State.UNKNOWN)) == [3, 1]
    assert await listed("nobody", ()) == []


async def _sold(storage: Database) -> None:
    """Six drops of two machines; the clock was set back before the fourth."""

    def queue(tx: Transaction) -> None:
        found(tx)
        add_machine(tx, "ld")
        for number, machine, slot, item, at_ms in (
            (1, "d", 1, "Coke", 0),
            (2, "d", 2, "Mate", 10),
            (3, "ld", 1, "Coke", 20),
            (4, "d", 1, "Mate", 5),
            (5, "ld", 1, "Mate", 30),
            (6, "d", 1, "Coke", 30),
        ):
            account = BOB if number == 6 else ALICE
            where = {"machine": machine, "slot": slot, "item": item}
            drop = order(number, account=account, price=0, created_ms=NOW + at_ms, **where)
            reserve(tx, drop)

    await storage.write(queue)
    await _move(storage, 1, State.DISPENSED, Cause.BOARD_ACK)


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (DropSelection(machine="d"), [6, 2, 4, 1]),
        (DropSelection(machine="d", slot=1), [6, 4, 1]),
        (DropSelection(machine="d", slot=3), []),
        (DropSelection(machine="x"), []),
        (DropSelection(item="Coke"), [6, 3, 1]),
        (DropSelection(item="coke"), []),
        (DropSelection(item="Coke", machine="d"), [6, 1]),
        (DropSelection(item="Mate", machine="d", slot=1), [4]),
        (DropSelection(from_ms=NOW + 10), [6, 5, 3, 2]),
        (DropSelection(before_ms=NOW + 10), [4, 1]),
        (DropSelection(from_ms=NOW + 5, before_ms=NOW + 21), [3, 2, 4]),
        (DropSelection(from_ms=NOW + 5, before_ms=NOW + 5), []),
        (DropSelection(from_ms=MS_MIN, before_ms=MS_MIN), []),
        (DropSelection(machine="d", from_ms=NOW + 5), [6, 2, 4]),
        # Open drops and those of a buyer are in the order of their reservation.
        (DropSelection(states=(State.RESERVED,), machine="d"), [6, 4, 2]),
        (DropSelection(states=(State.RESERVED,), item="Coke"), [6, 3]),
        (DropSelection(states=(State.RESERVED,), before_ms=NOW + 10), [4]),
        (DropSelection(states=(State.DISPENSED,), machine="d"), [1]),
        (DropSelection(ALICE, machine="d"), [4, 2, 1]),
        (DropSelection(ALICE, machine="d", slot=1, item="Coke"), [1]),
        (DropSelection(ALICE, from_ms=NOW + 10, before_ms=NOW + 30), [3, 2]),
        (DropSelection(BOB, item="Mate"), []),
    ],
)
async def test_lists_select_by_place_item_and_time(
    storage: Database, selection: DropSelection, numbers: list[int]
) -> None:
    await _sold(storage)
    assert await _numbers(storage, lambda tx: list(tx.drops.list(selection, None, 9))) == numbers

    # One row at a time, each page after the last drop of the one before.
    paged: list[int] = []
    before = None
    while page := await storage.read(lambda tx: tx.drops.list(selection, before, 1)):  # noqa: B023
        paged.append(int(page[0].id))
        before = page[0].sequence
    assert paged == numbers


def _dispatch(tx: Transaction, number: int) -> None:
    advance(tx, order(number).id, State.DISPATCHED, Cause.NONE)


def _settle_again(tx: Transaction) -> None:
    settled = tx.drops.move(order(1), State.DISPENSED, Cause.BOARD_ACK, NOW)
    tx.drops.move(settled, State.NOT_DISPENSED, Cause.OPERATOR, NOW)


def _wake_the_unknown(tx: Transaction) -> None:
    unknown = tx.drops.move(order(1), State.UNKNOWN, Cause.AGENT_LOST, NOW)
    tx.drops.move(unknown, State.RESERVED, Cause.NONE, NOW)


def _dispatch_twice(tx: Transaction) -> None:
    _dispatch(tx, 1)
    _dispatch(tx, 1)


def _two_commands(tx: Transaction) -> None:
    reserve(tx, order(2))
    _dispatch(tx, 1)
    _dispatch(tx, 2)


def _settle(target: State, cause: Cause, by: str | None = None) -> Callable[[Transaction], None]:
    def unit(tx: Transaction) -> None:
        tx.drops.move(order(1), target, cause, NOW, decided_by=by)

    return unit


def _dispatch_without_hold(tx: Transaction) -> None:
    tx.drops.add(order(2))
    link = {"epoch": 1, "journal_id": "journal"}
    tx.drops.move(order(2), State.DISPATCHED, Cause.NONE, NOW, **link)  # type: ignore[arg-type]


def _hold_of_a_settled_drop(tx: Transaction) -> None:
    tx.drops.add(order(2, state=State.UNKNOWN, cause=Cause.AGENT_LOST, settled_ms=NOW))
    tx.ledger.add(hold_of(order(2)))


@pytest.mark.parametrize(
    ("mistake", "refused_by"),
    [
        (lambda tx: reserve(tx, order(2, request_id="request-1")), "request_id"),
        (_settle_again, "drops_settled_stay"),
        (_wake_the_unknown, "drops_settled_stay"),
        (_dispatch_twice, "drops_dispatched_from_reserved"),
        (_two_commands, "drops.machine|drops_dispatched_alone"),
        (lambda tx: tx.drops.move(order(1), State.DISPATCHED, Cause.NONE, NOW), "drops_dispatched"),
        (_dispatch_without_hold, "drops_move_with_hold"),
        (_hold_of_a_settled_drop, "transfers_hold_fits"),
        (_settle(State.DISPENSED, Cause.AGENT_LOST), "drops_dispensed"),
        (_settle(State.NOT_DISPENSED, Cause.BOARD_SILENT), "drops_not_dispensed"),
        (_settle(State.UNKNOWN, Cause.BOARD_ACK), "drops_unknown"),
        (_settle(State.DISPENSED, Cause.OPERATOR), "drops_decided"),
        (_settle(State.DISPENSED, Cause.BOARD_ACK, by="root"), "drops_decided"),
        (lambda tx: tx.drops.add(order(2, slot=9)), "(?i)foreign key"),
        (lambda tx: tx.drops.add(order(2, account="nobody")), "(?i)foreign key"),
        (lambda tx: tx.drops.add(order(2, price=1_000_001)), "drops_price"),
        (lambda tx: tx.drops.add(order(2, state=State.SCHEDULED)), "drops_scheduled"),
        (lambda tx: tx.drops.add(order(2, epoch=1)), "drops_waiting"),
        (lambda tx: tx.drops.add(order(2, settled_ms=1)), "drops_settled"),
    ],
)
async def test_a_mistake_of_the_program_cannot_break_a_drop(
    house: Database, mistake: Callable[[Transaction], None], refused_by: str
) -> None:
    before = await house.write(lambda tx: reserve(tx, order(1)))
    with pytest.raises(Exception, match=refused_by):
        await house.write(mistake)
    assert await house.read(lambda tx: tx.drops.list(ALL_DROPS, None, 9)) == [before]
