"""Cards of accounts. The iButton that an account may have beside them is in its own row."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, union_all

from drink_frontend.domain.cards import Card
from drink_frontend.domain.entities import Account
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.mappings import ACCOUNT
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Statement, constant
from drink_frontend.storage.tables import accounts, cards

_CARD = RowMapping(Card, cards)

_GET = Statement(_CARD.select().where(cards.c.digest == bindparam("digest")))
_HOLDER = Statement(
    union_all(
        select(*ACCOUNT.columns)
        .join(cards, cards.c.account == accounts.c.id)
        .where(cards.c.digest == bindparam("digest")),
        ACCOUNT.select().where(accounts.c.ibutton_digest == bindparam("digest")),
    )
)
_LIST = Statement(
    _CARD.select()
    .where(cards.c.account == bindparam("account"))
    .order_by(cards.c.created_ms, cards.c.digest)
)
_OTHER_KEY = Statement(
    select(cards.c.key_id)
    .where(cards.c.key_id != bindparam("key_id"))
    .limit(constant(1))
    .offset(NOTHING)
)
_ADD = Statement(_CARD.insert(key_id=bindparam("key_id")))
_REMOVE = Statement(delete(cards).where(cards.c.digest == bindparam("digest")))
_REMOVE_ALL = Statement(delete(cards).where(cards.c.account == bindparam("account")))


class CardTable:
    """Cards of accounts, in one unit of work.

    Args:
        executor: Runs its statements.
        touched: Collects the accounts of removed cards.
    """

    __slots__ = ("_executor", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet) -> None:
        self._executor = executor
        self._touched = touched

    def get(self, digest: str) -> Card | None:
        """The card whose number has that digest."""
        return _CARD.read_one(self._executor.one(_GET, digest=digest))

    def holder(self, digest: str) -> Account | None:
        """The account of the card, or of the iButton, whose number has that digest."""
        return ACCOUNT.read_one(self._executor.one(_HOLDER, digest=digest))

    def list(self, account: str) -> Sequence[Card]:
        """The account's cards, the oldest first."""
        return [_CARD.read(row) for row in self._executor.all(_LIST, account=account)]

    def has_other_key(self, key_id: str) -> bool:
        """Whether the number of any card was hashed under another key than that."""
        return self._executor.one(_OTHER_KEY, key_id=key_id) is not None

    def add(self, card: Card, key_id: str) -> None:
        """Stores a new card.

        Args:
            card: The card; no other one has its digest.
            key_id: Id of the key under which its number was hashed.
        """
        self._executor.run(_ADD, key_id=key_id, **_CARD.parameters(card))

    def remove(self, card: Card) -> None:
        """Removes one card, if it is still there."""
        if self._executor.run(_REMOVE, digest=card.digest):
            self._touched.revoked.add(card.account)

    def remove_all(self, account: str) -> None:
        """Removes all cards of the account."""
        if self._executor.run(_REMOVE_ALL, account=account):
            self._touched.revoked.add(account)
