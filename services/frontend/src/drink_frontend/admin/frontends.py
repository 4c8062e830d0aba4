"""`admin frontends`: the frontends of the database."""

from typing import TYPE_CHECKING

import typer

from drink_frontend.admin.command import moment, run, table
from drink_frontend.domain.entities import LinkOwnership
from drink_frontend.domain.frontends import FrontendInstance

if TYPE_CHECKING:
    from drink_frontend.storage.transaction import Transaction


def frontends(context: typer.Context) -> None:
    """Show the frontends that serve on this database, and the machines linked to each."""

    def look(tx: "Transaction") -> tuple[list[FrontendInstance], list[LinkOwnership]]:
        return list(tx.frontends.list()), list(tx.machines.ownerships())

    known, claims = run(context, lambda drink: drink.storage.read(look))
    table(
        ("frontend", "version", "since", "machines"),
        [
            (
                peer.name,
                peer.version,
                moment(peer.started_ms),
                " ".join(claim.machine for claim in claims if claim.frontend == peer.id) or "-",
            )
            for peer in known
        ],
    )
