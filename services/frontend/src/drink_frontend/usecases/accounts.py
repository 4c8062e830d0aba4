"""Accounts: login, and their administration."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from drink_frontend.domain.cards import CardKey, CardKind, is_kiosk_only
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import (
    Account,
    AuditKind,
    AuditRecord,
    Drop,
    DropSelection,
    Proof,
)
from drink_frontend.domain.errors import (
    AccountErasedError,
    AccountNotFoundError,
    AccountNotSettledError,
    AccountOpenError,
    AlreadyExistsError,
    FieldInvalidError,
    KioskRequiredError,
)
from drink_frontend.domain.ledger import CREDITS_MAX, AccountKind
from drink_frontend.domain.limits import (
    check_account,
    check_chip,
    check_display_name,
    check_ibutton,
    check_password,
    check_range,
)
from drink_frontend.domain.ports import Clock, Directory, PasswordHasher, Randomness
from drink_frontend.storage.database import Database
from drink_frontend.storage.statements import SEQUENCE_MAX
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.cards import CardLogin, Cards, chip_digests
from drink_frontend.usecases.identities import Identities, keep_decided
from drink_frontend.usecases.kiosks import Kiosks
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.password_check import PasswordCheck
from drink_frontend.usecases.preferences import AccountPreferences
from drink_frontend.usecases.settings import AccountSettings
from drink_frontend.usecases.tokens import Tokens, digest
from drink_frontend.usecases.users import check_administered, user, user_of, user_shown

OPEN_DROPS_MAX = 100
"""Drops without a final outcome that are named when an account is closed: more than one buyer can
have waiting, and a list that a person can read."""


class Accounts:
    """Use cases of accounts, for users, clients and administrators.

    Args:
        storage: The database.
        hasher: Password hashes.
        clock: Time.
        randomness: Ids and tokens.
        settings: Limits.
        card_key: The key for the numbers of cards; None if there is none.
        directory: A directory that knows passwords too; None if there is none.
        sleep: Waits for that many seconds of the clock.

    Attributes:
        cards: The use cases of cards.
        identities: The use cases of identities at sources of logins.
        kiosks: The use cases of kiosks.
        preferences: The use cases of preferences.
        tokens: The use cases of bearer tokens.
    """

    def __init__(
        self,
        storage: Database,
        hasher: PasswordHasher,
        clock: Clock,
        randomness: Randomness,
        settings: AccountSettings,
        *,
        card_key: CardKey | None = None,
        directory: Directory | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._storage = storage
        self._hasher = hasher
        self._clock = clock
        self._randomness = randomness
        self._card_key = card_key
        self.identities = Identities(storage, clock, randomness, card_key)
        self._passwords = PasswordCheck(storage, hasher, self.identities, directory)
        self.preferences = AccountPreferences(storage, clock)
        ttl_s = settings.token_ttl_s, settings.notify_token_ttl_s
        self.tokens = Tokens(storage, clock, randomness, *ttl_s)
        self._logins = logins = Logins(clock, settings.logins, sleep)
        self.cards = Cards(storage, clock, card_key, logins, settings.kiosks.chip_digits_min)
        self.kiosks = Kiosks(
            storage, clock, randomness, settings.kiosks, card_key=card_key, logins=logins
        )

    async def login_password(self, name: str, password: str, origin: str) -> Account:
        """The account that a name and password belong to, here or at the directory.

        Args:
            name: The account.
            password: Its password.
            origin: Where the attempt comes from: the peer's address.

        Raises:
            CredentialsInvalidError: they do not match.
            RateLimitedError: too many attempts failed.
            DrinkError: `PasswordCheck.verify` raised it.
        """
        return await self._log_in_password(self._passwords.verify, name, password, origin)

    async def _log_in_password(
        self,
        verify: Callable[[str, str, tuple[str, str]], Awaitable[Account | None]],
        name: str,
        password: str,
        origin: str,
    ) -> Account:
        # One key for all spellings of the name.
        whose = name.casefold()
        return await self._log_in(
            origin, whose, lambda: verify(name, password, self._logins.lane(origin, whose))
        )

    async def login_ibutton(self, ibutton: str, origin: str) -> CardLogin:
        """The login by an iButton, or by a card with a number as long.

        Raises:
            CredentialsInvalidError: it belongs to no account.
            RateLimitedError: too many attempts failed.
        """
        try:
            digests = chip_digests(self._card_key, check_ibutton(ibutton))
        except FieldInvalidError:
            digests = ()
        return await self._log_in_chip(digests, origin)

    async def login_card(self, number: str, origin: str) -> CardLogin:
        """The login by the number of an iButton or radio chip.

        Raises:
            FieldInvalidError: it is no such number.
            KioskRequiredError: the number is short enough to be guessed.
            CredentialsInvalidError: it belongs to no account.
            RateLimitedError: too many attempts failed.
        """
        number = check_chip(number, "card")
        if is_kiosk_only(CardKind.CHIP, len(number)):
            raise KioskRequiredError("a card with so short a number logs in only at a paired kiosk")
        return await self._log_in_chip(chip_digests(self._card_key, number), origin)

    async def _log_in_chip(self, digests: Sequence[str], origin: str) -> CardLogin:
        """The login by the number with these digests: that of iButtons, then that of cards."""
        matched = []

        async def find() -> Account | None:
            for proof, each in zip((Proof.IBUTTON, Proof.CARD), digests, strict=False):
                account = await self._storage.read(partial(_holder, each))
                if account is not None:
                    matched.append((each, proof))
                    return account
            return None

        account = await self._log_in(origin, f"ibutton {next(iter(digests), None)}", find)
        return CardLogin(account, *matched[0])

    async def _log_in(
        self, origin: str, whose: str, verify: Callable[[], Awaitable[Account | None]]
    ) -> Account:
        async def find() -> Account | None:
            account = await verify()
            is_fit = account is not None and account.kind is AccountKind.USER and not account.closed
            return account if is_fit else None

        return await self._logins.attempt(origin, whose, find)

    async def change_password(self, caller: Account, old: str, new: str, origin: str) -> Account:
        """Changes the caller's password, which ends every token of the account.

        Raises:
            CredentialsInvalidError: the old password is wrong, or the account has none of its own;
                attempts are limited as at a login.
            FieldInvalidError: the new password is not valid.
        """
        check_password(new, "new_password")
        await self._log_in_password(self._passwords.verify_own, caller.name, old, origin)
        return await self.change(caller.id, caller.id, password=new)

    async def get(self, caller: Account, name: str) -> Account:
        """The caller's account; any account for an administrator.

        Raises:
            NotOwnerError: it is not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """
        return await self._storage.read(lambda tx: user_shown(tx, caller, name, "accounts"))

    async def balance(self, account_id: str) -> Account:
        """A user's account of an id, as it stands now.

        Raises:
            AccountNotFoundError: there is no such user.
        """
        return await self._storage.read(lambda tx: user_of(tx, account_id))

    async def named(self, name: str) -> Account:
        """A user's account of a name or id, as it stands now.

        Raises:
            AccountNotFoundError: there is no such user.
        """
        return await self._storage.read(lambda tx: user(tx, name))

    async def find(self, name: str) -> Account | None:
        """A user's account of a name or id, if there is one."""
        try:
            return await self.named(name)
        except AccountNotFoundError:
            return None

    async def list_users(
        self,
        after: str = "",
        limit: int = SEQUENCE_MAX,
        *,
        prefix: str = "",
        open_only: bool = False,
    ) -> Sequence[Account]:
        """Accounts of users by name, as `AccountTable.list_users` selects them."""

        def read(tx: Transaction) -> Sequence[Account]:
            return tx.accounts.list_users(after, limit, prefix=prefix, open_only=open_only)

        return await self._storage.read(read)

    async def create(
        self,
        actor: str,
        name: str,
        *,
        password: str | None = None,
        ibutton: str | None = None,
        admin: bool = False,
        readmit: bool = False,
        display_name: str = "",
    ) -> Account:
        """Creates a user's account without credits.

        Args:
            actor: Who creates it, for the audit log.
            name: Differs from every other account's by more than the case of its letters.
            password: With which it logs in.
            ibutton: With which it logs in.
            admin: Whether it administers.
            readmit: Whether a closed account of that name is opened again instead. It keeps its
                ledger entries, and neither its credentials nor its rights.
            display_name: What to call its owner; empty for none.

        Raises:
            FieldInvalidError: a name, the password or the iButton is invalid.
            AlreadyExistsError: the name or the iButton is taken.
        """
        check_account(name)
        shown = check_display_name(display_name) or None
        password_hash = await self._hash(password)
        ibutton_digest = None if ibutton is None else digest(check_ibutton(ibutton))
        now_ms = self._clock.now_ms()
        given: dict[str, str | int | None] = {
            "password": password,
            "ibutton": ibutton,
            "admin": admin,
            "display_name": shown,
        }

        account_id = self._randomness.account_id()

        def create(tx: Transaction) -> Account:
            self._check_no_card(tx, ibutton)
            earlier = tx.accounts.find(name) if readmit else None
            if earlier is not None and earlier.closed:
                tx.accounts.readmit(
                    earlier.id,
                    now_ms,
                    admin=admin,
                    password_hash=password_hash,
                    ibutton_digest=ibutton_digest,
                    display_name=shown,
                )
                _remove_belongings(tx, earlier.id)
                facts = {"readmitted": True, **given, **_limited(tx, 0)}
                _audit(tx, actor, earlier.id, now_ms, facts)
                return user_of(tx, earlier.id)
            tx.accounts.add(
                account_id,
                AccountKind.USER,
                now_ms,
                name=name,
                admin=admin,
                password_hash=password_hash,
                display_name=shown,
            )
            if ibutton_digest is not None:
                tx.accounts.update(account_id, ibutton_digest=ibutton_digest)
            _audit(tx, actor, account_id, now_ms, {"created": True, **given})
            return user_of(tx, account_id)

        return await self._storage.write(create)

    async def change(
        self,
        actor: str,
        name: str,
        *,
        new_name: str | None = None,
        password: str | None = None,
        ibutton: str | None = None,
        no_ibutton: bool = False,
        admin: bool | None = None,
        closed: bool | None = None,
        credit_limit: int | None = None,
        display_name: str | None = None,
        force: bool = False,
    ) -> Account:
        """Changes the given attributes.

        A new password and closing the account revoke every bearer token. A new iButton, or its
        removal, revokes the tokens that the previous iButton created.

        Args:
            actor: Who changes it, for the audit log.
            name: The account.
            new_name: With which it logs in from now on. Its logins and tokens stay valid.
            password: With which it logs in.
            ibutton: With which it logs in.
            no_ibutton: Whether its iButton is taken away.
            admin: Whether it administers.
            closed: Whether it may no longer log in or pay.
            credit_limit: Credits that it may owe. A limit below what is owed now ends buying and
                sending, and changes nothing else.
            display_name: What to call its owner; empty for none.
            force: Whether the last administrator may be removed.

        Raises:
            LastAdministratorError: no administrator would be left.
            FieldInvalidError: a name, the password, iButton or limit is invalid.
            AccountNotFoundError: there is no such user.
            AccountErasedError: its name was erased.
            AlreadyExistsError: the new name or the iButton is taken.
        """
        if new_name is not None:
            check_account(new_name, "new_name")
        display_name = check_display_name(display_name)
        if credit_limit is not None:
            check_range(credit_limit, "credit_limit", 0, CREDITS_MAX)
        password_hash = await self._hash(password)
        ibutton_digest = None if ibutton is None else digest(check_ibutton(ibutton))
        now_ms = self._clock.now_ms()
        changes: dict[str, str | int | None] = {
            "password": password,
            "ibutton": ibutton,
            "admin": admin,
            "closed": closed,
            # A record never changes, so that it must not hold a name that can be erased.
            "renamed": None if new_name is None else True,
            "display_name": display_name if display_name != "" else False,
        }
        if no_ibutton:
            changes["ibutton"] = False
            ibutton_digest = None

        def change(tx: Transaction) -> Account:
            self._check_no_card(tx, ibutton)
            before = user(tx, name)
            if before.is_erased:
                raise AccountErasedError("the account was erased")
            if (admin is False or closed) and not force:
                check_administered(tx, before)
            changed = no_ibutton or ibutton_digest is not None
            if changed and not _owns(tx, before.id, ibutton_digest):
                tx.tokens.remove_all(before.id, Proof.IBUTTON)
                tx.accounts.remove_ibutton(before.id)
            if new_name is not None:
                tx.accounts.rename(before.id, new_name)
            tx.accounts.update(
                before.id,
                password_hash=password_hash,
                ibutton_digest=ibutton_digest,
                admin=admin,
                closed=closed,
                credit_limit=credit_limit,
                display_name=display_name,
            )
            keep_decided(tx, before.id, admin=admin, closed=closed)
            if password is not None or closed:
                tx.tokens.remove_all(before.id)
            _audit(tx, actor, before.id, now_ms, {**changes, **_limited(tx, credit_limit)})
            return user_of(tx, before.id)

        return await self._storage.write(change)

    async def open_drops(self, account_id: str) -> Sequence[Drop]:
        """The newest drops of an account that have no final outcome, OPEN_DROPS_MAX at most."""
        selection = DropSelection(
            account=account_id, states=tuple(state for state in State if not state.final)
        )
        return await self._storage.read(lambda tx: tx.drops.list(selection, None, OPEN_DROPS_MAX))

    async def erase(self, actor: str, name: str) -> Account:
        """Erases the names, credentials and cards of a closed account; the books stay.

        The name can be given to somebody else, who has another id and so none of the books.

        Args:
            actor: Who erases, for the audit log.
            name: The account.

        Returns:
            The account, with its id in place of its name.

        Raises:
            AccountNotFoundError: there is no such user.
            AccountOpenError: it is not closed.
            AccountNotSettledError: it owns, owes or holds credits.
        """
        now_ms = self._clock.now_ms()

        def erase(tx: Transaction) -> Account:
            account = user(tx, name)
            if account.is_erased:
                return account
            if not account.closed:
                raise AccountOpenError("the account is not closed")
            if account.posted or account.held:
                raise AccountNotSettledError(
                    "the account has credits", posted=account.posted, held=account.held
                )
            tx.accounts.erase(account.id)
            _remove_belongings(tx, account.id)
            _audit(tx, actor, account.id, now_ms, {"erased": True, **_limited(tx, 0)})
            return user_of(tx, account.id)

        return await self._storage.write(erase)

    def _check_no_card(self, tx: Transaction, ibutton: str | None) -> None:
        """Raises AlreadyExistsError if the iButton is a card of an account, whose it stays."""
        if ibutton is not None and self._card_key is not None:
            of_card = self._card_key.digest(CardKind.CHIP, check_ibutton(ibutton))
            if tx.cards.get(of_card) is not None:
                raise AlreadyExistsError("the iButton is a card of an account")

    async def _hash(self, password: str | None) -> str | None:
        return None if password is None else await self._hasher.hash(check_password(password))


def _owns(tx: Transaction, account_id: str, ibutton_digest: str | None) -> bool:
    owner = None if ibutton_digest is None else tx.accounts.by_ibutton(ibutton_digest)
    return owner is not None and owner.id == account_id


def _holder(chip_digest: str, tx: Transaction) -> Account | None:
    return tx.cards.holder(chip_digest)


def _remove_belongings(tx: Transaction, account_id: str) -> None:
    """Removes what an account has beside its row and its books."""
    tx.tokens.remove_all(account_id)
    tx.cards.remove_all(account_id)
    tx.identities.remove_all(account_id)
    tx.preferences.remove(account_id)


def _limited(tx: Transaction, credit_limit: int | None) -> dict[str, int]:
    """Facts of a new limit, with the transfer after which it holds, for the check of the books."""
    if credit_limit is None:
        return {}
    return {"credit_limit": credit_limit, "after_transfer": tx.ledger.last_sequence()}


def _audit(
    tx: Transaction, actor: str, account_id: str, now_ms: int, changes: dict[str, str | int | None]
) -> None:
    # Of a secret, and of a name that can be erased, only the fact that it was set is recorded.
    facts = {
        field: "set" if isinstance(value, str) else value
        for field, value in changes.items()
        if value is not None
    }
    tx.audit.add(
        AuditRecord(AuditKind.ACCOUNT_CHANGED, now_ms, actor, account=account_id, facts=facts)
    )
