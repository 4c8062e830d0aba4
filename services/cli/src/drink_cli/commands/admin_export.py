"""The command that writes all rows of a list, for other programs and spreadsheets."""

import csv
import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_cli.api import Api
from drink_cli.commands.admin_machines import movement_facts
from drink_cli.commands.drops import drop_facts, entry_row
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.filters import Before, Since, time_range
from drink_cli.text import iso_time, printable, short

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of texts that spreadsheets take for formulas."""


class What(StrEnum):
    """What can be exported."""

    DROPS = "drops"
    ENTRIES = "entries"
    BALANCES = "balances"
    MOVEMENTS = "movements"


@command
def export(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="Which rows.")],
    *,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated values instead of JSON lines.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(help="Drops or entries of one account only.")
    ] = None,
    since: Since = None,
    before: Before = None,
) -> None:
    """Write all drops, entries of the ledger, balances or movements of stock, a line each.

    The newest come first. Rows are written as they come, however many there are.
    """
    if account is not None and what not in {What.DROPS, What.ENTRIES}:
        raise CommandError("--account goes with drops and entries only", Exit.USAGE)
    times = time_range(since, before)
    if times and what is What.BALANCES:
        raise CommandError("balances are those of now: no --since, no --before", Exit.USAGE)
    with shared(context).api() as api:
        match what:
            case What.DROPS:
                empty, rows = drop_facts(drops.Drop()), _drops(api, account, times)
            case What.ENTRIES:
                empty, rows = _entry("", accounts.Entry()), _entries(api, account, times)
            case What.BALANCES:
                empty, rows = _balance(accounts.Account()), map(_balance, _accounts(api))
            case What.MOVEMENTS:
                empty, rows = movement_facts(machines.StockMovement()), _movements(api, times)
        if as_csv:
            write_csv(list(empty), rows)
        else:
            for row in rows:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _drops(api: Api, account: str | None, times: dict[str, Any]) -> Iterator[dict[str, Any]]:
    request = drops.ListDropsRequest(parent=f"accounts/{account or '-'}", **times)
    return map(drop_facts, api.each(api.drops.ListDrops, request, "drops"))


def _entries(api: Api, account: str | None, times: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = [each.name for each in _accounts(api)] if account is None else [f"accounts/{account}"]
    for name in names:
        request = accounts.ListEntriesRequest(parent=name, **times)
        for entry in api.each(api.accounts.ListEntries, request, "entries"):
            yield _entry(short(name), entry)


def _entry(account: str, entry: accounts.Entry) -> dict[str, Any]:
    return {
        "entry": short(entry.name),
        "account": account,
        **entry_row(entry, is_json=True),
        "posted_change": entry.posted_change,
        "held_change": entry.held_change,
    }


def _accounts(api: Api) -> Iterator[accounts.Account]:
    return api.each(api.accounts.ListAccounts, accounts.ListAccountsRequest(), "accounts")


def _balance(account: accounts.Account) -> dict[str, Any]:
    return {
        "account": short(account.name),
        "posted": account.posted_credits,
        "held": account.held_credits,
        "available": account.available_credits,
        "credit_limit": account.credit_limit,
        "admin": account.admin,
        "closed": account.closed,
        "created": iso_time(account.create_time),
    }


def _movements(api: Api, times: dict[str, Any]) -> Iterator[dict[str, Any]]:
    request = machines.ListStockMovementsRequest(**times)
    return map(movement_facts, api.each(api.machines.ListStockMovements, request, "movements"))


def write_csv(columns: list[str], rows: Iterator[dict[str, Any]]) -> None:
    """Writes rows as comma-separated values that are safe in a spreadsheet."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(cell(row[column]) for column in columns)


def cell(value: Any) -> Any:
    """A value for a spreadsheet: a text that would be a formula begins with an apostrophe.

    Characters that a terminal would act on are replaced, since people look at such files there.
    """
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if value.startswith(FORMULAS) else text
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value
