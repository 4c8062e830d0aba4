"""Identities of accounts."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, null, update

from drink_frontend.domain.identities import Identity
from drink_frontend.storage.identity_tables import identities
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement, constant

_IDENTITY = RowMapping(Identity, identities)
_ONE = (
    identities.c.source == bindparam("source"),
    identities.c.subject == bindparam("subject"),
)
_OF_ACCOUNT = identities.c.account == bindparam("account")
_CHANGING = ("name", "login_ms", "admin", "left_ms", "cards")

_GET = Statement(_IDENTITY.select().where(*_ONE))
_LIST = Statement(
    _IDENTITY.select().where(_OF_ACCOUNT).order_by(identities.c.source, identities.c.subject)
)
_OF_SOURCE = Statement(
    _IDENTITY.select()
    .where(identities.c.source == bindparam("source"))
    .order_by(identities.c.subject)
)
# lower() in the column's collation changes only the letters A to Z.
_NAMED = Statement(
    _IDENTITY.select().where(
        identities.c.source == bindparam("source"),
        func.lower(identities.c.name) == bindparam("folded"),
    )
)
_ADD = Statement(_IDENTITY.insert())
_CHANGE = Statement(
    update(identities).where(*_ONE).values({name: bindparam(name) for name in _CHANGING})
)
_REMOVE = Statement(delete(identities).where(*_ONE))
_REMOVE_ALL = Statement(delete(identities).where(_OF_ACCOUNT))
_KEEP_RIGHTS = Statement(update(identities).where(_OF_ACCOUNT).values(admin=constant(0)))
_KEEP_CLOSED = Statement(update(identities).where(_OF_ACCOUNT).values(left_ms=null()))


class IdentityTable:
    """Identities of accounts, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def get(self, source: str, subject: str) -> Identity | None:
        """The identity of a person at a source."""
        return _IDENTITY.read_one(self._executor.one(_GET, source=source, subject=subject))

    def list(self, account: str) -> Sequence[Identity]:
        """The account's identities, by source and subject."""
        return [_IDENTITY.read(row) for row in self._executor.all(_LIST, account=account)]

    def of_source(self, source: str) -> Sequence[Identity]:
        """All identities of a source."""
        return [_IDENTITY.read(row) for row in self._executor.all(_OF_SOURCE, source=source)]

    def named(self, source: str, name: str) -> Sequence[Identity]:
        """The identities that have last logged in with a name, in any case of its ASCII letters."""
        rows = self._executor.all(_NAMED, source=source, folded=name.lower())
        return [_IDENTITY.read(row) for row in rows]

    def add(self, identity: Identity) -> None:
        """Stores a new identity; there is none of its source and subject."""
        self._executor.run(_ADD, **_IDENTITY.parameters(identity))

    def change(self, identity: Identity) -> None:
        """Stores what can change of an identity: all but its source, subject and account."""
        parameters = _IDENTITY.parameters(identity)
        del parameters["account"], parameters["created_ms"]
        self._executor.run(_CHANGE, **parameters)

    def remove(self, identity: Identity) -> None:
        """Removes one identity, if it is still there."""
        self._executor.run(_REMOVE, source=identity.source, subject=identity.subject)

    def remove_all(self, account: str) -> None:
        """Removes all identities of the account."""
        self._executor.run(_REMOVE_ALL, account=account)

    def keep_rights(self, account: str) -> None:
        """Makes the account's right to administer, or its lack, its own and of no source."""
        self._executor.run(_KEEP_RIGHTS, account=account)

    def keep_closed(self, account: str) -> None:
        """Forgets that the account was closed because a source no longer knew its owner."""
        self._executor.run(_KEEP_CLOSED, account=account)
