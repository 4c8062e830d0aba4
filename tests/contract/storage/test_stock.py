"""The contract of `StockTable`."""

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.movements import MovementSelection, StockMovement
from drink_frontend.domain.stock import MovementKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, adjust, advance, reserve
from tests.support.books import drop as order

SOLD = order(1)


async def _movements(storage: Database, **selection: object) -> list[tuple[MovementKind, int, int]]:
    """Kind, change and items on hand of each selected movement, newest first."""
    chosen = MovementSelection(**selection)  # type: ignore[arg-type]
    found = await storage.read(lambda tx: tx.stock.list(None, 100, chosen))
    return [(movement.kind, movement.change, movement.on_hand) for movement in found]


async def test_a_movement_changes_its_slot_and_is_kept_with_it(house: Database) -> None:
    """Invariant 27: what a person does to a slot's number is kept with actor and reason."""
    asked = StockMovement(
        "d", 1, MovementKind.LOST, -2, NOW + 1, "root", reason="frozen", request_id="frozen-1"
    )
    stored = await house.write(lambda tx: tx.stock.adjust(asked))
    assert (stored.on_hand, stored.reason) == (3, "frozen")
    assert await house.read(lambda tx: tx.stock.by_request("root", "frozen-1")) == stored
    assert await house.read(lambda tx: tx.stock.by_request("anna", "frozen-1")) is None
    slot = await house.read(lambda tx: tx.machines.slot("d", 1))
    assert slot is not None
    assert (slot.on_hand, slot.updated_ms) == (3, NOW + 1)
    assert await house.verify() == ["10: slot d/1 says 3 loaded, its records add up to 5"]


async def test_a_sale_is_a_movement_without_a_change_by_hand(house: Database) -> None:
    """Invariant 27: an item leaves its slot with its drop's outcome, not with the reservation."""
    await house.write(lambda tx: reserve(tx, SOLD))
    assert len(await _movements(house, slot=("d", 1))) == 1
    await house.write(lambda tx: advance(tx, SOLD.id, State.DISPENSED, Cause.BOARD_ACK))
    newest = (await house.read(lambda tx: tx.stock.list(None, 1)))[0]
    assert (newest.kind, newest.change, newest.on_hand) == (MovementKind.SOLD, -1, 4)
    assert (newest.drop_id, newest.actor, newest.request_id) == (SOLD.id, "agent:d", None)
    assert await house.verify() == []


async def test_a_drop_that_dispensed_nothing_is_no_movement(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, SOLD))
    await house.write(lambda tx: advance(tx, SOLD.id, State.NOT_DISPENSED, Cause.CANCELLED))
    assert len(await _movements(house, slot=("d", 1))) == 1
    assert await house.verify() == []


async def test_movements_are_selected_by_slot_kind_and_time(house: Database) -> None:
    def happen(tx: Transaction) -> None:
        adjust(tx, "d", 1, 3, kind=MovementKind.LOADED, at_ms=NOW + 10)
        adjust(tx, "d", 2, -1, kind=MovementKind.TAKEN_OUT, at_ms=NOW + 20)
        adjust(tx, "d", 1, 0, at_ms=NOW + 30)

    await house.write(happen)
    loaded, taken = (MovementKind.LOADED, 3, 8), (MovementKind.TAKEN_OUT, -1, 4)
    counted, opening = (MovementKind.COUNTED, 0, 8), (MovementKind.COUNTED, 5, 5)
    assert await _movements(house) == [counted, taken, loaded, opening, opening]
    assert await _movements(house, slot=("d", 1)) == [counted, loaded, opening]
    assert await _movements(house, slot=("s", 1)) == []
    both = (MovementKind.LOADED, MovementKind.TAKEN_OUT)
    assert await _movements(house, kinds=both) == [taken, loaded]
    assert await _movements(house, from_ms=NOW + 10, before_ms=NOW + 30) == [taken, loaded]


async def test_pages_go_on_where_the_last_one_ended(house: Database) -> None:
    for _ in range(3):
        await house.write(lambda tx: adjust(tx, "d", 1, 1))
    first = await house.read(lambda tx: tx.stock.list(None, 3))
    rest = await house.read(lambda tx: tx.stock.list(first[-1].sequence, 3))
    sequences = [movement.sequence for movement in (*first, *rest)]
    assert sequences == sorted(sequences, reverse=True)
    assert len(set(sequences)) == 5


async def test_a_movement_is_a_change_of_its_machine(house: Database) -> None:
    with house.changes.machine("d") as subscription:
        await house.write(lambda tx: adjust(tx, "d", 1, 1))
        await subscription.changed()
