"""Commands of administrators for users and their credits."""

from typing import Annotated

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.commands.account import account_facts, account_sentence, asked_secret
from drink_cli.context import EntryReason, RequestId, command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import short

users = typer.Typer(help="Users.", no_args_is_help=True, rich_markup_mode=None)
credits_ = typer.Typer(help="Credits of users.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "account": "USER",
    "available": "AVAILABLE",
    "held": "HELD",
    "admin": "ADMIN",
    "closed": "CLOSED",
    "posted": "OWNED",
    "limit": "LIMIT",
    "display_name": "CALLED",
}

Name = Annotated[str, typer.Argument(metavar="USER")]
IButton = Annotated[
    str | None, typer.Option(metavar="DIGITS", help="16 hexadecimal digits of an iButton.")
]
DisplayName = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What to call the user, for people; empty for none."),
]


@users.command("list")
@command
def list_users(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Only names that begin with this.")] = "",
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Without closed accounts.")] = False,
) -> None:
    """Show users and their credits, by name."""
    options = shared(context)
    request = pb.ListAccountsRequest(name_prefix=prefix, open_only=open_only)
    with options.api() as api:
        found = api.rows(api.accounts.ListAccounts, request, "accounts")
    options.output.rows([account_facts(each) for each in found], COLUMNS, "there are no such users")


@users.command("show")
@command
def show_user(context: typer.Context, name: Name) -> None:
    """Show one user's credits."""
    options = shared(context)
    with options.api() as api:
        request = pb.GetAccountRequest(name=f"accounts/{name}")
        account = api.call(api.accounts.GetAccount, request).account
    options.output.result(account_facts(account), _sentence(account))


@users.command("add")
@command
def add_user(
    context: typer.Context,
    name: Name,
    *,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password, or read it from a pipe.")
    ] = False,
    ibutton: IButton = None,
    admin: Annotated[bool, typer.Option("--admin", help="May administer.")] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Open the closed account of that name again.")
    ] = False,
    display_name: DisplayName = None,
) -> None:
    """Make a user without credits."""
    options = shared(context)
    request = pb.CreateAccountRequest(
        name=f"accounts/{name}",
        password=asked_secret(f"password of {name}: ", twice=True) if password else None,
        ibutton=ibutton,
        admin=admin,
        reopen=reopen,
        display_name=display_name or "",
    )
    with options.api() as api:
        account = api.call(api.accounts.CreateAccount, request).account
    options.output.result(account_facts(account), _sentence(account))


@users.command("change")
@command
def change_user(
    context: typer.Context,
    name: Name,
    *,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="May administer.")
    ] = None,
    closed: Annotated[
        bool | None, typer.Option("--close/--open", help="May not log in or buy.")
    ] = None,
    ibutton: IButton = None,
    no_ibutton: Annotated[
        bool, typer.Option("--no-ibutton", help="Take the iButton away.")
    ] = False,
    credit_limit: Annotated[
        int | None,
        typer.Option("--credit-limit", metavar="CREDITS", help="So many may be owed; 0 for none."),
    ] = None,
    display_name: DisplayName = None,
) -> None:
    """Change what a user may do; closing ends every login of the user at once."""
    if no_ibutton and ibutton is not None:
        raise CommandError("--ibutton or --no-ibutton", Exit.USAGE)
    given = (admin, closed, ibutton, credit_limit, display_name)
    if not no_ibutton and all(each is None for each in given):
        raise CommandError("nothing to change; see drink admin user change --help", Exit.USAGE)
    options = shared(context)
    request = pb.UpdateAccountRequest(
        name=f"accounts/{name}",
        admin=admin,
        closed=closed,
        ibutton="" if no_ibutton else ibutton,
        credit_limit=credit_limit,
        display_name=display_name,
    )
    with options.api() as api:
        answer = api.call(api.accounts.UpdateAccount, request)
    left = [short(each) for each in answer.open_drops]
    options.output.result(
        {**account_facts(answer.account), "open_drops": left},
        _sentence(answer.account) + (_left_open(answer.account, left) if closed else ""),
    )


@users.command("rename")
@command
def rename_user(
    context: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="Of the user from now on.")],
) -> None:
    """Give a user another name; logins and tokens stay."""
    options = shared(context)
    request = pb.UpdateAccountRequest(name=f"accounts/{name}", new_name=new_name)
    with options.api() as api:
        account = api.call(api.accounts.UpdateAccount, request).account
    options.output.result(account_facts(account), _sentence(account))


@users.command("erase")
@command
def erase_user(context: typer.Context, name: Name) -> None:
    """Erase names, password, iButton and cards of a closed user without credits; books stay."""
    options = shared(context)
    with options.api() as api:
        request = pb.EraseAccountRequest(name=f"accounts/{name}")
        account = api.call(api.accounts.EraseAccount, request).account
    options.output.result(account_facts(account), f"erased; in the books it is {account.id}")


@users.command("password")
@command
def set_password(context: typer.Context, name: Name) -> None:
    """Give a user another password, asked for or read from a pipe; ends every login of the user."""
    options = shared(context)
    request = pb.SetPasswordRequest(
        name=f"accounts/{name}", password=asked_secret(f"new password of {name}: ", twice=True)
    )
    with options.api() as api:
        account = api.call(api.accounts.SetPassword, request).account
    options.output.result(account_facts(account), f"{name} has another password")


# A number below zero looks like an option.
@credits_.command("add", context_settings={"ignore_unknown_options": True})
@command
def add_credits(
    context: typer.Context,
    name: Name,
    number: Annotated[int, typer.Argument(metavar="CREDITS", help="-50 takes 50 back.")],
    *,
    request_id: RequestId,
    why: EntryReason = "",
) -> None:
    """Give somebody credits, or take them back."""
    options = shared(context)
    request = pb.AddCreditsRequest(
        request_id=request_id,
        account=f"accounts/{name}",
        credits=number,
        reason=why,
    )
    with options.api() as api:
        account = api.call(api.accounts.AddCredits, request).account
    options.output.result(
        {**account_facts(account), "added": number, "request_id": request.request_id},
        f"{number:+} credits; {account_sentence(account)}",
    )


# A number below zero looks like an option.
@credits_.command("set", context_settings={"ignore_unknown_options": True})
@command
def set_credits(
    context: typer.Context,
    name: Name,
    number: Annotated[int, typer.Argument(metavar="CREDITS", help="What the user shall own.")],
    *,
    expected: Annotated[
        int, typer.Option(help="What the user owns now, held credits counted, as you have seen it.")
    ],
    request_id: RequestId,
    why: EntryReason = "",
) -> None:
    """Set what somebody owns to a number; refused if it is not what was expected before."""
    options = shared(context)
    request = pb.SetCreditsRequest(
        request_id=request_id,
        account=f"accounts/{name}",
        posted_credits=number,
        expected_posted_credits=expected,
        reason=why,
    )
    with options.api() as api:
        account = api.call(api.accounts.SetCredits, request).account
    options.output.result(
        {**account_facts(account), "request_id": request.request_id}, _sentence(account)
    )


def _sentence(account: pb.Account) -> str:
    facts = [account_sentence(account)]
    if account.display_name:
        facts.append(f"called {account.display_name}")
    if account.credit_limit:
        facts.append(f"may owe {account.credit_limit}")
    if account.admin:
        facts.append("administrator")
    if account.closed:
        facts.append("closed")
    return "; ".join(facts)


def _left_open(account: pb.Account, drops: list[str]) -> str:
    """What is still open of an account that was just closed, for people; empty for nothing."""
    owned, open_ = account.posted_credits, []
    if owned:
        open_.append(f"{owned} credits to pay out" if owned > 0 else f"{-owned} credits to collect")
    if drops:
        open_.append(f"{account.held_credits} credits held for {', '.join(drops)}")
    return f". Still open: {'; '.join(open_)}" if open_ else ""
