"""Commands of the own account: logging in and out, credits."""

import getpass
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.profile import (
    DEFAULT_NAME,
    DEFAULT_SERVER,
    Profile,
    load_profile,
    make_profile,
    save_profile,
)
from drink_cli.text import iso_time, local_time, short

PASSWORD_CHARS_MAX = 1024
"""Characters read of a password; the server takes fewer."""


def account_facts(account: pb.Account) -> dict[str, Any]:
    """An account as JSON values."""
    return {
        "account": short(account.name),
        "admin": account.admin,
        "available": account.available_credits,
        "held": account.held_credits,
        "posted": account.posted_credits,
    }


def account_sentence(account: pb.Account) -> str:
    """An account's credits for a person."""
    held = f"; {account.held_credits} more are held for drops" if account.held_credits else ""
    return f"{short(account.name)} can spend {account.available_credits} credits{held}"


@command
def login(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Argument(help="The account; asked for if left out.")
    ] = None,
    *,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help=f"The server, kept in the profile; {DEFAULT_SERVER} at first.",
        ),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option("--ca", help="PEM file of the authority of the server's certificate."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="No TLS, though the server is not this computer.")
    ] = False,
    ibutton: Annotated[
        bool, typer.Option("--ibutton", help="Log in with an iButton's number instead.")
    ] = False,
) -> None:
    """Log in, and keep the token for the commands that follow.

    The password, or the iButton's number, is asked for, or read from the standard input.
    """
    options = shared(context)
    profile = _profile_to_log_in(options.profile_name, server, authority, plain)
    if ibutton:
        request = pb.LoginRequest(ibutton=_secret("iButton: "))
    else:
        name = account or _asked("account: ")
        credentials = pb.PasswordCredentials(
            account=f"accounts/{name}", password=_secret(f"password of {name}: ")
        )
        request = pb.LoginRequest(password=credentials)
    with Api(profile) as api:
        response = api.call_public(api.accounts.Login, request, limit_s=90)
    try:
        profile.store_token(response.token)
        save_profile(profile)
    except OSError as error:
        raise CommandError(f"the login cannot be kept: {error}", Exit.FAULT) from None
    options.output.result(
        {
            **account_facts(response.account),
            "profile": profile.name,
            "server": profile.server,
            "expires": iso_time(response.expire_time),
        },
        f"logged in at {profile.server} until {local_time(response.expire_time)}; "
        f"{account_sentence(response.account)}",
    )


@command
def logout(context: typer.Context) -> None:
    """Forget the token of the login on this computer."""
    options = shared(context)
    profile = options.profile()
    there_was = profile.forget_token()
    options.output.result(
        {"profile": profile.name, "logged_out": there_was},
        f"logged out of {profile.server}" if there_was else "nobody was logged in",
    )


@command
def whoami(context: typer.Context) -> None:
    """Show who is logged in, and where."""
    options = shared(context)
    with options.api() as api:
        account = api.call(api.accounts.GetAccount, pb.GetAccountRequest()).account
        profile = api.profile
    role = "administrator" if account.admin else "member"
    options.output.result(
        {**account_facts(account), "profile": profile.name, "server": profile.server},
        f"{short(account.name)}, {role}, at {profile.server} (profile {profile.name})",
    )


@command
def balance(context: typer.Context) -> None:
    """Show the own credits."""
    options = shared(context)
    with options.api() as api:
        account = api.call(api.accounts.GetAccount, pb.GetAccountRequest()).account
    options.output.result(account_facts(account), account_sentence(account))


@command
def send(
    context: typer.Context,
    credits_: Annotated[int, typer.Argument(metavar="CREDITS", min=1)],
    to: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Who gets them.")],
) -> None:
    """Send credits to somebody else."""
    options = shared(context)
    request = pb.TransferCreditsRequest(
        request_id=str(uuid.uuid4()), recipient=f"accounts/{to}", credits=credits_
    )
    with options.api() as api:
        # gRPC repeats the call with the same request_id if no answer comes.
        account = api.call(api.accounts.TransferCredits, request).account
    options.output.result(
        {**account_facts(account), "sent": credits_, "to": to, "request_id": request.request_id},
        f"sent {credits_} credits to {to}; {account_sentence(account)}",
    )


def _profile_to_log_in(
    name: str | None, server: str | None, authority: Path | None, plain: bool
) -> Profile:
    if server is not None:
        return make_profile(name or DEFAULT_NAME, server, authority, plain)
    known = load_profile(name)
    if authority is None and not plain:
        return known
    return make_profile(known.name, known.server, authority or known.authority, plain)


def _secret(prompt: str) -> str:
    """A secret typed at a terminal without showing it, or the first line of a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline(PASSWORD_CHARS_MAX).rstrip("\r\n")


def _asked(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError("name the account: drink login ACCOUNT", Exit.USAGE)
    return input(prompt).strip()
