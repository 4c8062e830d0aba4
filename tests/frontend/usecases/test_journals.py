"""How far the agents' journals have come is kept, at the latest when it matters."""

import asyncio

import pytest

from drink_frontend.domain.errors import MachineNotFoundError
from drink_frontend.usecases.journals import Journals
from tests.support.bench import JOURNAL, Bench
from tests.support.tasks import beside

LIMIT_S = 30


async def known(bench: Bench, machine: str = "d") -> int:
    return (await bench.machines.get(machine)).journal_sequence


async def kept(bench: Bench, sequence: int) -> None:
    """Waits until the database knows it; each look is a round to the database."""
    async with asyncio.timeout(LIMIT_S):
        while await known(bench) != sequence:
            pass


async def test_what_several_agents_said_is_kept_in_one_unit(bench: Bench) -> None:
    bench.journals.saw("d", (JOURNAL, 7))
    bench.journals.saw("ld", (JOURNAL, 3))
    bench.journals.saw("d", (JOURNAL, 6))
    assert (await known(bench), await known(bench, "ld")) == (0, 0)

    before = bench.storage.stats.units
    await bench.journals.keep()
    await bench.journals.keep()
    assert bench.storage.stats.units == before + 1
    assert (await known(bench), await known(bench, "ld")) == (7, 3)


async def test_it_is_kept_by_itself_after_a_while(bench: Bench) -> None:
    async with beside(bench.journals.run()):
        for sequence in (7, 9):
            bench.journals.saw("d", (JOURNAL, sequence))
            await kept(bench, sequence)


async def test_fault_37_it_is_kept_at_once_when_a_link_ends(bench: Bench) -> None:
    journals = Journals(bench.storage, keep_s=3_600)
    async with beside(journals.run()):
        journals.flush()
        # The first is kept at once, and the next not before `keep_s`.
        journals.saw("d", (JOURNAL, 7))
        await kept(bench, 7)
        journals.saw("d", (JOURNAL, 8))
        for _ in range(20):
            await asyncio.sleep(0)
        assert await known(bench) == 7
        journals.flush()
        await kept(bench, 8)


async def test_a_result_keeps_it_too(bench: Bench) -> None:
    bench.agents.keep_journal("d", (JOURNAL, 7))
    await bench.report(await bench.dispatched(), journal=(JOURNAL, 8))

    before = bench.storage.stats.units
    await bench.journals.keep()
    assert bench.storage.stats.units == before
    assert await known(bench) == 8


async def test_fault_37_a_mark_from_before_the_last_hello_is_not_kept_after_it(
    bench: Bench,
) -> None:
    """The older copy is the machine's journal from its Hello on."""
    bench.agents.keep_journal("d", (JOURNAL, 7))
    await bench.link("d", JOURNAL, 5)
    await bench.journals.keep()

    assert await known(bench) == 5


async def test_fault_37_a_hello_that_the_database_refused_forgets_nothing(bench: Bench) -> None:
    bench.agents.keep_journal("x", (JOURNAL, 7))
    with pytest.raises(MachineNotFoundError):
        await bench.link("x", JOURNAL, 5)

    assert bench.journals.take("x") == (JOURNAL, 7)
