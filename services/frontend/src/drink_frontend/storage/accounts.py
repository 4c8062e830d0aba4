"""Accounts and their credentials."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, null, select, update

from drink_frontend.domain.entities import ID_BEGINS, Account
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.events import EventKind
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import ACCOUNT
from drink_frontend.storage.rows import if_given, plain
from drink_frontend.storage.statements import (
    NOTHING,
    SEQUENCE_MAX,
    Row,
    Statement,
    constant,
)
from drink_frontend.storage.tables import accounts

_ACCOUNT = ACCOUNT.select()

# lower() in the column's collation changes only the letters A to Z.
_ALIKE = Statement(_ACCOUNT.where(func.lower(accounts.c.name) == bindparam("folded")))
_ADMINISTRATORS = Statement(
    select(
        accounts.c.id,
        accounts.c.password_hash.is_not(None) | accounts.c.ibutton_digest.is_not(None),
    )
    .where(accounts.c.admin == constant(1), accounts.c.closed == constant(0))
    .order_by(accounts.c.id)
)
_BY_IBUTTON = Statement(_ACCOUNT.where(accounts.c.ibutton_digest == bindparam("digest")))
_USERS = Statement(
    _ACCOUNT.where(
        accounts.c.kind == constant(AccountKind.USER),
        accounts.c.name > bindparam("after"),
        accounts.c.closed <= bindparam("closed_max"),
        func.substr(func.lower(accounts.c.name), constant(1), func.length(bindparam("prefix")))
        == bindparam("prefix"),
    )
    .order_by(accounts.c.name)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_ADD = Statement(
    ACCOUNT.insert(
        name=bindparam("name"),
        created_ms=bindparam("created_ms"),
        debits_pending=constant(0),
        debits_posted=constant(0),
        credits_pending=constant(0),
        credits_posted=constant(0),
    )
)
_UPDATE = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("id"))
    .values(
        if_given(
            accounts.c.admin,
            accounts.c.closed,
            accounts.c.password_hash,
            accounts.c.ibutton_digest,
            accounts.c.credit_limit,
        )
        | {
            accounts.c.display_name: func.nullif(
                func.coalesce(bindparam("display_name"), accounts.c.display_name), constant("")
            )
        }
    )
    .returning(*ACCOUNT.columns)
)
_READMIT = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("id"))
    .values(
        closed=constant(0),
        admin=bindparam("admin"),
        password_hash=bindparam("password_hash"),
        ibutton_digest=bindparam("ibutton_digest"),
        created_ms=bindparam("now_ms"),
        credit_limit=constant(0),
        display_name=bindparam("display_name"),
    )
    .returning(*ACCOUNT.columns)
)
_REMOVE_IBUTTON = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("id"), accounts.c.ibutton_digest.is_not(None))
    .values(ibutton_digest=null())
)
_RENAME = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("id"))
    .values(name=bindparam("new_name"))
    .returning(*ACCOUNT.columns)
)
_ERASE = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("id"))
    .values(
        name=null(),
        display_name=null(),
        admin=constant(0),
        password_hash=null(),
        ibutton_digest=null(),
        credit_limit=constant(0),
    )
    .returning(*ACCOUNT.columns)
)


class AccountTable:
    """Accounts and their credentials, in one unit of work.

    Args:
        rows: The rows of the transaction.
        touched: Collects the changed accounts.
    """

    __slots__ = ("_executor", "_rows", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched

    def get(self, account_id: str) -> Account | None:
        """The account with that id, of any kind."""
        return self._rows.account(account_id)

    def find(self, name: str) -> Account | None:
        """The account of a name or id; see `LoadedRows.keep_names`."""
        return self._rows.account_named(name)

    def _alike(self, name: str) -> Sequence[Account]:
        # Some letters outside of ASCII have an ASCII letter as their lower case.
        if not name.isascii():
            return []
        return [ACCOUNT.read(row) for row in self._executor.all(_ALIKE, folded=name.lower())]

    def by_ibutton(self, digest: str) -> Account | None:
        """The account of the iButton with that digest."""
        return ACCOUNT.read_one(self._executor.one(_BY_IBUTTON, digest=digest))

    def list_users(
        self,
        after: str = "",
        limit: int = SEQUENCE_MAX,
        *,
        prefix: str = "",
        open_only: bool = False,
    ) -> Sequence[Account]:
        """Up to `limit` users' accounts, by name.

        Args:
            after: Only accounts whose name comes after this one; empty for the first page.
            limit: Most rows.
            prefix: Only names that begin with this, in any case of its ASCII letters.
            open_only: Whether closed accounts are left out.
        """
        rows = self._executor.all(
            _USERS,
            after=after,
            limit=limit,
            prefix=prefix.lower(),
            closed_max=0 if open_only else 1,
        )
        return [ACCOUNT.read(row) for row in rows]

    def add(
        self,
        account_id: str,
        kind: AccountKind,
        now_ms: int,
        *,
        name: str | None = None,
        admin: bool = False,
        password_hash: str | None = None,
        display_name: str | None = None,
    ) -> None:
        """Creates an account without credits.

        Args:
            account_id: Its id; no other account has it. A user's begins with ID_BEGINS, and no
                other kind's.
            kind: Whose account it is.
            now_ms: Now, for people.
            name: With which it logs in, and only a user's; None for the id.
            admin: Whether its owner is an administrator.
            password_hash: Argon2 hash; None if no password can log in.
            display_name: What to call its owner; None for none.

        Raises:
            AlreadyExistsError: there is an account of that name, or of one that differs only in
                case.
        """
        is_user = kind is AccountKind.USER
        assert account_id.startswith(ID_BEGINS) == is_user == (name is not None), "no id of a user"
        name = account_id if name is None else name
        self._check_free(name)
        account = Account(
            account_id,
            name,
            kind,
            admin,
            False,
            password_hash,
            0,
            0,
            now_ms,
            display_name=display_name,
        )
        self._executor.run(_ADD, name=name, created_ms=now_ms, **ACCOUNT.parameters(account))
        self._touched.accounts[account_id] = None
        self._note(account)

    def _check_free(self, name: str, but_for: str | None = None) -> None:
        """Raises AlreadyExistsError if an account, but for one of that id, has such a name."""
        taken = next((each for each in self._alike(name) if each.id != but_for), None)
        if taken is not None:
            raise AlreadyExistsError(f"the account {taken.name} exists")

    def rename(self, account_id: str, name: str) -> None:
        """Gives an account another name. Its logins and tokens stay valid.

        Raises:
            AlreadyExistsError: another account has that name, or one that differs only in case.
        """
        self._check_free(name, account_id)
        self._changed(self._executor.one(_RENAME, id=account_id, new_name=name))

    def erase(self, account_id: str) -> None:
        """Removes the names, the credentials and the rights of an account."""
        self._changed(self._executor.one(_ERASE, id=account_id))
        self._touched.revoked.add(account_id)

    def update(
        self,
        account_id: str,
        *,
        admin: bool | None = None,
        closed: bool | None = None,
        password_hash: str | None = None,
        ibutton_digest: str | None = None,
        credit_limit: int | None = None,
        display_name: str | None = None,
    ) -> None:
        """Changes what is not None; an empty `display_name` removes it.

        Raises:
            AlreadyExistsError: the iButton belongs to another account.
        """
        self._check_ibutton(account_id, ibutton_digest)
        row = self._executor.one(
            _UPDATE,
            id=account_id,
            admin=plain(admin),
            closed=plain(closed),
            password_hash=password_hash,
            ibutton_digest=ibutton_digest,
            credit_limit=credit_limit,
            display_name=display_name,
        )
        assert row is not None, "no such account"
        self._touched.accounts[account_id] = None
        if (admin, closed, credit_limit, display_name) != (None, None, None, None):
            self._note(ACCOUNT.read(row))
        if closed or password_hash is not None or ibutton_digest is not None:
            self._touched.revoked.add(account_id)

    def _check_ibutton(self, account_id: str, ibutton_digest: str | None) -> None:
        owner = None if ibutton_digest is None else self.by_ibutton(ibutton_digest)
        if owner is not None and owner.id != account_id:
            raise AlreadyExistsError("the iButton belongs to another account")

    def readmit(
        self,
        account_id: str,
        now_ms: int,
        *,
        admin: bool,
        password_hash: str | None,
        ibutton_digest: str | None,
        display_name: str | None = None,
    ) -> None:
        """Opens a closed account again, with these values only and no credit limit.

        Raises:
            AlreadyExistsError: the iButton belongs to another account.
        """
        self._check_ibutton(account_id, ibutton_digest)
        row = self._executor.one(
            _READMIT,
            id=account_id,
            now_ms=now_ms,
            admin=int(admin),
            password_hash=password_hash,
            ibutton_digest=ibutton_digest,
            display_name=display_name,
        )
        self._touched.revoked.add(account_id)
        self._changed(row)

    def administrators(self) -> Mapping[str, bool]:
        """Ids of open administrators' accounts; True for those with a password or an iButton."""
        return {each: bool(logs_in) for each, logs_in in self._executor.all(_ADMINISTRATORS)}

    def remove_ibutton(self, account_id: str) -> None:
        """Removes the account's iButton, if it has one."""
        if self._executor.run(_REMOVE_IBUTTON, id=account_id):
            self._touched.accounts[account_id] = None
            self._touched.revoked.add(account_id)

    def _changed(self, row: Row | None) -> None:
        assert row is not None, "no such account"
        account = ACCOUNT.read(row)
        self._touched.accounts[account.id] = None
        self._note(account)

    def _note(self, account: Account) -> None:
        if account.kind is AccountKind.USER:
            self._touched.notes.note(EventKind.ACCOUNT, account)
