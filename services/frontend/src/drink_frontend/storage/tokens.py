"""Bearer tokens of accounts: those with all rights, and those with some only, each in its table."""

from collections.abc import Sequence

from sqlalchemy import Table, bindparam, delete, func, select, union_all, update

from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import AccessToken, Bearer, Scope, day_of
from drink_frontend.storage.accounts import ACCOUNT
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement, constant
from drink_frontend.storage.tables import accounts, scoped_tokens, tokens

_TABLES: tuple[Table, ...] = (tokens, scoped_tokens)
_SCOPE_OF = {tokens: constant(Scope.ALL), scoped_tokens: scoped_tokens.c.scope}
_MAPPINGS = {
    table: RowMapping(
        AccessToken, table, **({} if "scope" in table.c else {"scope": _SCOPE_OF[table]})
    )
    for table in _TABLES
}
_READ = _MAPPINGS[scoped_tokens].read

_HOLDER = Statement(
    union_all(
        *(
            select(*ACCOUNT.columns, _SCOPE_OF[table], table.c.used_ms)
            .join(table, table.c.account == accounts.c.id)
            .where(table.c.digest == bindparam("digest"), table.c.expires_ms > bindparam("now_ms"))
            for table in _TABLES
        )
    )
)
_LIST = Statement(
    union_all(
        *(
            _MAPPINGS[table]
            .select()
            .where(
                table.c.account == bindparam("account"), table.c.expires_ms > bindparam("now_ms")
            )
            for table in _TABLES
        )
    )
)
_ADD = {
    table: Statement(_MAPPINGS[table].insert(made_by=bindparam("made_by"))) for table in _TABLES
}
_MARK_USED = {
    table: Statement(
        update(table)
        .where(table.c.digest == bindparam("digest"))
        .values(used_ms=bindparam("used_ms"))
    )
    for table in _TABLES
}
_REMOVE = {
    table: Statement(delete(table).where(table.c.digest == bindparam("digest")))
    for table in _TABLES
}
_REMOVE_ALL = {
    table: Statement(delete(table).where(table.c.account == bindparam("account")))
    for table in _TABLES
}
_REMOVE_MADE_BY = {
    table: Statement(
        delete(table).where(
            table.c.account == bindparam("account"),
            func.coalesce(table.c.made_by, bindparam("made_by")) == bindparam("made_by"),
        )
    )
    for table in _TABLES
}


class TokenTable:
    """Bearer tokens, in one unit of work.

    Args:
        executor: Runs its statements.
        touched: Collects the accounts of removed tokens.
        tokens_max: Most bearer tokens of one account.
    """

    __slots__ = ("_executor", "_tokens_max", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet, tokens_max: int) -> None:
        self._executor = executor
        self._touched = touched
        self._tokens_max = tokens_max

    def holder(self, digest: str, now_ms: int) -> Bearer | None:
        """Whom the token with that digest stands for, if it has not expired."""
        row = self._executor.one(_HOLDER, digest=digest, now_ms=now_ms)
        if row is None:
            return None
        *account, scope, used_ms = row
        return Bearer(ACCOUNT.read(tuple(account)), Scope(scope), used_ms)

    def list(self, account: str, now_ms: int) -> Sequence[AccessToken]:
        """The account's tokens that have not expired; the one that expires last comes first."""
        rows = self._executor.all(_LIST, account=account, now_ms=now_ms)
        return sorted(
            map(_READ, rows), key=lambda each: (each.expires_ms, each.digest), reverse=True
        )

    def add(self, token: AccessToken, made_by: Proof = Proof.PASSWORD) -> None:
        """Stores a new token, and removes those that expire first if the account has too many.

        Args:
            token: The token.
            made_by: The login method that it was obtained with.
        """
        table = _table_of(token.scope)
        self._executor.run(_ADD[table], made_by=made_by.value, **_MAPPINGS[table].parameters(token))
        for old in self.list(token.account, 0)[self._tokens_max :]:
            self.remove(old)

    def mark_used(self, digest: str, scope: Scope, now_ms: int) -> None:
        """Stores the day on which the token was used."""
        self._executor.run(_MARK_USED[_table_of(scope)], digest=digest, used_ms=day_of(now_ms))

    def remove(self, token: AccessToken) -> None:
        """Removes one token, if it is still there."""
        if self._executor.run(_REMOVE[_table_of(token.scope)], digest=token.digest):
            self._touched.revoked.add(token.account)

    def remove_all(self, account: str, made_by: Proof | None = None) -> None:
        """Removes all tokens of the account, or those obtained with one login method.

        Tokens of release 0.1.0, whose login method is unknown, are removed in either case.
        """
        for table in _TABLES:
            if made_by is None:
                removed = self._executor.run(_REMOVE_ALL[table], account=account)
            else:
                removed = self._executor.run(
                    _REMOVE_MADE_BY[table], account=account, made_by=made_by.value
                )
            if removed:
                self._touched.revoked.add(account)


def _table_of(scope: Scope) -> Table:
    return tokens if scope is Scope.ALL else scoped_tokens
