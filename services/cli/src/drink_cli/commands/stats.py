"""Commands for the numbers of drops: one's own, and those of the house."""

import re
from calendar import monthrange
from enum import StrEnum
from typing import Annotated, Any

import typer

from drink.v1 import statistics_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.commands.admin_export import write_csv
from drink_cli.context import Shared, command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import short

_BY = pb.ListStatisticsRequest

OnlyMonth = Annotated[
    str | None, typer.Option(metavar="YYYY-MM", help="Of one month, such as 2026-11.")
]
OnlyMachine = Annotated[str | None, typer.Option(metavar="NAME", help="Of one machine only.")]

NUMBERS = {
    "dispensed": "ITEMS",
    "spent": "SPENT",
    "refunded": "REFUNDED",
    "failed": "FAILED",
    "unknown": "UNKNOWN",
}
"""Columns of numbers that people see; a program gets all."""


class By(StrEnum):
    """By what an operator's numbers are grouped."""

    ITEM = "item"
    MACHINE = "machine"
    DAY = "day"
    HOUR = "hour"
    ACCOUNT = "account"


_GROUPS = {
    By.ITEM: [_BY.GROUPING_MACHINE, _BY.GROUPING_ITEM],
    By.MACHINE: [_BY.GROUPING_MACHINE],
    By.DAY: [_BY.GROUPING_DAY],
    By.HOUR: [_BY.GROUPING_HOUR],
    By.ACCOUNT: [_BY.GROUPING_ACCOUNT],
}
_COLUMNS = {
    "period": "DAY",
    "account": "ACCOUNT",
    "machine": "MACHINE",
    "item": "ITEM",
    "hour": "HOUR",
}


@command
def stats(context: typer.Context, *, machine: OnlyMachine = None, month: OnlyMonth = None) -> None:
    """Show the own numbers: what was got and spent, and the streak; or the items of a month."""
    options = shared(context)
    with options.api() as api:
        if machine is None and month is None:
            _show_summary(options, api)
            return
        mine = api.call(api.statistics.GetAccountStatistics, pb.GetAccountStatisticsRequest())
        request = pb.ListStatisticsRequest(
            account=mine.account,
            machine=f"machines/{machine}" if machine else "",
            group_by=_GROUPS[By.ITEM],
        )
        if month is not None:
            request.first_day, request.last_day = _days(month)
        rows = _rows(api, request)
    _warn(mine.state)
    rows.sort(key=lambda row: -row["dispensed"])
    options.output.rows(rows, _COLUMNS | NUMBERS, "nothing was bought")


@command
def admin_stats(
    context: typer.Context,
    *,
    by: Annotated[By, typer.Option(help="What each line is about.")] = By.ITEM,
    month: OnlyMonth = None,
    machine: OnlyMachine = None,
    account: Annotated[str | None, typer.Option(help="Of one account only.")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated values, safe in a spreadsheet.")
    ] = False,
) -> None:
    """Show who sold what in a month, by default the last one."""
    options = shared(context)
    if as_csv and options.output.is_json:
        raise CommandError("either --json or --csv", Exit.USAGE)
    with options.api() as api:
        request = pb.ListStatisticsRequest(
            account=f"accounts/{account}" if account else "",
            machine=f"machines/{machine}" if machine else "",
            group_by=_GROUPS[by],
        )
        state = api.call(api.statistics.ListStatistics, pb.ListStatisticsRequest()).state
        wanted = month or _month_before(state.today)
        request.first_day, request.last_day = _days(wanted)
        rows = _rows(api, request)
    _warn(state)
    if as_csv:
        empty = _row(pb.StatisticsRow())
        write_csv(["month", *empty], iter({"month": wanted, **row} for row in rows))
    else:
        options.output.rows(rows, _COLUMNS | NUMBERS, f"nothing was sold in {wanted}")


def _show_summary(options: Shared, api: Api) -> None:
    found = api.call(api.statistics.GetAccountStatistics, pb.GetAccountStatisticsRequest())
    _warn(found.state)
    times = {
        "week": found.week,
        "month": found.month,
        "year": found.year,
        "ever": found.ever,
    }
    if options.output.is_json:
        facts: dict[str, Any] = {time: _numbers(numbers) for time, numbers in times.items()}
        facts |= {
            "streak_days": found.streak_days,
            "longest_streak_days": found.longest_streak_days,
        }
        options.output.result(facts | _state(found.state), "")
        return
    rows = [{"time": time, **_numbers(numbers)} for time, numbers in times.items()]
    options.output.rows(rows, {"time": "TIME"} | NUMBERS, "")
    options.output.say(
        f"days in a row with something: {found.streak_days},"
        f" at most ever: {found.longest_streak_days}"
    )


def _rows(api: Api, request: pb.ListStatisticsRequest) -> list[dict[str, Any]]:
    return list(map(_row, api.each(api.statistics.ListStatistics, request, "rows")))


def _row(row: pb.StatisticsRow) -> dict[str, Any]:
    return {
        "period": row.period,
        "account": short(row.account) if row.account else "",
        "machine": short(row.machine) if row.machine else "",
        "item": row.item,
        "hour": row.hour if row.HasField("hour") else None,
        **_numbers(row.numbers),
    }


def _numbers(numbers: pb.Numbers) -> dict[str, int]:
    return {
        "dispensed": numbers.dispensed,
        "failed": numbers.failed,
        "cancelled": numbers.cancelled,
        "unknown": numbers.unknown,
        "refunds": numbers.refunds,
        "spent": numbers.spent_credits,
        "held": numbers.held_credits,
        "refunded": numbers.refunded_credits,
    }


def _state(state: pb.StatisticsState) -> dict[str, Any]:
    return {"time_zone": state.time_zone, "complete": state.complete, "today": state.today}


def _warn(state: pb.StatisticsState) -> None:
    if not state.complete:
        typer.echo("drink: not all drops are counted yet", err=True)


def _days(month: str) -> tuple[str, str]:
    """The first and the last day of a month.

    Raises:
        CommandError: it is no month.
    """
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) or not month[0] > "0":
        raise CommandError("a month is such as 2026-11", Exit.USAGE)
    _, last = monthrange(int(month[:4]), int(month[5:]))
    return f"{month}-01", f"{month}-{last}"


def _month_before(today: str) -> str:
    year, month = int(today[:4]), int(today[5:7])
    return f"{year - 1}-12" if month == 1 else f"{year}-{month - 1:02}"
