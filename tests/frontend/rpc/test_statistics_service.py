"""Statistics over gRPC: who sees which, and what is refused."""

from typing import Any

import pytest

from drink.v1 import statistics_service_pb2 as pb
from drink_frontend.domain.drop import Cause, State
from tests.support.ids import id_of
from tests.support.rpc_frontend import ANN, BOB, ROOT, Frontend

BY = pb.ListStatisticsRequest
ITEM, HOUR, DAY = BY.GROUPING_ITEM, BY.GROUPING_HOUR, BY.GROUPING_DAY
MONTH, MACHINE, ACCOUNT = BY.GROUPING_MONTH, BY.GROUPING_MACHINE, BY.GROUPING_ACCOUNT


@pytest.fixture
async def sold(frontend: Frontend) -> Frontend:
    """Ann got a Coke and a Tea, Bob a Coke a day later, and a Tea failed."""
    bench = frontend.bench
    # Tokens of tests are not valid for days.
    bench.clock.jump_s(-86_400)
    await bench.report(await bench.dispatched("s1"))
    await bench.report(await bench.dispatched("s2", slot=2))
    bench.clock.jump_s(86_400)
    await bench.report(await bench.dispatched("s3", account=id_of("bob"), machine="ld"))
    failed = await bench.dispatched("s4", account=id_of("bob"), machine="ld")
    await bench.report(failed, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    await bench.counting.catch_up()
    return frontend


async def listed(frontend: Frontend, who: Any = ANN, **terms: Any) -> list[pb.StatisticsRow]:
    answer = await frontend.call(pb.ListStatisticsRequest(**terms), who)
    assert answer.state.complete
    assert answer.state.time_zone == "Europe/Berlin"
    return list(answer.rows)


async def test_everybody_sees_the_numbers_of_the_house(sold: Frontend) -> None:
    (row,) = await listed(sold)
    assert row == pb.StatisticsRow(numbers=pb.Numbers(dispensed=3, failed=1, spent_credits=130))
    items = await listed(sold, BOB, group_by=[ITEM])
    assert [(row.item, row.numbers.dispensed) for row in items] == [("Coke", 2), ("Tea", 1)]
    days = await listed(sold, group_by=[DAY, MACHINE])
    assert [(row.period, row.machine) for row in days] == [
        ("2027-01-14", "machines/d"),
        ("2027-01-15", "machines/ld"),
    ]
    (hour, *_) = await listed(sold, group_by=[HOUR])
    assert hour.HasField("hour")
    assert (hour.hour, hour.numbers.dispensed) == (9, 3)
    (month,) = await listed(sold, group_by=[MONTH], machine="machines/ld")
    assert (month.period, month.numbers.dispensed, month.numbers.failed) == ("2027-01", 1, 1)
    (second,) = await listed(sold, first_day="2027-01-15", last_day="2027-01-15")
    assert second.numbers.dispensed == 1
    assert await listed(sold, first_day="2027-01-16") == []


async def test_users_see_their_own_numbers_and_administrators_all(sold: Frontend) -> None:
    for who in (ANN, ROOT):
        rows = await listed(sold, who, account="accounts/ann", group_by=[ITEM, MACHINE])
        assert [(row.item, row.machine) for row in rows] == [
            ("Coke", "machines/d"),
            ("Tea", "machines/d"),
        ]
    rows = await listed(sold, ROOT, group_by=[ACCOUNT])
    assert [(row.account, row.numbers.dispensed) for row in rows] == [
        ("accounts/ann", 2),
        ("accounts/bob", 1),
    ]
    for whose in ("accounts/ann", "accounts/nobody"):
        refusal = await sold.refused(pb.ListStatisticsRequest(account=whose), BOB)
        assert refusal.status == ("PERMISSION_DENIED", "NOT_OWNER")
        refusal = await sold.refused(pb.GetAccountStatisticsRequest(account=whose), BOB)
        assert refusal.status == ("PERMISSION_DENIED", "NOT_OWNER")
    refusal = await sold.refused(pb.ListStatisticsRequest(group_by=[ACCOUNT]), ANN)
    assert refusal.status == ("PERMISSION_DENIED", "ADMIN_REQUIRED")
    missing = pb.ListStatisticsRequest(account="accounts/nobody")
    assert (await sold.refused(missing, ROOT)).status == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    missing = pb.ListStatisticsRequest(machine="machines/none")
    assert (await sold.refused(missing, ANN)).status == ("NOT_FOUND", "MACHINE_NOT_FOUND")


@pytest.mark.parametrize(
    "request_",
    [
        pb.ListStatisticsRequest(),
        pb.GetAccountStatisticsRequest(),
        pb.GetRankingRequest(),
    ],
)
async def test_nothing_is_shown_without_a_token(frontend: Frontend, request_: Any) -> None:
    refusal = await frontend.refused(request_, ())
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_pages_follow_each_other(sold: Frontend) -> None:
    seen, token = [], ""
    while True:
        request = pb.ListStatisticsRequest(group_by=[ITEM, DAY], page_size=1, page_token=token)
        answer = await sold.call(request, ANN)
        seen += [(row.period, row.item) for row in answer.rows]
        token = answer.next_page_token
        if not token:
            break
    assert seen == [("2027-01-14", "Coke"), ("2027-01-14", "Tea"), ("2027-01-15", "Coke")]
    first = await sold.call(pb.ListStatisticsRequest(group_by=[ITEM], page_size=1), ANN)
    other = pb.ListStatisticsRequest(group_by=[DAY], page_token=first.next_page_token)
    assert (await sold.refused(other, ANN)).status == ("INVALID_ARGUMENT", "FIELD_INVALID")


@pytest.mark.parametrize(
    "terms",
    [
        {"first_day": "29.11.2026"},
        {"first_day": "2026-02-30"},
        {"last_day": "9999-01-01"},
        {"first_day": "2026-11-02", "last_day": "2026-11-01"},
        {"group_by": [DAY, MONTH]},
        {"group_by": [ITEM, HOUR]},
        {"group_by": [BY.GROUPING_UNSPECIFIED]},
        {"group_by": [99]},
        {"group_by": [ACCOUNT, DAY]},
        {"group_by": [ACCOUNT, MACHINE]},
        {"group_by": [ACCOUNT], "machine": "machines/d"},
        {"group_by": [ACCOUNT], "first_day": "2026-11-02"},
        {"account": "accounts/ann", "group_by": [ITEM, DAY]},
        {"account": "accounts/ann", "group_by": [HOUR], "machine": "machines/d"},
        {"account": "accounts/ann", "machine": "machines/d", "last_day": "2026-11-29"},
        {"account": "accounts/ann", "group_by": [ACCOUNT]},
        {"account": "ann"},
        {"page_size": -1},
        {"page_token": "x"},
    ],
)
async def test_what_is_not_kept_or_wrong_is_refused(
    frontend: Frontend, terms: dict[str, Any]
) -> None:
    refusal = await frontend.refused(pb.ListStatisticsRequest(**terms), ROOT)
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_ones_own_week_month_year_and_streak(sold: Frontend) -> None:
    mine = await sold.call(pb.GetAccountStatisticsRequest(), ANN)
    assert [each.dispensed for each in (mine.week, mine.month, mine.year, mine.ever)] == [2] * 4
    assert (mine.streak_days, mine.longest_streak_days) == (1, 1)
    assert mine.state.today == "2027-01-15"
    of_ann = pb.GetAccountStatisticsRequest(account="accounts/ann")
    assert await sold.call(of_ann, ROOT) == mine


async def test_the_ranking_has_those_who_want_to_be_in_it(sold: Frontend) -> None:
    assert not (await sold.call(pb.GetRankingRequest(), ROOT)).places
    for name in ("ann", "bob"):
        account = await sold.bench.account(name)
        await sold.bench.accounts.preferences.change(account.id, ranked=True)
    await sold.bench.accounts.change("test", "bob", display_name="Bob B.")
    for wanted in (
        pb.GetRankingRequest(),
        pb.GetRankingRequest(time=pb.GetRankingRequest.TIME_MONTH),
        pb.GetRankingRequest(time=pb.GetRankingRequest.TIME_YEAR),
    ):
        answer = await sold.call(wanted, BOB)
        assert [
            (each.rank, each.account, each.dispensed, each.display_name) for each in answer.places
        ] == [(1, "accounts/ann", 2, ""), (2, "accounts/bob", 1, "Bob B.")]
    assert len((await sold.call(pb.GetRankingRequest(size=1), BOB)).places) == 1
    unheard: Any = 9
    for wrong in (pb.GetRankingRequest(size=-1), pb.GetRankingRequest(time=unheard)):
        assert (await sold.refused(wrong, BOB)).status == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_before_all_drops_are_counted_the_answer_says_so(frontend: Frontend) -> None:
    answer = await frontend.call(pb.ListStatisticsRequest(), ANN)
    assert not answer.state.complete
    assert not answer.rows
