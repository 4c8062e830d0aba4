"""A drop whose turn it is goes out with its reservation, in one unit of work."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Reach
from drink_frontend.domain.errors import OutcomeUnknownError, SlotEmptyError, TokenInvalidError
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.links import LinkStatus
from drink_frontend.usecases.placement import DropOrder
from drink_frontend.usecases.settings import AccountSettings, DropSettings
from drink_frontend.usecases.tokens import digest
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import JOURNAL, Bench
from tests.support.ids import ANN, ROOT
from tests.support.tasks import cancel

ORDER = DropOrder(ANN, "r1", "d", 1)


async def here(bench: Bench, reach: Reach = Reach.READY) -> int:
    """The machine's newest link is to this frontend; returns its epoch."""
    epoch = await bench.epoch()
    bench.links.here["d"] = LinkStatus(epoch, reach)
    return epoch


async def test_a_drop_at_an_idle_machine_is_dispatched_with_its_reservation(bench: Bench) -> None:
    """Invariant 7: its command is sent after the commit that holds its credits."""
    epoch = await here(bench)
    units = bench.storage.stats.units
    drop = await bench.place()

    assert bench.storage.stats.units == units + 1
    assert (drop.state, drop.epoch, drop.journal_id) == (State.DISPATCHED, epoch, JOURNAL)
    assert await bench.drop(drop.id) == drop
    assert bench.links.commanded == [drop]
    assert bench.links.woken == []
    assert await bench.credits() == (200, 50)
    records = await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id)
    assert [record.facts["event"] for record in records] == ["RESERVE", "DISPATCH"]


async def test_a_drop_behind_another_waits_for_its_outcome(bench: Bench) -> None:
    """Invariant 11: the link is not asked meanwhile, and the outcome brings the next with it."""
    epoch = await here(bench)
    first, second = await bench.place("r1"), await bench.place("r2")
    assert (await bench.drop(second.id)).state is State.RESERVED
    assert bench.links.commanded == [first]
    assert bench.links.woken == []

    following = await bench.report(first, epoch=epoch)
    assert following == await bench.drop(second.id)
    assert following is not None
    assert (following.state, following.epoch) == (State.DISPATCHED, epoch)


async def test_the_longest_waiting_drop_goes_first(bench: Bench) -> None:
    """Invariant 11: one that was placed before the link came here, and not looked at yet."""
    waiting = await bench.place("r1")
    await here(bench)
    drop = await bench.place("r2")

    assert (await bench.drop(drop.id)).state is State.RESERVED
    assert [each.id for each in bench.links.commanded] == [waiting.id]
    assert await bench.state(waiting) == (State.DISPATCHED, Cause.NONE)


async def test_a_link_that_was_superseded_gets_no_drop_with_its_reservation(bench: Bench) -> None:
    """Invariant 14: the newest link, wherever it is, is told that there is one."""
    await here(bench)
    await bench.link()
    drop = await bench.place()

    assert drop.state is State.RESERVED
    assert bench.links.commanded == []
    assert bench.links.woken == ["d"]


@pytest.mark.parametrize(
    "held", [None, LinkStatus(None, Reach.OFFLINE), LinkStatus(1, Reach.BOARD_DOWN)]
)
async def test_a_link_that_takes_no_commands_here_gets_none(
    bench: Bench, held: LinkStatus | None
) -> None:
    if held is not None:
        bench.links.here["d"] = held
    drop = await bench.place()

    assert drop.state is State.RESERVED
    assert bench.links.commanded == []
    assert bench.links.woken == ["d"]


async def test_a_scheduled_drop_is_not_dispatched_before_its_time(bench: Bench) -> None:
    await here(bench)
    drop = await bench.place(delay_s=5)

    assert drop.state is State.SCHEDULED
    assert bench.links.commanded == []


async def test_a_repeated_request_commands_nothing_again(bench: Bench) -> None:
    """Invariant 6: the motor is commanded once, however often the request comes."""
    await here(bench)
    drop = await bench.place()

    assert await bench.place() == drop
    assert bench.links.commanded == [drop]


async def _token(bench: Bench, name: str) -> str:
    token, _ = await bench.accounts.tokens.issue(await bench.account(name))
    return digest(token)


async def test_the_token_is_looked_at_with_the_reservation(bench: Bench) -> None:
    token = await _token(bench, "ann")
    drop = await bench.place(token=token)
    assert await bench.place(token=token) == drop


@pytest.mark.parametrize("request_id", ["r1", "r2"])
@pytest.mark.parametrize("change", [{"password": "new"}, {"closed": True}])
async def test_a_token_that_was_revoked_meanwhile_buys_and_repeats_nothing(
    bench: Bench, change: dict[str, Any], request_id: str
) -> None:
    token = await _token(bench, "ann")
    await bench.place("r1", token=token)
    await bench.accounts.change(ROOT, "ann", **change)
    before = await bench.account("ann")
    with pytest.raises(TokenInvalidError):
        await bench.place(request_id, token=token)
    assert await bench.account("ann") == before


async def test_a_token_that_expired_buys_nothing(bench: Bench) -> None:
    token = await _token(bench, "ann")
    bench.clock.pass_s(AccountSettings().token_ttl_s)
    with pytest.raises(TokenInvalidError):
        await bench.place(token=token)


async def test_a_token_buys_for_its_own_account_only(bench: Bench) -> None:
    token = await _token(bench, "bob")
    with pytest.raises(TokenInvalidError):
        await bench.place(account=ANN, token=token)


async def test_a_result_on_an_older_link_brings_no_drop(bench: Bench) -> None:
    """Invariant 14: the result counts all the same."""
    epoch = await here(bench)
    first, second = await bench.place("r1"), await bench.place("r2")
    await bench.link()

    assert await bench.report(first, epoch=epoch) is None
    assert (await bench.drop(first.id)).state is State.DISPENSED
    assert (await bench.drop(second.id)).state is State.RESERVED


async def test_a_result_of_a_disabled_machine_brings_no_drop(bench: Bench) -> None:
    epoch = await here(bench)
    first, _ = await bench.place("r1"), await bench.place("r2")
    await bench.machines.change(ROOT, "d", enabled=False)

    assert await bench.report(first, epoch=epoch) is None


def drops_on(bench: Bench, storage: Database) -> Drops:
    return Drops(
        storage,
        bench.links,
        bench.clock,
        CountingRandomness("doubt"),
        deadlines=bench.deadlines,
        settings=DropSettings(),
    )


class Doubtful(Database):
    """A storage that carries a unit out, and loses sight of its commit."""

    def __init__(self, bench: Bench) -> None:
        self._storage = bench.storage
        self.changes = bench.storage.changes

    async def write(self, unit: Callable[[Any], Any], needs: Needs | None = None) -> Any:
        await self._storage.write(unit, needs)
        raise OutcomeUnknownError("the commit's outcome is unknown")

    async def read(self, query: Callable[[Any], Any]) -> Any:
        return await self._storage.read(query)


async def test_fault_38_a_dispatch_whose_command_is_not_sent_ends_the_link(bench: Bench) -> None:
    """Invariant 23: at its next Hello the agent reports the command as not received."""
    await here(bench)
    drops = drops_on(bench, Doubtful(bench))
    with pytest.raises(OutcomeUnknownError):
        await drops.place(ORDER)

    assert bench.links.commanded == []
    assert bench.links.failed == [("d", OutcomeUnknownError)]
    (wanted,) = (await bench.link()).wanted
    assert (await bench.drop(wanted)).state is State.DISPATCHED


@pytest.mark.parametrize("steps", range(6))
async def test_fault_5_a_cancelled_caller_neither_ends_the_link_nor_loses_the_command(
    bench: Bench, steps: int
) -> None:
    """Invariant 22: cancelled after each of the first turns of the event loop."""
    epoch = await here(bench)
    caller = asyncio.create_task(bench.place())
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancel(caller)

    # The storage carries out what comes second after what came first.
    drop = await bench.place()
    assert (drop.state, drop.epoch) == (State.DISPATCHED, epoch)
    assert [commanded.id for commanded in bench.links.commanded] == [drop.id]
    assert bench.links.failed == []


@pytest.mark.parametrize(("error", "logged"), [(SlotEmptyError("empty"), 0), (KeyError("x"), 1)])
async def test_a_fault_of_an_order_whose_caller_was_cancelled_is_logged(
    bench: Bench, error: Exception, logged: int
) -> None:
    gate = asyncio.Event()

    class Failing(Doubtful):
        async def write(self, unit: Callable[[Any], Any], needs: Needs | None = None) -> Any:
            await gate.wait()
            raise error

    drops = drops_on(bench, Failing(bench))
    caller = asyncio.create_task(drops.place(ORDER))
    for _ in range(3):
        await asyncio.sleep(0)
    await cancel(caller)
    with capture_logs() as logs:
        gate.set()
        await drops.settle()
    assert [line["event"] for line in logs] == ["effect_failed"] * logged
