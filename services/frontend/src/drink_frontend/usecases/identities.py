"""Identities of accounts at sources of logins: linking, and what a login there changes.

An identity binds to its source and to the subject there, never by a name to an account that
exists. Rights, cards and an end that a source has given follow it at each login; what a person in
the own house has decided stays.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace

import structlog

from drink_frontend.domain.cards import Card, CardKey, CardKind
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountErasedError,
    AlreadyExistsError,
    CardKeyUnavailableError,
    DrinkError,
    FieldInvalidError,
)
from drink_frontend.domain.identities import (
    IDENTITIES_MAX,
    Identity,
    Person,
    check_identity_part,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.limits import (
    check_account,
    check_barcode,
    check_chip,
    check_display_name,
)
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.sign_in_errors import (
    IdentityNotFoundError,
    IdentityNotLinkedError,
    TooManyIdentitiesError,
)
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.cards import remove_card, store_card
from drink_frontend.usecases.users import user, user_of, user_shown

log = structlog.get_logger(__name__)


class Identities:
    """Use cases of identities.

    Args:
        storage: The database.
        clock: Time.
        randomness: Ids of new accounts.
        card_key: The key for the numbers of cards; None if there is none.
    """

    def __init__(
        self, storage: Database, clock: Clock, randomness: Randomness, card_key: CardKey | None
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._card_key = card_key

    async def log_in(self, person: Person, *, creates_accounts: bool) -> Account:
        """The account of somebody who has proven an identity at a source.

        The account is brought to what the source says, in one unit of work: its right to
        administer, as far as that came from this source; its cards, likewise; and it is opened
        again if it was closed because the source did not know the person any more.

        Args:
            person: What the source says.
            creates_accounts: Whether an account is made for who has none, under the name in the
                source's spelling.

        Raises:
            IdentityNotLinkedError: no account is linked, and none can be made: they are not made,
                the name is none for an account, or another account has it.
            AccountClosedError: an administrator has closed the account.
        """
        now_ms, account_id = self._clock.now_ms(), self._randomness.account_id()

        def log_in(tx: Transaction) -> tuple[Account, Sequence[str]]:
            identity = tx.identities.get(person.source, person.subject)
            if identity is None:
                if not creates_accounts:
                    raise IdentityNotLinkedError(
                        "no account is linked to this login; an administrator can link one"
                    )
                identity = _create(tx, person, account_id, now_ms)
            account = user_of(tx, identity.account)
            if account.closed:
                if identity.left_ms is None:
                    raise AccountClosedError("the account is closed")
                tx.accounts.update(account.id, closed=False)
                tx.identities.keep_closed(account.id)
                _audit(tx, person.source, account.id, now_ms, {"closed": False})
            digests, refused = self._follow_cards(tx, identity, person, now_ms)
            identity = replace(
                identity, name=person.name, login_ms=now_ms, left_ms=None, cards=digests
            )
            follow_rights(tx, identity, person.is_administrator, now_ms)
            return user_of(tx, account.id), refused

        account, refused = await self._storage.write(log_in)
        if refused:
            log.warning("identity_cards_refused", account=account.id, reasons=sorted(set(refused)))
        return account

    def _follow_cards(
        self, tx: Transaction, identity: Identity, person: Person, now_ms: int
    ) -> tuple[str, Sequence[str]]:
        """Brings the cards that come from a source to what it says.

        Returns:
            The digests of those that the account has from it now, and why others were refused.
        """
        if person.cards is None:
            return identity.cards, ()
        before = identity.cards.split()
        held = {card.digest: card for card in tx.cards.list(identity.account)}
        after, refused = list[str](), list[str]()
        for kind, number in person.cards:
            card = Card("", identity.account, kind, len(number), None, now_ms)
            try:
                digest = self._stored(tx, person.source, card, number, held)
            except DrinkError as error:
                refused.append(error.reason)
                continue
            # A card that the account had before, but not from the source, stays its own.
            if digest in before or digest not in held:
                after.append(digest)
        for digest in before:
            if digest not in after and digest in held:
                remove_card(tx, person.source, held[digest], now_ms)
        return " ".join(dict.fromkeys(after)), refused

    def _stored(
        self, tx: Transaction, actor: str, card: Card, number: str, held: Container[str]
    ) -> str:
        """The digest of a card, which is stored unless it is held."""
        number = check_chip(number) if card.kind is CardKind.CHIP else check_barcode(number)
        if self._card_key is None:
            raise CardKeyUnavailableError("the setting accounts.card_key_file has no value")
        digest = self._card_key.digest(card.kind, number)
        if digest not in held:
            store_card(tx, actor, card, number, self._card_key)
        return digest

    async def list(self, caller: Account, name: str) -> Sequence[Identity]:
        """The identities of a user, by source and subject.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """
        return await self._storage.read(
            lambda tx: tx.identities.list(user_shown(tx, caller, name, "identities").id)
        )

    async def link(self, actor: str, name: str, source: str, subject: str) -> Identity:
        """Links a person at a source to a user, who can log in there from now on.

        Args:
            actor: Who links them, for the audit log.
            name: The user.
            source: As `Identity.source`.
            subject: As `Identity.subject`.

        Raises:
            FieldInvalidError: source or subject is invalid.
            AccountNotFoundError: there is no such user.
            AccountErasedError: its name was erased.
            AlreadyExistsError: an account has the identity.
            TooManyIdentitiesError: the user has IDENTITIES_MAX identities.
        """
        check_identity_part(source, "source")
        check_identity_part(subject, "subject")
        now_ms = self._clock.now_ms()

        def link(tx: Transaction) -> Identity:
            account = user(tx, name)
            if account.is_erased:
                raise AccountErasedError("the account was erased")
            earlier = tx.identities.get(source, subject)
            if earlier is not None:
                whose = "the account" if earlier.account == account.id else "another account"
                raise AlreadyExistsError(f"{whose} has this identity")
            if len(tx.identities.list(account.id)) >= IDENTITIES_MAX:
                raise TooManyIdentitiesError(
                    "the account has too many identities", identities_max=IDENTITIES_MAX
                )
            identity = Identity(source, subject, account.id, None, now_ms)
            tx.identities.add(identity)
            _audit(tx, actor, account.id, now_ms, {"identity_linked": source})
            return identity

        return await self._storage.write(link)

    async def unlink(self, actor: str, name: str, source: str, subject: str) -> None:
        """Removes an identity of a user, and what it gave: rights, cards, and every login.

        Raises:
            AccountNotFoundError: there is no such user.
            IdentityNotFoundError: the user has no such identity.
        """
        now_ms = self._clock.now_ms()

        def unlink(tx: Transaction) -> None:
            account = user(tx, name)
            identity = tx.identities.get(source, subject)
            if identity is None or identity.account != account.id:
                raise IdentityNotFoundError("no such identity")
            given = identity.cards.split()
            for card in tx.cards.list(account.id):
                if card.digest in given:
                    remove_card(tx, actor, card, now_ms)
            follow_rights(tx, identity, False, now_ms)
            tx.identities.remove(identity)
            tx.tokens.remove_all(account.id)
            _audit(tx, actor, account.id, now_ms, {"identity_unlinked": source})

        await self._storage.write(unlink)


def keep_decided(
    tx: Transaction, account_id: str, *, admin: bool | None, closed: bool | None
) -> None:
    """Makes what a person decided about an account its own, so that no source changes it back.

    Args:
        tx: The unit of work.
        account_id: The account.
        admin: Whether it administers; None if that was not decided.
        closed: Whether it is closed; None if that was not decided.
    """
    if admin is not None:
        tx.identities.keep_rights(account_id)
    if closed is not None:
        tx.identities.keep_closed(account_id)


def follow_rights(tx: Transaction, identity: Identity, administers: bool, now_ms: int) -> None:
    """Stores an identity, and brings its account's right to administer to what its source says.

    A right that a person gave stays. One that sources gave ends when none of them gives it any
    more, even the last one of the house: `drink-frontend admin users change --admin` gives another.

    Args:
        tx: The unit of work.
        identity: As it shall be stored, but for `admin`.
        administers: Whether its source gives the right.
        now_ms: Now, for people.
    """
    account = user_of(tx, identity.account)
    others = [each for each in tx.identities.list(account.id) if not _is_same(each, identity)]
    is_own = account.admin and not (identity.admin or any(each.admin for each in others))
    identity = replace(identity, admin=administers and not is_own)
    tx.identities.change(identity)
    admin = is_own or identity.admin or any(each.admin for each in others)
    if admin != account.admin:
        tx.accounts.update(account.id, admin=admin)
        _audit(tx, identity.source, account.id, now_ms, {"admin": admin})


def _is_same(one: Identity, other: Identity) -> bool:
    return (one.source, one.subject) == (other.source, other.subject)


def _create(tx: Transaction, person: Person, account_id: str, now_ms: int) -> Identity:
    """Makes an account for a person who has none; it takes over nothing of another."""
    if _valid(check_account, person.name) is None:
        raise IdentityNotLinkedError(
            "the name at the directory is no name of an account here; an administrator can make an"
            " account and link it"
        )
    display_name = _valid(check_display_name, person.display_name) or None
    try:
        tx.accounts.add(
            account_id, AccountKind.USER, now_ms, name=person.name, display_name=display_name
        )
    except AlreadyExistsError as error:
        raise IdentityNotLinkedError(
            "an account of that name exists and is not linked to this login; an administrator can"
            " link it"
        ) from error
    identity = Identity(person.source, person.subject, account_id, person.name, now_ms)
    tx.identities.add(identity)
    _audit(
        tx,
        person.source,
        account_id,
        now_ms,
        {"created": True, "identity_linked": person.source},
    )
    return identity


def _valid(check: Callable[[str], str | None], value: str) -> str | None:
    try:
        return check(value)
    except FieldInvalidError:
        return None


def _audit(
    tx: Transaction, actor: str, account_id: str, now_ms: int, facts: dict[str, str | bool]
) -> None:
    """Records a change of an account; its facts have no name and no subject, which are erased."""
    tx.audit.add(
        AuditRecord(AuditKind.ACCOUNT_CHANGED, now_ms, actor, account=account_id, facts=dict(facts))
    )
