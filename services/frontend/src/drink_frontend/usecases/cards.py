"""Cards of accounts: adding, listing and removing them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drink_frontend.domain.cards import Card, CardKey, CardKind, plain_number
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Proof
from drink_frontend.domain.errors import (
    AlreadyExistsError,
    CardCodeInvalidError,
    CardKeyUnavailableError,
    CardNotFoundError,
    CredentialsInvalidError,
    FieldInvalidError,
    TooManyCardsError,
)
from drink_frontend.domain.limits import check_barcode, check_card_code, check_chip, check_text
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.tokens import digest
from drink_frontend.usecases.users import user, user_shown

CARDS_MAX = 20
"""Most cards of one account: more than anybody carries; all of them fit on one page."""

GUESSED_CODE = "card code"
"""What a caller's guesses at codes of cards count for in `Logins`, with the caller's id."""


@dataclass(frozen=True, slots=True)
class CardLogin:
    """A login by an iButton or a card.

    Attributes:
        account: The account that logs in.
        digest: Digest of the iButton or card, by which the login stays valid.
        proof: IBUTTON or CARD: with which of them tokens of the login are revoked.
    """

    account: Account
    digest: str = field(repr=False)
    proof: Proof


def chip_digests(key: CardKey | None, number: str) -> Sequence[str]:
    """The digests under which the number of a chip may be stored.

    Args:
        key: The key for the numbers of cards; None if there is none.
        number: The number, as `check_chip` returned it.

    Returns:
        The digest of an iButton in an account's own row, and that of a card.
    """
    of_ibutton = digest(number)
    return (of_ibutton,) if key is None else (of_ibutton, key.digest(CardKind.CHIP, number))


class Cards:
    """Use cases of cards.

    Args:
        storage: The database.
        clock: Time.
        key: The key for the numbers of cards; None if there is none.
        logins: Limits guesses at the codes of cards.
        chip_digits_min: Fewest hexadecimal digits of a chip's number.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        key: CardKey | None,
        logins: Logins,
        chip_digits_min: int,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._key = key
        self._logins = logins
        self._chip_digits_min = chip_digits_min

    async def add(
        self, actor: str, name: str, kind: CardKind, number: str, *, label: str = ""
    ) -> Card:
        """Adds a card to a user.

        Only administrators may: the answer says whether a number is in use, and so could be used to
        search for others' cards.

        Args:
            actor: Who adds it, for the audit log.
            name: The user.
            kind: What kind of number the card has.
            number: The number.
            label: What the user calls the card.

        Raises:
            FieldInvalidError: the number or label is invalid.
            CardKeyUnavailableError: there is no key, or another one than that of other cards.
            AccountNotFoundError: there is no such user.
            AlreadyExistsError: an account has the card.
            TooManyCardsError: the user has CARDS_MAX cards.
        """
        if kind is CardKind.CHIP:
            number = check_chip(plain_number(number))
        else:
            number = check_barcode(number)
        check_text(label, "display_name")
        key, now_ms = self._usable_key(), self._clock.now_ms()

        if kind is CardKind.CHIP and len(number) < self._chip_digits_min:
            rule = f"must have {self._chip_digits_min} hexadecimal digits or more here"
            raise FieldInvalidError("chip", rule)

        def add(tx: Transaction) -> Card:
            card = Card("", user(tx, name).id, kind, len(number), label or None, now_ms)
            return store_card(tx, actor, card, number, key)

        return await self._storage.write(add)

    async def add_with_code(
        self, caller: Account, name: str, code: str, origin: str, *, label: str = ""
    ) -> Card:
        """Adds the card for which a kiosk shows a code, once.

        Args:
            caller: Who adds it.
            name: The user who gets it: the caller, or anybody for an administrator.
            code: The code.
            origin: Where the attempt comes from: the peer's address.
            label: What the user calls the card.

        Raises:
            FieldInvalidError: the code or label is invalid.
            NotOwnerError: the user is not the caller, who is no administrator.
            AccountNotFoundError: there is no such user.
            CardCodeInvalidError: no card waits for the code.
            RateLimitedError: too many codes were wrong.
            AlreadyExistsError: an account has got the card meanwhile.
            CardKeyUnavailableError: there is no key, or another one than that of other cards.
            TooManyCardsError: the user has CARDS_MAX cards.
        """
        code_digest, key = digest(check_card_code(code)), self._usable_key()
        check_text(label, "display_name")

        def add(tx: Transaction) -> Card | None:
            account = user_shown(tx, caller, name, "cards")
            now_ms = self._clock.now_ms()
            read = tx.card_reads.by_code(code_digest, now_ms)
            if read is None:
                return None
            assert read.digest is not None, "only a card that can be added gets a code"
            tx.card_reads.remove(read.sequence)
            card = Card(read.digest, account.id, read.kind, read.length, label or None, now_ms)
            return _store(tx, caller.id, card, key, kiosk=read.kiosk)

        try:
            guessed = f"{GUESSED_CODE} {caller.id}"
            return await self._logins.attempt(origin, guessed, lambda: self._storage.write(add))
        except CredentialsInvalidError:
            raise CardCodeInvalidError("no card waits for this code") from None

    async def list(self, caller: Account, name: str) -> Sequence[Card]:
        """The cards of a user, the oldest first.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """
        return await self._storage.read(
            lambda tx: tx.cards.list(user_shown(tx, caller, name, "cards").id)
        )

    async def remove(self, caller: Account, name: str, card_id: str) -> None:
        """Removes a card of a user, and ends every login that was made with a card of the user.

        Raises:
            NotOwnerError: it is not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
            CardNotFoundError: the user has no such card.
        """
        now_ms = self._clock.now_ms()

        def remove(tx: Transaction) -> None:
            account = user_shown(tx, caller, name, "cards")
            card = next((each for each in tx.cards.list(account.id) if each.id == card_id), None)
            if card is None:
                raise CardNotFoundError("no such card")
            remove_card(tx, caller.id, card, now_ms)

        await self._storage.write(remove)

    def _usable_key(self) -> CardKey:
        if self._key is None:
            raise CardKeyUnavailableError("the setting accounts.card_key_file has no value")
        return self._key


def store_card(tx: Transaction, actor: str, card: Card, number: str, key: CardKey) -> Card:
    """Adds a card to a user.

    Args:
        tx: The unit of work.
        actor: Who adds it, for the audit log.
        card: The card, whose digest is computed here.
        number: Its number, as `check_chip` or `check_barcode` returned it.
        key: The key for the numbers of cards.

    Raises:
        CardKeyUnavailableError: the key is another one than that of other cards.
        AlreadyExistsError: an account has the card.
        TooManyCardsError: the user has CARDS_MAX cards.
    """
    card = replace(card, digest=key.digest(card.kind, number))
    if card.kind is CardKind.CHIP:
        _check_free(tx, digest(number), card.account)
    return _store(tx, actor, card, key)


def _store(tx: Transaction, actor: str, card: Card, key: CardKey, **facts: int) -> Card:
    if tx.cards.has_other_key(key.id):
        raise CardKeyUnavailableError("other cards were added with another key")
    _check_free(tx, card.digest, card.account)
    if len(tx.cards.list(card.account)) >= CARDS_MAX:
        raise TooManyCardsError("the account has too many cards", cards_max=CARDS_MAX)
    tx.cards.add(card, key.id)
    _audit(tx, actor, card, "card_added", card.created_ms, **facts)
    return card


def _check_free(tx: Transaction, card_digest: str, account: str) -> None:
    """Raises AlreadyExistsError if an account has the card; it does not say which one."""
    if (holder := tx.cards.holder(card_digest)) is not None:
        whose = "the account" if holder.id == account else "another account"
        raise AlreadyExistsError(f"{whose} has this card")


def remove_card(tx: Transaction, actor: str, card: Card, now_ms: int) -> None:
    """Removes a card, and ends every login that was made with a card of its account."""
    tx.cards.remove(card)
    tx.tokens.remove_all(card.account, Proof.CARD)
    _audit(tx, actor, card, "card_removed", now_ms)


def _audit(tx: Transaction, actor: str, card: Card, what: str, now_ms: int, **more: int) -> None:
    facts = {what: card.id, "card_kind": card.kind.value, **more}
    tx.audit.add(
        AuditRecord(AuditKind.ACCOUNT_CHANGED, now_ms, actor, account=card.account, facts=facts)
    )
