"""One unit of work's view of the database."""

from drink_frontend.storage.accounts import AccountTable
from drink_frontend.storage.alarms import AlarmTable
from drink_frontend.storage.audit import AuditTable
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.drops import DropTable
from drink_frontend.storage.frontends import FrontendTable
from drink_frontend.storage.ledger import LedgerTable
from drink_frontend.storage.machines import MachineTable
from drink_frontend.storage.rights import exercise
from drink_frontend.storage.statements import Executor


class Transaction:
    """One unit of work's view of the database.

    A unit of work is a plain function over a Transaction. It runs whole or not at all, alone, on a
    thread of the storage, and may run more than once before it is committed; so it computes, reads
    and writes through the Transaction and touches nothing else.

    Args:
        executor: Runs its statements.
        tokens_max: Bearer tokens that one account may have.

    Attributes:
        accounts: Accounts, credentials, tokens.
        ledger: Transfers.
        machines: Machines and slots.
        drops: Drops.
        frontends: The frontends that serve.
        audit: The audit log.
        alarms: Counted alarms.
        touched: What has been changed through it.
    """

    __slots__ = (
        "_executor",
        "accounts",
        "alarms",
        "audit",
        "drops",
        "frontends",
        "ledger",
        "machines",
        "touched",
    )

    def __init__(self, executor: Executor, tokens_max: int) -> None:
        self._executor = executor
        self.touched = ChangeSet()
        self.accounts = AccountTable(executor, self.touched, tokens_max)
        self.ledger = LedgerTable(executor, self.touched)
        self.machines = MachineTable(executor, self.touched)
        self.drops = DropTable(executor, self.touched)
        self.frontends = FrontendTable(executor)
        self.audit = AuditTable(executor)
        self.alarms = AlarmTable(executor)

    def exercise(self) -> None:
        """Asks for everything that the service does with what is kept, without doing any of it."""
        exercise(self._executor)
