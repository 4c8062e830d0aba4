"""Commands for logins: listing and ending them."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import iso_time, local_time

tokens = typer.Typer(
    help="Logins of an account, and their end.", no_args_is_help=True, rich_markup_mode=None
)

COLUMNS = {
    "token": "TOKEN",
    "name": "NAME",
    "scope": "SCOPE",
    "since": "SINCE",
    "last_used": "LAST USED",
    "until": "UNTIL",
    "this": "THIS LOGIN",
}

Account = Annotated[
    str | None,
    typer.Option("--account", metavar="USER", help="Somebody else's; for administrators."),
]


class Scope(StrEnum):
    """What a login may be used for."""

    ALL = "all"
    DROP = "drop"
    READ = "read"
    NOTIFY = "notify"


SCOPES = {
    Scope.ALL: pb.TOKEN_SCOPE_ALL,
    Scope.DROP: pb.TOKEN_SCOPE_DROP,
    Scope.READ: pb.TOKEN_SCOPE_READ,
    Scope.NOTIFY: pb.TOKEN_SCOPE_NOTIFY,
}
_WORDS: dict[int, str] = {wire: scope.value for scope, wire in SCOPES.items()}


@tokens.command("list")
@command
def list_tokens(context: typer.Context, *, account: Account = None) -> None:
    """Show the logins of the own account, the newest first; never the tokens themselves."""
    options = shared(context)
    request = pb.ListTokensRequest(parent=account_path(account))
    with options.api() as api:
        found = api.rows(api.accounts.ListTokens, request, "tokens")
    rows = [_facts(each) for each in found]
    if not options.output.is_json:
        for row, each in zip(rows, found, strict=True):
            row["since"] = local_time(each.create_time) if each.HasField("create_time") else None
            row["until"] = local_time(each.expire_time)
            row["this"] = "yes" if each.current else ""
    options.output.rows(rows, COLUMNS, "there are no logins")


@tokens.command("revoke")
@command
def revoke(
    context: typer.Context,
    token: Annotated[
        str | None, typer.Argument(metavar="TOKEN", help="As `drink tokens list` shows it.")
    ] = None,
    *,
    account: Account = None,
    everything: Annotated[bool, typer.Option("--all", help="All logins, this one too.")] = False,
    others: Annotated[bool, typer.Option("--others", help="All logins but this one.")] = False,
) -> None:
    """End logins, with the calls and watches that use them."""
    if (token is not None) + everything + others != 1:
        raise CommandError("one of TOKEN, --all and --others", Exit.USAGE)
    options = shared(context)
    with options.api() as api:
        if token is None:
            request = pb.RevokeAllTokensRequest(parent=account_path(account), keep_current=others)
            count = api.call(api.accounts.RevokeAllTokens, request).count
        else:
            owner = account_path(account) or own_account(api)
            name = f"{owner}/tokens/{token}"
            api.call(api.accounts.RevokeToken, pb.RevokeTokenRequest(name=name))
            count = 1
    options.output.result({"revoked": count}, f"{count} login{'' if count == 1 else 's'} ended")


def account_path(account: str | None) -> str:
    """The resource name of an account; empty for None."""
    return "" if account is None else f"accounts/{account}"


def own_account(api: Api) -> str:
    """The resource name of the account that is logged in."""
    return api.call(api.accounts.GetAccount, pb.GetAccountRequest()).account.name


def _facts(token: pb.Token) -> dict[str, Any]:
    return {
        "token": token.name.rpartition("/")[2],
        "name": token.display_name,
        "scope": _WORDS.get(token.scope, "other"),
        "created": iso_time(token.create_time) if token.HasField("create_time") else None,
        "last_used": _day(token),
        "expires": iso_time(token.expire_time),
        "current": token.current,
    }


def _day(token: pb.Token) -> str | None:
    if not token.HasField("last_use_time"):
        return None
    return token.last_use_time.ToDatetime().date().isoformat()
