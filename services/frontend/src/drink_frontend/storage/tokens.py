"""Bearer tokens of accounts: with all rights, with some only, and of logins at kiosks.

Each of these is in a table of its own.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, bindparam, cast, delete, func, null, select, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import AccessToken, Bearer, KioskLogin, Scope, day_of
from drink_frontend.storage.accounts import ACCOUNT
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.columns import TEXT, WHOLE
from drink_frontend.storage.kiosk_tables import kiosk_tokens, kiosks
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement, constant
from drink_frontend.storage.tables import accounts, scoped_tokens, tokens

_TABLES: tuple[Table, ...] = (tokens, scoped_tokens, kiosk_tokens)
_SCOPE_OF = {
    tokens: constant(Scope.ALL),
    scoped_tokens: scoped_tokens.c.scope,
    kiosk_tokens: constant(Scope.DROP),
}
_NO_NUMBER: ColumnElement[Any] = cast(null(), WHOLE)
_NO_TEXT: ColumnElement[Any] = cast(null(), TEXT)
_ELSEWHERE = {"scope": _NO_TEXT, "kiosk": _NO_NUMBER, "buys_until_ms": _NO_NUMBER}
_MAPPINGS = {
    table: RowMapping(
        AccessToken,
        table,
        **{
            name: _SCOPE_OF[table] if name == "scope" else nothing
            for name, nothing in _ELSEWHERE.items()
            if name not in table.c
        },
    )
    for table in _TABLES
}
_READ = _MAPPINGS[scoped_tokens].read

_HOLDER = Statement(
    union_all(
        *(
            select(*ACCOUNT.columns, _SCOPE_OF[table], table.c.used_ms, *limits)
            .select_from(source)
            .where(table.c.digest == bindparam("digest"), table.c.expires_ms > bindparam("now_ms"))
            for table, source, limits in (
                *(
                    (
                        table,
                        accounts.join(table, table.c.account == accounts.c.id),
                        (_NO_NUMBER, _NO_TEXT, _NO_NUMBER),
                    )
                    for table in (tokens, scoped_tokens)
                ),
                (
                    kiosk_tokens,
                    accounts.join(kiosk_tokens, kiosk_tokens.c.account == accounts.c.id).join(
                        kiosks, kiosks.c.sequence == kiosk_tokens.c.kiosk
                    ),
                    (kiosks.c.sequence, kiosks.c.machine, kiosk_tokens.c.buys_until_ms),
                ),
            )
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
    for table in (tokens, scoped_tokens)
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
_REMOVE_MADE_AT = Statement(
    delete(kiosk_tokens)
    .where(kiosk_tokens.c.kiosk == bindparam("kiosk"))
    .returning(kiosk_tokens.c.account)
)


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
        *account, scope, used_ms, kiosk, machine, buys_until_ms = row
        login = None if kiosk is None else KioskLogin(kiosk, machine, buys_until_ms)
        return Bearer(ACCOUNT.read(tuple(account)), Scope(scope), used_ms, login)

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
        table = _table_of(token)
        self._executor.run(_ADD[table], made_by=made_by.value, **_MAPPINGS[table].parameters(token))
        for old in self.list(token.account, 0)[self._tokens_max :]:
            self.remove(old)

    def mark_used(self, digest: str, scope: Scope, now_ms: int) -> None:
        """Stores the day on which a token was used that is no kiosk's."""
        table = tokens if scope is Scope.ALL else scoped_tokens
        self._executor.run(_MARK_USED[table], digest=digest, used_ms=day_of(now_ms))

    def remove(self, token: AccessToken) -> None:
        """Removes one token, if it is still there."""
        if self._executor.run(_REMOVE[_table_of(token)], digest=token.digest):
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

    def remove_made_at(self, kiosk: int) -> None:
        """Removes the tokens of logins that were made at that kiosk."""
        for (account,) in self._executor.all(_REMOVE_MADE_AT, kiosk=kiosk):
            self._touched.revoked.add(account)


def _table_of(token: AccessToken) -> Table:
    if token.kiosk is not None:
        return kiosk_tokens
    return tokens if token.scope is Scope.ALL else scoped_tokens
