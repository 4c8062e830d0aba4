"""Rows about statistics: each question that an RPC asks of the sums of ten years."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from benchmarks.fill_statistics import Filled, fill_statistics, make_administrator
from benchmarks.rows_growth import schema
from benchmarks.sizes import Sizes
from benchmarks.systems import Frontend
from benchmarks.table import Goal, Row
from drink.v1 import statistics_service_pb2 as pb
from scripts.client import Client

AT_MOST_MS = 100
"""The goal of every question."""

TIMES = 5
"""How often each is asked, of which the median counts."""

PAGE = 1_000
"""Rows of a page."""

ADMINISTRATOR = "buyer0"

SETTINGS = {"rpc.responses": "rows_per_account_per_s = 1_000_000"}
"""Questions that follow each other do not wait for the pace of one account."""

_DAY, _MONTH = pb.ListStatisticsRequest.GROUPING_DAY, pb.ListStatisticsRequest.GROUPING_MONTH
_MACHINE, _ITEM = pb.ListStatisticsRequest.GROUPING_MACHINE, pb.ListStatisticsRequest.GROUPING_ITEM
_HOUR, _ACCOUNT = pb.ListStatisticsRequest.GROUPING_HOUR, pb.ListStatisticsRequest.GROUPING_ACCOUNT


async def questions(folder: Path, sizes: Sizes) -> list[Row]:
    """Each question, asked over gRPC of a frontend that does nothing else."""
    present = datetime.now(UTC).year
    years = range(present + 1 - sizes.statistics_years, present + 1)
    frontend, filled = _filled(folder.parent, years, sizes.statistics_buyers)
    frontend.configure()
    try:
        frontend.start()
        client = Client(frontend.address, ADMINISTRATOR, f"{ADMINISTRATOR}-password")
        rows = []
        for what, ask in asked(client, years):
            found, median_ms = _measure(ask)
            rows.append(
                Row(
                    f"statistics, {what}",
                    median_ms,
                    "ms",
                    goal=Goal.AT_MOST,
                    limit=AT_MOST_MS,
                    limited_by="the rows of sums that it adds up or sorts, one by one",
                    note=f"{found:,} {'row' if found == 1 else 'rows'}",
                )
            )
        client.close()
    finally:
        frontend.process.stop()
    size = Row(
        f"statistics of {filled.drops:,} drops",
        filled.size / 2**20,
        "MiB",
        note=f"{filled.rows:,} rows, {filled.size / filled.rows:.0f} bytes each",
    )
    return [size, *rows]


def _filled(data: Path, years: range, buyers: int) -> tuple[Frontend, Filled]:
    """A frontend whose tables are filled, and with what; made once and kept."""
    folder = data / f"statistics-{schema()}-{years.start}-{years.stop}-{buyers}"
    complete = folder / "complete.json"
    frontend = Frontend(folder, SETTINGS)
    if complete.exists():
        return frontend, Filled(**json.loads(complete.read_text()))
    # Of a fill that was interrupted nothing is of use.
    frontend.database.unlink(missing_ok=True)
    frontend.install()
    filled = fill_statistics(frontend.database, years, buyers)
    make_administrator(frontend.database, ADMINISTRATOR)
    complete.write_text(json.dumps(asdict(filled)))
    return frontend, filled


def _measure(ask: Callable[[], int]) -> tuple[int, float]:
    """What a question finds, and the median of its time in ms."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = ask()
        taken.append(time.perf_counter() - began)
    return found, statistics.median(taken) * 1000


def asked(client: Client, years: range) -> Iterator[tuple[str, Callable[[], int]]]:
    """Each question, and what asks it and returns how many rows it found.

    Args:
        client: An administrator's.
        years: The years for which there are sums, the last of them the present one.
    """
    last = date(years[-1], 12, 31)
    year = (f"{last.year}-01-01", str(last))
    month = (f"{last.year}-01-01", f"{last.year}-01-31")
    cut = (f"{last.year}-01-02", str(last - timedelta(days=1)))
    member = "accounts/member0000"

    sums = partial(_sums, client)
    yield "the house, ever", sums()
    yield "by machine, ever", sums(_MACHINE)
    yield "by item, ever", sums(_ITEM)
    yield "by item and machine, ever", sums(_ITEM, _MACHINE)
    yield "by item of one machine, ever", sums(_ITEM, machine="machines/m00")
    yield "by hour, ever", sums(_HOUR)
    yield "by month, ever", sums(_MONTH)
    yield "by day, a year", sums(_DAY, days=year)
    yield "by day and item, a year, first page", sums(_DAY, _ITEM, days=year)
    yield "by day and item, a year, second page", sums(_DAY, _ITEM, days=year, is_continued=True)
    yield "by month and item, a year", sums(_MONTH, _ITEM, days=year)
    yield "by item, a year without its first and last day", sums(_ITEM, days=cut)
    yield "by hour, a year without its first and last day", sums(_HOUR, days=cut)
    yield "by account, a month", sums(_ACCOUNT, days=month)
    yield "by account, a year", sums(_ACCOUNT, days=year)
    yield "by account, ever", sums(_ACCOUNT)
    yield "of one account, by day, a year", sums(_DAY, account=member, days=year)
    yield "of one account, by item, ever", sums(_ITEM, account=member)
    yield "of one account, by hour, ever", sums(_HOUR, account=member)

    def summary() -> int:
        request = pb.GetAccountStatisticsRequest(account=member)
        return int(_call(client, "GetAccountStatistics", request).ever.dispensed > 0)

    yield "of one account, week to ever and streak", summary

    def ranking(time_: pb.GetRankingRequest.Time.ValueType) -> Callable[[], int]:
        request = pb.GetRankingRequest(time=time_)
        return lambda: len(_call(client, "GetRanking", request).places)

    yield "ranking of a week", ranking(pb.GetRankingRequest.TIME_WEEK)
    yield "ranking of a month", ranking(pb.GetRankingRequest.TIME_MONTH)
    yield "ranking of a year", ranking(pb.GetRankingRequest.TIME_YEAR)


def _sums(
    client: Client,
    *group_by: pb.ListStatisticsRequest.Grouping.ValueType,
    days: tuple[str, str] = ("", ""),
    account: str = "",
    machine: str = "",
    is_continued: bool = False,
) -> Callable[[], int]:
    """What asks for a page of sums and returns its rows."""
    request = pb.ListStatisticsRequest(
        account=account,
        machine=machine,
        first_day=days[0],
        last_day=days[1],
        group_by=group_by,
        page_size=PAGE,
    )
    if is_continued:
        request.page_token = _call(client, "ListStatistics", request).next_page_token
        assert request.page_token, "there is one page only"
    return lambda: len(_call(client, "ListStatistics", request).rows)


def _call(client: Client, method: str, request: Message) -> Any:
    return client.call(getattr(client.statistics, method), request)
