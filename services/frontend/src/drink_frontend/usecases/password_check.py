"""Whose a name and password are: an account's own, or a person's at the directory."""

from contextlib import suppress

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import PASSWORD_MAX, check_account
from drink_frontend.domain.ports import Directory, PasswordHasher
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.identities import Identities

Lane = tuple[str, str]


class PasswordCheck:
    """Compares names and passwords, here and at the directory.

    An account with a password of its own logs in with it, also while the directory is away. The
    directory is asked about every other name, and about that of such an account if it is linked to
    a person there, or if a linked person there has the name.

    Args:
        storage: The database.
        hasher: Password hashes.
        identities: Whose account a person of the directory has.
        directory: The directory; None if there is none.
    """

    def __init__(
        self,
        storage: Database,
        hasher: PasswordHasher,
        identities: Identities,
        directory: Directory | None,
    ) -> None:
        self._storage = storage
        self._hasher = hasher
        self._identities = identities
        self._directory = directory

    async def verify(self, name: str, password: str, lane: Lane) -> Account | None:
        """The account that a name and password belong to; None if they are wrong.

        Takes as long for an account that does not exist as for a wrong password, wherever that is
        looked for.

        Args:
            name: The account, or a person's name at the directory.
            password: The password.
            lane: Group of this call: waiting groups are served in turn.

        Raises:
            RateLimitedError: too many wait already.
            DirectoryUnavailableError: the directory, which may know them, did not answer.
            NotMemberError: they are right at the directory, which does not let the person in here.
            IdentityNotLinkedError: they are right at the directory, and belong to no account.
            AccountClosedError: they are right at the directory, and the account is closed.
        """
        directory = self._directory
        account, is_asked = await self._storage.read(lambda tx: self._of_name(tx, name))
        if directory is None or not is_asked:
            return await self._verify_here(account, password, lane)
        if account is not None and account.password_hash is not None:
            here = await self._verify_here(account, password, lane)
            if here is not None:
                return here
        person = await directory.log_in(name, password[: PASSWORD_MAX + 1], lane)
        if person is None:
            return None
        return await self._identities.log_in(person, creates_accounts=directory.creates_accounts)

    async def verify_own(self, name: str, password: str, lane: Lane) -> Account | None:
        """The account of a name, if the password is its own; the directory is not asked."""
        account = await self._storage.read(lambda tx: tx.accounts.find(name))
        return await self._verify_here(account, password, lane)

    async def _verify_here(
        self, account: Account | None, password: str, lane: Lane
    ) -> Account | None:
        password_hash = account.password_hash if account else None
        fits = await self._hasher.verify(password_hash, password[: PASSWORD_MAX + 1], lane)
        return account if fits else None

    def _of_name(self, tx: Transaction, name: str) -> tuple[Account | None, bool]:
        """The account of a name, and whether the directory is asked about the name."""
        account = tx.accounts.find(name)
        if self._directory is None:
            return account, False
        with suppress(FieldInvalidError):
            # No other name becomes an account's, and each spelling of one would be a new key under
            # which guesses are counted.
            check_account(name)
            source = self._directory.source
            if account is None or account.password_hash is None:
                return account, True
            linked = tx.identities.list(account.id)
            is_known = any(each.source == source for each in linked)
            return account, is_known or bool(tx.identities.named(source, name))
        return account, False
