"""Commands of administrators for identities: how sources of logins know the users."""

from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.text import iso_time, local_time

identities = typer.Typer(
    help="Identities of users at sources of logins, such as a directory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

COLUMNS = {
    "source": "SOURCE",
    "subject": "SUBJECT",
    "name": "NAME THERE",
    "admin": "GIVES ADMIN",
    "last_login": "LAST LOGIN",
    "left": "LEFT",
}

Name = Annotated[str, typer.Argument(metavar="USER")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="`ldap:` and the name of the directory, or an issuer's URL."
    ),
]
Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="UUID of the entry, or the claim `sub`.")
]


@identities.command("list")
@command
def list_identities(context: typer.Context, name: Name) -> None:
    """Show how sources of logins know a user."""
    options = shared(context)
    with options.api() as api:
        request = pb.ListIdentitiesRequest(parent=f"accounts/{name}")
        found = api.call(api.accounts.ListIdentities, request).identities
    rows = [_facts(each) for each in found]
    if not options.output.is_json:
        for row, each in zip(rows, found, strict=True):
            row["admin"] = "yes" if each.admin else ""
            row["last_login"] = local_time(each.login_time)
            row["left"] = local_time(each.leave_time)
    options.output.rows(rows, COLUMNS, "there are no identities")


@identities.command("link")
@command
def link_identity(context: typer.Context, name: Name, source: Source, subject: Subject) -> None:
    """Link a person at a source of logins to a user, who logs in there from now on."""
    options = shared(context)
    with options.api() as api:
        request = pb.LinkIdentityRequest(parent=f"accounts/{name}", source=source, subject=subject)
        identity = api.call(api.accounts.LinkIdentity, request).identity
    options.output.result(_facts(identity), f"{name} is {subject} at {source}")


@identities.command("unlink")
@command
def unlink_identity(context: typer.Context, name: Name, source: Source, subject: Subject) -> None:
    """Remove an identity of a user, with the rights and cards it gave; ends every login."""
    options = shared(context)
    with options.api() as api:
        request = pb.UnlinkIdentityRequest(
            parent=f"accounts/{name}", source=source, subject=subject
        )
        api.call(api.accounts.UnlinkIdentity, request)
    options.output.result(
        {"unlinked": subject, "source": source}, f"{name} is no longer {subject} at {source}"
    )


def _facts(identity: pb.Identity) -> dict[str, Any]:
    return {
        "source": identity.source,
        "subject": identity.subject,
        "name": identity.source_name,
        "admin": identity.admin,
        "created": iso_time(identity.create_time),
        "last_login": iso_time(identity.login_time),
        "left": iso_time(identity.leave_time),
    }
