"""How many drops may wait for a machine: of all accounts, and of one."""

import asyncio

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.errors import MachineBusyError, TooManyWaitingError
from tests.frontend.usecases.test_drops import refused
from tests.support.bench import Bench
from tests.support.ids import ANN, BOB


async def test_a_full_queue(bench: Bench) -> None:
    """Invariant 25: a machine's queue is bounded, and the refusal says so."""
    root = await bench.account("root")
    await bench.machines.update_slot(root, "d", 1, price=0, available=10)
    await bench.dispatched("r0")
    for number in range(1, 5):
        await bench.place(f"r{number}", account=ANN if number % 2 else BOB)

    await refused(bench, MachineBusyError)
    assert (await bench.place("elsewhere", machine="ld")).state is State.RESERVED
    assert (await bench.place("later", delay_s=5)).state is State.SCHEDULED


async def test_delayed_drops_have_a_bound_of_their_own_and_hold_nobody_up(bench: Bench) -> None:
    """Invariant 25; and a delay never holds up another drop."""
    root = await bench.account("root")
    await bench.machines.update_slot(root, "d", 1, price=0, available=10)
    for number in range(3):
        await bench.place(f"later{number}", delay_s=300)

    await refused(bench, MachineBusyError, delay_s=300)
    for number in range(5):
        buyer = BOB if number else ANN
        assert (await bench.place(f"now{number}", account=buyer)).state is State.RESERVED


async def test_one_account_leaves_room_in_the_queue_for_others(bench: Bench) -> None:
    """Invariant 25: the share of one account is bounded, and the refusal says so."""
    root = await bench.account("root")
    for machine in ("d", "ld"):
        await bench.machines.update_slot(root, machine, 1, price=0, available=10)
    first = await bench.dispatched("r0")
    await bench.place("later", delay_s=300)
    for number in range(1, 3):
        await bench.place(f"r{number}")

    for delay_s in (0, 300):
        error = await refused(bench, TooManyWaitingError, delay_s=delay_s)
        assert error.facts == {"waiting_max": 4}
    assert (await bench.place("r0")).id == first.id, "a repeat is answered with its drop"
    assert (await bench.place("elsewhere", machine="ld")).state is State.RESERVED
    assert (await bench.place("others", account=BOB)).state is State.RESERVED
    await bench.report(first)
    assert (await bench.place("next")).state is State.RESERVED


async def test_one_account_at_once_takes_no_more_than_its_share(bench: Bench) -> None:
    root = await bench.account("root")
    await bench.machines.update_slot(root, "d", 1, price=0, available=10)
    placed = await asyncio.gather(
        *(bench.place(f"r{number}") for number in range(8)), return_exceptions=True
    )
    refusals = [drop for drop in placed if isinstance(drop, BaseException)]
    assert [type(refusal) for refusal in refusals] == [TooManyWaitingError] * 4


async def test_an_unknown_drop_is_no_part_of_the_share(bench: Bench) -> None:
    root = await bench.account("root")
    await bench.machines.update_slot(root, "d", 1, price=0, available=10)
    drop = await bench.dispatched("r0")
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
    for number in range(1, 5):
        assert (await bench.place(f"r{number}")).state is State.RESERVED
