"""Commands of the own account: logging in and out, credits."""

import getpass
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.commands.tokens import SCOPES, Scope
from drink_cli.context import command, shared
from drink_cli.device_login import DevicePrompt, sign_in
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.profile import (
    DEFAULT_NAME,
    DEFAULT_SERVER,
    Profile,
    load_profile,
    make_profile,
    save_profile,
)
from drink_cli.text import iso_time, local_time, short

SECRET_CHARS_MAX = 1024
"""Characters read of a password or of the number of an iButton or card; the server takes fewer."""

LOGIN_LIMIT_S = 90.0
"""Seconds that a login may take: where somebody guesses, it waits for its turn up to a minute."""


def account_facts(account: pb.Account) -> dict[str, Any]:
    """An account as JSON values."""
    return {
        "account": short(account.name),
        "id": account.id,
        "admin": account.admin,
        "closed": account.closed,
        "available": account.available_credits,
        "held": account.held_credits,
        "posted": account.posted_credits,
        "limit": account.credit_limit,
        "display_name": account.display_name,
    }


def account_title(account: pb.Account) -> str:
    """Its name for people, with what its owner is called if that is known."""
    name = short(account.name)
    return f"{account.display_name} ({name})" if account.display_name else name


def account_sentence(account: pb.Account) -> str:
    """An account's credits for a person."""
    held = f"; {account.held_credits} more are held for drops" if account.held_credits else ""
    owed = f"; {-account.posted_credits} are owed" if account.posted_credits < 0 else ""
    return f"{short(account.name)} can spend {account.available_credits} credits{held}{owed}"


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
    card: Annotated[
        bool, typer.Option("--card", help="Log in with a card's number instead.")
    ] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Sign in with an OpenID provider of the server, in a browser on any device.",
        ),
    ] = None,
    keyring: Annotated[
        bool | None,
        typer.Option(
            "--keyring/--no-keyring",
            help="Keep the token in the keyring, or in a file; the keyring where there is one.",
            show_default=False,
        ),
    ] = None,
    scope: Annotated[Scope, typer.Option(help="What the login may be used for.")] = Scope.ALL,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What to call the login in lists.")
    ] = "",
) -> None:
    """Log in, and keep the token for the commands that follow.

    The password, or the number of the iButton or card, is asked for; without a terminal it is read
    from the standard input. With --provider an address and a code are shown instead.
    """
    if ibutton + card + (provider is not None) > 1:
        raise CommandError("one of --ibutton, --card and --provider", Exit.USAGE)
    options = shared(context)
    profile = _profile_to_log_in(options.profile_name, server, authority, plain)
    if keyring is not None:
        profile = replace(profile, keyring=keyring)
    if ibutton:
        request = pb.LoginRequest(ibutton=asked_secret("iButton: "))
    elif card:
        request = pb.LoginRequest(card=asked_secret("card: "))
    elif provider is not None:
        if account is not None:
            raise CommandError("with --provider the provider knows the account", Exit.USAGE)
        request = pb.LoginRequest(oidc=_signed_in(profile, provider))
    else:
        who = account or _asked("account: ")
        credentials = pb.PasswordCredentials(
            account=f"accounts/{who}", password=asked_secret(f"password of {who}: ")
        )
        request = pb.LoginRequest(password=credentials)
    # Without a scope the request is the one that servers of release 0.1.0 know.
    request.scope = SCOPES[scope] if scope is not Scope.ALL else pb.TOKEN_SCOPE_UNSPECIFIED
    request.display_name = name
    with Api(profile) as api:
        response = api.call_public(api.accounts.Login, request, limit_s=LOGIN_LIMIT_S)
    try:
        save_profile(profile.store_token(response.token))
    except OSError as error:
        raise CommandError(f"the login cannot be kept: {error}", Exit.FAULT) from None
    options.output.result(
        {
            **account_facts(response.account),
            "profile": profile.name,
            "server": profile.server,
            "expires": iso_time(response.expire_time),
            "scope": scope.value,
        },
        f"logged in at {profile.server} until {local_time(response.expire_time)}; "
        f"{account_sentence(response.account)}",
    )


@command
def logout(context: typer.Context) -> None:
    """End the login: the server refuses its token from now on, and this computer forgets it."""
    options = shared(context)
    with options.api() as api:
        profile = api.profile
        was_logged_in = bool(profile.token())
        ended = True
        try:
            if was_logged_in:
                api.call(api.accounts.Logout, pb.LogoutRequest())
        except CallError as error:
            # A token that is no longer good is what was asked for.
            ended = error.code is Exit.LOGIN
        profile.forget_token()
    if not ended:
        raise CommandError(
            f"this computer has forgotten the token, but {profile.server} did not end the login",
            Exit.UNREACHABLE,
        )
    options.output.result(
        {"profile": profile.name, "logged_out": was_logged_in},
        f"logged out of {profile.server}" if was_logged_in else "nobody was logged in",
    )


@command
def password(context: typer.Context) -> None:
    """Change the own password; ends every other login of the account.

    The password of now and the new one are asked for, or read from the standard input, a line each.
    """
    options = shared(context)
    request = pb.ChangePasswordRequest(
        old_password=asked_secret("password of now: "),
        new_password=asked_secret("new password: ", twice=True),
    )
    with options.api() as api:
        response = api.call(api.accounts.ChangePassword, request, limit_s=LOGIN_LIMIT_S)
        stored = api.profile.store_token(response.token)
        if stored != api.profile:
            save_profile(stored)
    options.output.result(
        {"expires": iso_time(response.expire_time)},
        "the password is changed; every other login has ended",
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
        f"{account_title(account)}, {role}, at {profile.server} (profile {profile.name})",
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
    why: Annotated[str, typer.Option(help="What for; both see it.")] = "",
) -> None:
    """Send credits to somebody else."""
    options = shared(context)
    request = pb.TransferCreditsRequest(
        request_id=str(uuid.uuid4()), recipient=f"accounts/{to}", credits=credits_, reason=why
    )
    with options.api() as api:
        # gRPC repeats the call with the same request_id if no answer comes.
        account = api.call(api.accounts.TransferCredits, request).account
    options.output.result(
        {**account_facts(account), "sent": credits_, "to": to, "request_id": request.request_id},
        f"sent {credits_} credits to {to}; {account_sentence(account)}",
    )


def _signed_in(profile: Profile, name: str) -> pb.OidcCredentials:
    """What the provider of a name gives, once somebody has signed in there."""
    with Api(profile) as api:
        found = api.call_public(api.accounts.ListSignInProviders, pb.ListSignInProvidersRequest())
    usable = {each.name: each for each in found.providers if each.device_client_id}
    if name not in usable:
        known = ", ".join(usable) or "none"
        raise CommandError(
            f"{profile.server} has no such provider for drink; it has {known}", Exit.NOT_FOUND
        )
    if not usable[name].device_authorization_endpoint:
        raise CommandError(f"{usable[name].display_name} does not answer", Exit.UNREACHABLE)

    def tell(prompt: DevicePrompt) -> None:
        lines = [f"open {prompt.address}", f"and type the code {prompt.code}"]
        if prompt.complete:
            lines.append(f"or open {prompt.complete}")
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()

    return sign_in(usable[name], tell)


def _profile_to_log_in(
    name: str | None, server: str | None, authority: Path | None, plain: bool
) -> Profile:
    if server is not None:
        return make_profile(name or DEFAULT_NAME, server, authority, plain)
    known = load_profile(name)
    if authority is None and not plain:
        return known
    return make_profile(known.name, known.server, authority or known.authority, plain)


def asked_secret(prompt: str, *, twice: bool = False) -> str:
    """A secret typed at a terminal without showing it, or the next line of a pipe.

    Args:
        prompt: What is asked for.
        twice: Whether a person has to type it twice.

    Raises:
        CommandError: nothing was typed, or something else the second time.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline(SECRET_CHARS_MAX).rstrip("\r\n")
    try:
        secret = getpass.getpass(prompt)
        is_same = not twice or getpass.getpass("the same again: ") == secret
    except EOFError:
        raise CommandError("nothing was typed; nothing was changed", Exit.USAGE) from None
    if not is_same:
        raise CommandError("the two are not the same; nothing was changed", Exit.USAGE)
    return secret


def _asked(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError("name the account: drink login ACCOUNT", Exit.USAGE)
    try:
        return input(prompt).strip()
    except EOFError:
        raise CommandError("name the account: drink login ACCOUNT", Exit.USAGE) from None
