"""Double-entry bookkeeping: every transfer debits one account and credits another equally.

A user's account is credit-normal: its posted balance is what was credited less what was debited,
and its pending debits are held. Credits are created only by a debit of the funding account, and
spent by a credit of a machine's sales account.
"""

from dataclasses import dataclass
from enum import StrEnum

FUNDING_ACCOUNT = "funding"
"""The account from which administrators grant credits; only its balance may be negative."""

CREDITS_MAX = 1_000_000
"""Most credits of one transfer, and the highest price. Keeps every sum far below 2**63."""


_SALES = "sales/"
"""What the ids of sales accounts begin with, and no user's."""


class AccountKind(StrEnum):
    """Whose account it is: a user's, the funding account, or a machine's sales account."""

    USER = "USER"
    FUNDING = "FUNDING"
    SALES = "SALES"


class TransferKind(StrEnum):
    """What a transfer does. Transfers are never changed: a correction is a new transfer."""

    MOVE = "MOVE"
    """Moves credits at once."""
    HOLD = "HOLD"
    """Reserves credits: they are pending on both accounts."""
    POST = "POST"
    """Resolves a hold: the pending credits are moved."""
    VOID = "VOID"
    """Resolves a hold: the pending credits are released."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of credits.

    Attributes:
        id: Unique id.
        kind: What it does.
        debit_account: The account that pays.
        credit_account: The account that receives.
        amount: Credits, 0 to CREDITS_MAX.
        created_ms: Milliseconds since the epoch, UTC.
        drop_id: The drop that it belongs to; None for a MOVE.
        resolves: Id of the HOLD that a POST or VOID resolves; None for other kinds.
        actor: The account that requested a MOVE; None for other kinds.
        request_id: The request of a MOVE, unique per actor; None for other kinds.
        reason: Why, in the actor's words; None for none.
    """

    id: str
    kind: TransferKind
    debit_account: str
    credit_account: str
    amount: int
    created_ms: int
    drop_id: str | None = None
    resolves: str | None = None
    actor: str | None = None
    request_id: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        assert 0 <= self.amount <= CREDITS_MAX
        assert self.debit_account != self.credit_account
        assert (self.kind in {TransferKind.POST, TransferKind.VOID}) == (self.resolves is not None)
        assert (self.kind is TransferKind.MOVE) == (self.request_id is not None)

    @property
    def pending_change(self) -> int:
        """Credits that it adds to the pending amounts of both accounts."""
        match self.kind:
            case TransferKind.HOLD:
                return self.amount
            case TransferKind.POST | TransferKind.VOID:
                return -self.amount
            case TransferKind.MOVE:
                return 0

    @property
    def posted_change(self) -> int:
        """Credits that it adds to the posted amounts of both accounts."""
        return self.amount if self.kind in {TransferKind.MOVE, TransferKind.POST} else 0


def sales_account(machine: str) -> str:
    """Name of the account to which a machine's sales are credited."""
    return f"{_SALES}{machine}"


def is_of_house(account: str) -> bool:
    """Whether an account is the funding account or a machine's sales account, by its id."""
    return account == FUNDING_ACCOUNT or account.startswith(_SALES)
