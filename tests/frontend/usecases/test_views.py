"""What is shown from memory is never older than what anybody was told."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import AccountNotFoundError, DrinkError, StorageUnavailableError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.usecases.views import ReadThroughCache, Views
from tests.support.bench import Bench, BenchDatabase
from tests.support.books import NOW, add_account
from tests.support.ids import ANN, BOB, ROOT, id_of

LIMIT_S = 20


class Shelf:
    """Something to read that a test can change, and hold readers up at."""

    def __init__(self) -> None:
        self.value = "old"
        self.reads = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def read(self, _name: str) -> str:
        self.reads += 1
        # What a snapshot holds is settled before its reader hears of it.
        value = self.value
        await self.is_open.wait()
        return value

    async def being_read(self) -> tuple[ReadThroughCache[str], asyncio.Task[str]]:
        """A view of it whose reading is held up."""
        view = ReadThroughCache(self.read, 10)
        self.is_open.clear()
        reading = asyncio.create_task(view.get("a"))
        await asyncio.sleep(0)
        return view, reading


class TestView:
    async def test_a_value_that_is_handed_over_replaces_what_was_read(self) -> None:
        shelf = Shelf()
        view, reading = await shelf.being_read()
        view.keep("a", "new")
        shelf.is_open.set()
        assert await reading == "old"
        assert view.get_cached("a") == "new"
        view.keep("a", "newer")
        assert view.get_cached("a") == "newer"

    async def test_what_was_read_is_in_memory_until_it_is_forgotten(self) -> None:
        shelf = Shelf()
        view = ReadThroughCache(shelf.read, 10)
        assert view.get_cached("a") is None
        assert await view.get("a") == view.get_cached("a") == await view.get("a") == "old"
        assert shelf.reads == 1
        shelf.value = "new"
        view.forget("b")
        assert view.get_cached("a") == "old"
        view.forget("a")
        assert view.get_cached("a") is None
        assert await view.get("a") == "new"

    @pytest.mark.parametrize("by_name", [True, False])
    async def test_a_read_that_began_before_a_change_is_not_kept(self, by_name: bool) -> None:
        shelf = Shelf()
        view, reading = await shelf.being_read()
        shelf.value = "new"
        if by_name:
            view.forget("a")
        else:
            view.clear()
        shelf.is_open.set()
        assert await reading == "old"
        assert view.get_cached("a") is None
        assert await view.get("a") == "new"

    async def test_of_two_reads_at_once_the_later_is_kept_whichever_ends_first(self) -> None:
        shelf = Shelf()
        view, first = await shelf.being_read()
        view.forget("a")
        shelf.value = "new"
        shelf.is_open.set()
        assert await view.get("a") == "new"
        assert await first == "old"
        assert view.get_cached("a") == "new"

    async def test_what_fails_is_raised_and_not_kept(self) -> None:
        errors: list[Exception] = [StorageUnavailableError("x")]

        async def read(_name: str) -> str:
            if errors:
                raise errors.pop()
            return "value"

        view = ReadThroughCache(read, 10)
        with pytest.raises(StorageUnavailableError):
            await view.get("a")
        assert await view.get("a") == "value"

    async def test_the_one_kept_longest_makes_room(self) -> None:
        view = ReadThroughCache(Shelf().read, 2)
        for name in ("a", "b", "c"):
            await view.get(name)
        assert [view.get_cached(name) for name in ("a", "b", "c")] == [None, "old", "old"]


def _views(bench: Bench) -> Views:
    return Views(bench.storage.changes, bench.accounts.balance, bench.machines.get)


async def test_nobody_is_answered_before_the_view_is_what_was_committed(bench: Bench) -> None:
    views = _views(bench)
    for account_id in (ANN, BOB, ROOT):
        await views.accounts.get(account_id)
    root = await bench.account("root")
    assert (await bench.transfers.add_credits(root, "r", "ann", 7)).available == 207
    shown = views.accounts.get_cached(ANN)
    assert shown == await bench.account("ann")
    assert shown is not None
    assert shown.available == 207
    assert views.accounts.get_cached(BOB) is not None


async def test_of_a_changed_account_that_is_not_handed_on_nothing_is_kept(bench: Bench) -> None:
    views = _views(bench)
    await views.accounts.get(ANN)
    await bench.accounts.change("test", "ann", admin=True)
    assert views.accounts.get_cached(ANN) is None
    assert (await views.accounts.get(ANN)).admin


async def test_only_users_accounts_are_shown(bench: Bench) -> None:
    views = _views(bench)
    await bench.transfers.add_credits(await bench.account("root"), "r", "ann", 7)
    assert views.accounts.get_cached(FUNDING_ACCOUNT) is None


async def test_an_account_that_is_not_there_is_looked_for_again(bench: Bench) -> None:
    views = _views(bench)
    with pytest.raises(AccountNotFoundError):
        await views.accounts.get(id_of("eve"))
    await bench.storage.write(lambda tx: add_account(tx, "eve"))
    assert (await views.accounts.get(id_of("eve"))).available == 0


async def test_what_another_process_changes_is_forgotten_once_it_is_heard_of(
    bench: Bench,
) -> None:
    views = _views(bench)
    await views.machines.get("d")
    heard = asyncio.Event()

    def on_change(_changed: ChangeSet | None) -> None:
        heard.set()

    bench.storage.changes.add_listener(on_change)
    async with Database.open(StorageSettings(path=bench.path), beside=True) as other:
        await other.write(lambda tx: tx.machines.update("d", location="Moved"))
    async with asyncio.timeout(LIMIT_S):
        await heard.wait()
    assert (await views.machines.get("d")).location == "Moved"


NAMES = ["ann", "bob", "root"]
MACHINES = ["d", "ld"]


def _change(bench: Bench, kind: int, which: int, number: int) -> Coroutine[Any, Any, object]:
    """One of everything that changes what is shown."""
    name, machine, slot = NAMES[which % 2], MACHINES[which % 2], 1

    async def add_credits() -> object:
        root = await bench.account("root")
        return await bench.transfers.add_credits(root, f"r{number}", name, 1 + which)

    async def update_slot() -> object:
        root = await bench.account("root")
        return await bench.machines.update_slot(root, machine, slot, price=40 + number % 9)

    async def buy() -> object:
        return await bench.place(f"b{number}", account=id_of(name), machine=machine, slot=slot)

    async def settle() -> object:
        drop = await bench.take(machine)
        if drop is not None:
            await bench.report(drop.id, machine=machine)
        return drop

    changes: list[Callable[[], Coroutine[Any, Any, object]]] = [
        add_credits,
        update_slot,
        buy,
        settle,
        lambda: bench.accounts.change("test", name, admin=number % 2 == 0),
        lambda: bench.reach(Reach.BOARD_DOWN if number % 2 else Reach.READY, machine),
        lambda: bench.storage.write(
            lambda tx: tx.machines.set_temperature(machine, float(number % 7), NOW)
        ),
        lambda: bench.link(machine),
    ]
    return changes[kind % len(changes)]()


STEPS = st.lists(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=4),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_random_histories_are_shown_as_they_are_kept(steps: list[list[tuple[int, int]]]) -> None:
    async def refused(work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except DrinkError:
            # A buyer may be poor, a slot empty; the books stay as they were.
            return

    async def live(folder: Path) -> None:
        async with BenchDatabase(folder).open() as bench:
            await bench.furnish()
            views = _views(bench)
            number = 0
            for step in steps:
                works = []
                for kind, which in step:
                    number += 1
                    works.append(refused(_change(bench, kind, which, number)))
                # Who looks while it changes may fill the views with what is just going.
                looks = [views.accounts.get(id_of(name)) for name in NAMES]
                looks += [views.machines.get(name) for name in MACHINES]  # type: ignore[misc]
                await asyncio.gather(*works, *looks)
                for name in NAMES:
                    assert await views.accounts.get(id_of(name)) == await bench.account(name)
                for name in MACHINES:
                    assert await views.machines.get(name) == await bench.machines.get(name)

    with tempfile.TemporaryDirectory(prefix="drink-views-") as folder:
        asyncio.run(live(Path(folder)))
