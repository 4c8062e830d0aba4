"""One unit of work's view of the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Table, delete, false, insert, select, update
from sqlalchemy.sql import ClauseElement

from drink_frontend.storage.accounts import AccountTable
from drink_frontend.storage.alarms import AlarmTable
from drink_frontend.storage.audit import AuditTable
from drink_frontend.storage.card_reads import CardReadTable
from drink_frontend.storage.cards import CardTable
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.columns import rights_on
from drink_frontend.storage.drops import DropTable
from drink_frontend.storage.events import EventTable
from drink_frontend.storage.frontends import FrontendTable
from drink_frontend.storage.house import HouseTable
from drink_frontend.storage.identities import IdentityTable
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.items import ItemTable
from drink_frontend.storage.kiosks import KioskTable
from drink_frontend.storage.ledger import LedgerTable
from drink_frontend.storage.machines import MachineTable
from drink_frontend.storage.notifications import NotificationTable
from drink_frontend.storage.preferences import PreferenceTable
from drink_frontend.storage.provider_logins import ProviderLoginTable
from drink_frontend.storage.refunds import RefundTable
from drink_frontend.storage.statements import Call, Row, Statement
from drink_frontend.storage.statistics import StatisticsTable
from drink_frontend.storage.stock import StockTable
from drink_frontend.storage.tables import metadata
from drink_frontend.storage.temperatures import TemperatureTable
from drink_frontend.storage.tokens import TokenTable
from drink_frontend.storage.upkeep import UpkeepTable


class Transaction:
    """Everything that is stored, for one unit of work; a batch gives it to one after the other.

    A unit of work is a plain function of a Transaction. It runs whole or not at all, isolated from
    others, on a thread of the storage, and may run more than once before it is committed. So it
    computes, reads and writes through the Transaction and has no other effect.

    Args:
        rows: The rows of the database's transaction.
        tokens_max: Most bearer tokens of one account.

    Attributes:
        accounts: Accounts and credentials.
        cards: Cards with which people log in.
        card_reads: Cards that were read for kiosks.
        tokens: Bearer tokens.
        identities: Identities of accounts at sources of logins.
        provider_logins: Logins with OpenID providers.
        preferences: Preferences of accounts.
        ledger: Transfers.
        machines: Machines and slots.
        items: Items that slots sell.
        kiosks: Kiosks, and their credentials.
        drops: Drops.
        refunds: Refunds of paid drops.
        stock: Movements of stock.
        statistics: Sums of drops and credits.
        temperatures: Temperatures of machines through time.
        frontends: The frontends that serve on the database.
        house: The numbers of the house, for metrics.
        audit: The audit log.
        alarms: Alarms.
        notifications: What there is to tell of alarms, and who has leased it.
        upkeep: What is done to the database at times.
        events: The log of events, which the writer adds to.
        touched: What the unit of work has changed.
    """

    __slots__ = (
        "_executor",
        "accounts",
        "alarms",
        "audit",
        "card_reads",
        "cards",
        "drops",
        "events",
        "frontends",
        "house",
        "identities",
        "items",
        "kiosks",
        "ledger",
        "machines",
        "notifications",
        "preferences",
        "provider_logins",
        "refunds",
        "statistics",
        "stock",
        "temperatures",
        "tokens",
        "touched",
        "upkeep",
    )

    def __init__(self, rows: IdentityMap, tokens_max: int) -> None:
        executor = self._executor = rows.direct
        self.touched = ChangeSet()
        self.accounts = AccountTable(rows, self.touched)
        self.cards = CardTable(executor, self.touched)
        self.card_reads = CardReadTable(executor, self.touched)
        self.tokens = TokenTable(rows, self.touched, tokens_max)
        self.identities = IdentityTable(executor)
        self.provider_logins = ProviderLoginTable(executor)
        self.preferences = PreferenceTable(executor)
        self.ledger = LedgerTable(rows, self.touched)
        self.machines = MachineTable(rows, self.touched)
        self.items = ItemTable(executor, self.touched)
        self.kiosks = KioskTable(executor, self.touched.notes)
        self.drops = DropTable(rows, self.touched)
        self.refunds = RefundTable(executor, self.touched)
        self.stock = StockTable(rows, self.touched)
        self.statistics = StatisticsTable(executor)
        self.temperatures = TemperatureTable(executor)
        self.frontends = FrontendTable(executor)
        self.alarms = AlarmTable(executor, self.touched.notes)
        self.audit = AuditTable(rows, self.alarms, self.touched.notes)
        self.notifications = NotificationTable(executor)
        self.upkeep = UpkeepTable(executor)
        self.events = EventTable(rows)
        self.house = HouseTable(executor)

    def exercise(self) -> None:
        """Runs one statement of each kind that the service runs on each table, on no rows.

        All of them take one round trip: buyers wait for the turn meanwhile.

        The database refuses these for the same reasons as the service's own: a right, a table or a
        column is missing, or it accepts no changes.
        """
        self._executor.exchange(_calls_on_no_row())


@dataclass(frozen=True, slots=True)
class _OnNoRow:
    """A statement on no rows, as one that is given a row without columns."""

    statement: Statement

    @property
    def changes(self) -> bool:
        """See `ManyRows`."""
        return self.statement.changes

    def parts(self, dialect: Dialect, _: Sequence[Row]) -> Sequence[tuple[str, Any]]:
        """See `ManyRows`."""
        return ((self.statement.text(dialect), {}),)


@cache
def _calls_on_no_row() -> Sequence[Call]:
    return [
        (_OnNoRow(Statement(_on_no_row(table, right))), [()])
        for table in metadata.tables.values()
        for right in rights_on(table)
    ]


def _on_no_row(table: Table, right: str) -> ClauseElement:
    nothing = select(*table.columns).where(false())
    match right:
        case "SELECT":
            return nothing
        case "INSERT":
            return insert(table).from_select(list(table.columns), nothing)
        case "UPDATE":
            return update(table).where(false()).values({column: column for column in table.columns})
        case _:
            return delete(table).where(false())
