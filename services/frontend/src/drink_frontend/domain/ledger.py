"""Double entry: every movement of credits has a debit side and a credit side of equal amount.

A user's account is credit-normal: its posted balance is what was credited less what was debited,
and what is pending against it is held. Credits come into being only as a debit of the funding
account, and end as a credit of a machine's sales account.
"""

from dataclasses import dataclass
from enum import StrEnum

FUNDING_ACCOUNT = "funding"
"""Where administrators' credits come from; the only account that creates credits."""

CREDITS_MAX = 1_000_000
"""Most credits one transfer may move, and the highest price. Keeps every sum far below 2**63."""


class AccountKind(StrEnum):
    """What an account stands for."""

    USER = "USER"
    FUNDING = "FUNDING"
    SALES = "SALES"


class TransferKind(StrEnum):
    """What a transfer does. Transfers are never changed: corrections are new ones."""

    MOVE = "MOVE"
    """Posts at once."""
    HOLD = "HOLD"
    """Reserves: pending on both sides."""
    POST = "POST"
    """Resolves a hold: pending becomes posted."""
    VOID = "VOID"
    """Resolves a hold: pending is gone."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of credits.

    Attributes:
        id: Unique for ever.
        kind: What it does.
        debit_account: Pays.
        credit_account: Receives.
        amount: Credits, 0 to CREDITS_MAX.
        created_ms: Milliseconds since the epoch, UTC.
        drop_id: The drop it belongs to; None for a MOVE.
        resolves: The HOLD that a POST or VOID resolves; None for the others.
        actor: Who asked for a MOVE; None for the others.
        request_id: The request of a MOVE, unique per actor; None for the others.
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

    def __post_init__(self) -> None:
        assert 0 <= self.amount <= CREDITS_MAX
        assert self.debit_account != self.credit_account
        assert (self.kind in {TransferKind.POST, TransferKind.VOID}) == (self.resolves is not None)
        assert (self.kind is TransferKind.MOVE) == (self.request_id is not None)

    @property
    def pending_change(self) -> int:
        """What it adds to the pending amount of both accounts, in credits."""
        match self.kind:
            case TransferKind.HOLD:
                return self.amount
            case TransferKind.POST | TransferKind.VOID:
                return -self.amount
            case TransferKind.MOVE:
                return 0

    @property
    def posted_change(self) -> int:
        """What it adds to the posted amount of both accounts, in credits."""
        return self.amount if self.kind in {TransferKind.MOVE, TransferKind.POST} else 0


def sales_account(machine: str) -> str:
    """The account that a machine's sales are credited to."""
    return f"sales/{machine}"
