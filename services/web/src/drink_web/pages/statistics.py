"""Pages of numbers: one's own, the house's and the ranking; a month for administrators."""

import asyncio
import re
from calendar import monthrange
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import statistics_service_pb2 as pb
from drink_web.charts import Bar, Column, bars, columns
from drink_web.errors import CallError, PageError
from drink_web.pages.favourites import preferences_of
from drink_web.pages.users import USER
from drink_web.visit import Visit

BY = pb.ListStatisticsRequest

PAGE_ROWS = 100
"""Rows asked for at once: the frontend lets an account wait longer after longer pages."""

ROWS_MAX = 1_000
"""Most rows that one drawing is made of; `drink admin stats` has no such limit."""

BARS_MAX = 10
"""Bars for members; the rest is one more."""

MONTH = re.compile(r"[1-9][0-9]{3}-(?:0[1-9]|1[0-2])")
"""A month, such as 2026-11."""

TIMES = ("month", "year", "ever")
"""Times that items and hours are shown of; those of an account are kept by month."""

RANKINGS = {
    "week": pb.GetRankingRequest.TIME_WEEK,
    "month": pb.GetRankingRequest.TIME_MONTH,
    "year": pb.GetRankingRequest.TIME_YEAR,
}
"""Times of rankings."""

HOURS = [f"{hour}:00" for hour in range(24)]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a ranking.

    Attributes:
        rank: From 1.
        user: Name of the account.
        title: What to call its owner, or else the name.
        dispensed: Its items.
        percent: Length of the bar; the first place has 100.
    """

    rank: int
    user: str
    title: str
    dispensed: int
    percent: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Sums of one kind.

    Attributes:
        rows: Of the API.
        is_cut: Whether there are more.
    """

    rows: Sequence[pb.StatisticsRow]
    is_cut: bool


Handler = Callable[[Visit], Awaitable[Response]]


def _says_if_missing(handler: Handler) -> Handler:
    """Makes a page of a frontend without statistics say that."""

    @wraps(handler)
    async def answer(visit: Visit) -> Response:
        try:
            return await handler(visit)
        except CallError as error:
            if error.status != "UNIMPLEMENTED":
                raise
            return visit.page("no_statistics.html", here="statistics")

    return answer


@_says_if_missing
async def show(visit: Visit) -> Response:
    """GET /statistics?time=...&ranking=...&account=...: one's own numbers and the house's.

    Administrators may name an account; members only themselves.
    """
    time, ranking = visit.query.get("time", "month"), visit.query.get("ranking", "week")
    if time not in TIMES or ranking not in RANKINGS:
        raise PageError(400, "bad_request")
    user = visit.query.get("account", "")
    if user and not USER.fullmatch(user):
        raise PageError(404, "not_found")
    await visit.look_up_account()
    api = visit.site.api.statistics
    asked = pb.GetAccountStatisticsRequest(account=f"accounts/{user}" if user else "")
    mine = await visit.call(api.GetAccountStatistics, asked)
    days = _days_of(time, mine.state.today)
    own_items, own_hours, items, hours, ranked, preferences = await asyncio.gather(
        _rows(visit, [BY.GROUPING_ITEM], account=mine.account, **days),
        _rows(visit, [BY.GROUPING_HOUR], account=mine.account, **days),
        _rows(visit, [BY.GROUPING_ITEM], **days),
        _rows(visit, [BY.GROUPING_HOUR], **days),
        visit.call(api.GetRanking, pb.GetRankingRequest(time=RANKINGS[ranking])),
        preferences_of(visit),
    )
    return visit.page(
        "statistics.html",
        here="statistics",
        done=visit.query.get("done") == "changed",
        mine=mine,
        user=user,
        spans=(
            ("week", mine.week),
            ("month", mine.month),
            ("year", mine.year),
            ("ever", mine.ever),
        ),
        time=time,
        times=TIMES,
        charts=(
            ("own", _most(visit, own_items), _hours(own_hours)),
            ("house", _most(visit, items), _hours(hours)),
        ),
        ranking=ranking,
        rankings=tuple(RANKINGS),
        places=_places(ranked.places),
        ranked=preferences.ranked,
    )


async def change_ranked(visit: Visit) -> Response:
    """POST /statistics/ranking: whether the caller may appear in rankings."""
    wanted = (await visit.form()).get("ranked", "")
    if wanted not in ("yes", "no"):
        raise PageError(400, "bad_request")
    request = accounts.UpdatePreferencesRequest(ranked=wanted == "yes")
    await visit.call(visit.site.api.accounts.UpdatePreferences, request)
    return visit.redirect("/statistics?done=changed#ranking")


@_says_if_missing
async def show_month(visit: Visit) -> Response:
    """GET /admin/statistics?month=YYYY-MM: what was sold in a month, by default this one."""
    await visit.require_admin()
    wanted = visit.query.get("month", "")
    if wanted and not MONTH.fullmatch(wanted):
        raise PageError(400, "problem_month")
    api = visit.site.api.statistics
    state = (await visit.call(api.ListStatistics, BY(page_size=1))).state
    today = state.today[:7]
    month = wanted or today
    days = _days(month)
    total, by_day, by_hour, by_item, by_machine, by_account = await asyncio.gather(
        _rows(visit, [], **days),
        _rows(visit, [BY.GROUPING_DAY], **days),
        _rows(visit, [BY.GROUPING_HOUR], **days),
        _rows(visit, [BY.GROUPING_ITEM], **days),
        _rows(visit, [BY.GROUPING_MACHINE], **days),
        _rows(visit, [BY.GROUPING_ACCOUNT], **days),
    )
    machines = visit.site.house.machines
    return visit.page(
        "admin_statistics.html",
        here="admin",
        state=state,
        month=month,
        before=_month_after(month, -1),
        after=_month_after(month, 1) if month < today else "",
        total=total.rows[0].numbers if total.rows else None,
        drawings=(("day", _month_days(month, by_day)), ("hour", _hours(by_hour))),
        lists=(
            ("item", bars((row.item, row.numbers, "") for row in by_item.rows), by_item.is_cut),
            ("machine", bars(_machine_rows(by_machine.rows, machines)), by_machine.is_cut),
            ("account", bars(_account_rows(by_account.rows)), by_account.is_cut),
        ),
    )


async def _rows(visit: Visit, group_by: Sequence[Any], **terms: str) -> Rows:
    """The sums grouped like that, `ROWS_MAX` at most."""
    request = BY(group_by=group_by, page_size=PAGE_ROWS, **terms)
    found: list[pb.StatisticsRow] = []
    while True:
        answer = await visit.call(visit.site.api.statistics.ListStatistics, request)
        found += answer.rows
        request.page_token = answer.next_page_token
        if not request.page_token or len(found) >= ROWS_MAX:
            return Rows(found[:ROWS_MAX], bool(request.page_token))


def _most(visit: Visit, found: Rows) -> Sequence[Bar]:
    """The items that were dispensed most, and all others as one."""
    rows = [(row.item, row.numbers, "") for row in found.rows if row.numbers.dispensed]
    return bars(rows, BARS_MAX, lambda count: visit.texts.counted("statistics_others", count))


def _hours(found: Rows) -> Sequence[Column]:
    marks = {hour: str(hour) for hour in (0, 6, 12, 18)}
    return columns(HOURS, marks, {row.hour: row.numbers for row in found.rows})


def _month_days(month: str, found: Rows) -> Sequence[Column]:
    _, last = monthrange(int(month[:4]), int(month[5:]))
    labels = [f"{month}-{day:02}" for day in range(1, last + 1)]
    marks = {day - 1: str(day) for day in (1, 5, 10, 15, 20, 25, last)}
    numbers = {int(row.period[8:]) - 1: row.numbers for row in found.rows}
    return columns(labels, marks, numbers)


def _machine_rows(
    rows: Iterable[pb.StatisticsRow], machines: Any
) -> Iterable[tuple[str, pb.Numbers, str]]:
    for row in rows:
        machine = machines.get(row.machine)
        title = machine.display_name if machine else ""
        path = f"/admin/{row.machine}" if machine else ""
        yield title or row.machine.removeprefix("machines/"), row.numbers, path


def _account_rows(rows: Iterable[pb.StatisticsRow]) -> Iterable[tuple[str, pb.Numbers, str]]:
    for row in rows:
        user = row.account.removeprefix("accounts/")
        yield user, row.numbers, f"/statistics?account={user}"


def _places(places: Sequence[Any]) -> Sequence[Place]:
    most = max((place.dispensed for place in places), default=0) or 1
    return [
        Place(
            place.rank,
            place.account.removeprefix("accounts/"),
            place.display_name or place.account.removeprefix("accounts/"),
            place.dispensed,
            round(100 * place.dispensed / most, 2),
        )
        for place in places
    ]


def _days_of(time: str, today: str) -> dict[str, str]:
    """The first and the last day of the month or year that has today; none for ever."""
    match time:
        case "month":
            return _days(today[:7])
        case "year":
            return {"first_day": f"{today[:4]}-01-01", "last_day": f"{today[:4]}-12-31"}
        case _:
            return {}


def _days(month: str) -> dict[str, str]:
    _, last = monthrange(int(month[:4]), int(month[5:]))
    return {"first_day": f"{month}-01", "last_day": f"{month}-{last}"}


def _month_after(month: str, count: int) -> str:
    year, place = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + count, 12)
    return f"{year}-{place + 1:02}"
