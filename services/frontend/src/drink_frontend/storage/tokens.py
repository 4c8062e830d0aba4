"""Bearer tokens of accounts: with all rights, with some only, and of logins at kiosks.

Each of these is in a table of its own.
"""

from collections.abc import Sequence

from sqlalchemy import Table, bindparam, delete, func, union_all

from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import AccessToken, Bearer, Scope, day_of
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.columns import NO_NUMBER, NO_TEXT
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.kiosk_tables import kiosk_tokens
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Statement, constant
from drink_frontend.storage.tables import scoped_tokens, tokens

_TABLES: tuple[Table, ...] = (tokens, scoped_tokens, kiosk_tokens)
_SCOPE_OF = {
    tokens: constant(Scope.ALL),
    scoped_tokens: scoped_tokens.c.scope,
    kiosk_tokens: constant(Scope.DROP),
}
_ELSEWHERE = {"scope": NO_TEXT, "kiosk": NO_NUMBER, "buys_until_ms": NO_NUMBER}
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
        rows: The rows of the transaction.
        touched: Collects the accounts of removed tokens.
        tokens_max: Most bearer tokens of one account.
    """

    __slots__ = ("_executor", "_rows", "_tokens_max", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet, tokens_max: int) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched
        self._tokens_max = tokens_max

    def holder(self, digest: str, now_ms: int) -> Bearer | None:
        """Whom the token with that digest stands for, if it has not expired."""
        token = self._rows.token(digest)
        if token is None or token.expires_ms <= now_ms:
            return None
        account = self._rows.account(token.account)
        assert account is not None, "a token has an account"
        return Bearer(account, token.scope, token.used_ms, token.kiosk)

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

    def mark_used(self, digest: str, now_ms: int) -> None:
        """Stores the day on which a token was used that is no kiosk's."""
        self._rows.mark_used(digest, day_of(now_ms))

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
