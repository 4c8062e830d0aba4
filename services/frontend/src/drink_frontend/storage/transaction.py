"""One unit of work's view of the database."""

from drink_frontend.storage.accounts import SqlAccounts
from drink_frontend.storage.alarms import SqlAlarms
from drink_frontend.storage.audit import SqlAudit
from drink_frontend.storage.changes import Touched
from drink_frontend.storage.drops import SqlDrops
from drink_frontend.storage.frontends import SqlFrontends
from drink_frontend.storage.ledger import SqlLedger
from drink_frontend.storage.machines import SqlMachines
from drink_frontend.storage.rights import exercise
from drink_frontend.storage.statements import Executor


class SqlTransaction:
    """`Transaction` on one connection.

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
        self.touched = Touched()
        self.accounts = SqlAccounts(executor, self.touched, tokens_max)
        self.ledger = SqlLedger(executor, self.touched)
        self.machines = SqlMachines(executor, self.touched)
        self.drops = SqlDrops(executor, self.touched)
        self.frontends = SqlFrontends(executor)
        self.audit = SqlAudit(executor)
        self.alarms = SqlAlarms(executor)

    def exercise(self) -> None:
        """See `Transaction`."""
        exercise(self._executor)
