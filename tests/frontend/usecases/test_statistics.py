"""Statistics as use cases; their rights and refusals are tested over gRPC."""

import pytest

from drink_frontend.domain.errors import AdminRequiredError, FieldInvalidError
from drink_frontend.domain.statistics import Kind, Numbers
from drink_frontend.usecases.statistics import Recent, StatisticsQuery
from tests.support.bench import Bench
from tests.support.ids import id_of


async def test_a_week_begins_on_monday_and_a_year_in_january(bench: Bench) -> None:
    # 2027-01-15 is a Friday.
    await bench.report(await bench.dispatched("r1"))
    bench.clock.pass_s(2 * 86_400)
    await bench.report(await bench.dispatched("r2", machine="ld"))
    bench.clock.pass_s(86_400)
    await bench.counting.catch_up()
    ann = await bench.account("ann")
    found = await bench.statistics.summary(ann, "ann")
    assert (found.week, found.month.dispensed) == (Numbers(), 2)
    bench.clock.pass_s(365 * 86_400)
    found = await bench.statistics.summary(ann, "ANN")
    assert (found.month, found.year, found.ever.dispensed) == (Numbers(), Numbers(), 2)


async def test_equal_numbers_share_a_rank(bench: Bench) -> None:
    for number, name in enumerate(("ann", "bob", "ann", "bob")):
        machine = "d" if number < 2 else "ld"
        await bench.report(
            await bench.dispatched(f"r{number}", account=id_of(name), machine=machine)
        )
    for name in ("ann", "bob"):
        await bench.accounts.preferences.change(id_of(name), ranked=True)
    await bench.counting.catch_up()
    for recent in Recent:
        found = await bench.statistics.ranking(recent, 10)
        assert [(each.rank, each.items) for each in found.places] == [(1, 2), (1, 2)]


async def test_numbers_by_account_are_for_administrators(bench: Bench) -> None:
    query = StatisticsQuery(subject=Kind.ACCOUNT)
    with pytest.raises(AdminRequiredError):
        await bench.statistics.list(await bench.account("ann"), query, limit=1)
    root = await bench.account("root")
    assert not (await bench.statistics.list(root, query, limit=1)).rows
    with pytest.raises(FieldInvalidError):
        await bench.statistics.list(
            root, StatisticsQuery(subject=Kind.ACCOUNT, last_day=20261128), limit=1
        )
