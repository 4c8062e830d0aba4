"""Cards with which people log in: iButtons, radio chips and barcodes.

Numbers of cards are short, so that a plain digest of one can be found by trying all numbers. They
are stored as HMAC-SHA256 under a key that is not in the database. Times are milliseconds since the
epoch, UTC.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum

CARD_ID_DIGITS = 16
"""Hexadecimal digits of the id of a card: 64 bits, which no two cards share by chance."""

GUESSED_DIGITS_MAX = 15
"""Hexadecimal digits of the longest number of a chip that counts as guessable: those of radio chips
are 8 or 14, and may be handed out in sequence. An iButton has 16."""

CARD_CODE_DIGITS = 6
"""Digits of the code with which a card is added: quick to read off a screen. It is good for some
minutes, and guesses are limited as at a login."""

CARD_NUMBER_MAX = 64
"""Characters of the longest number of a card."""

CHIP_DIGITS_MAX = 32
"""Hexadecimal digits of the longest number of a chip."""

_SEPARATED = re.compile(r"[0-9A-Fa-f]{2}(?P<by>[ :-])[0-9A-Fa-f]{2}(?:(?P=by)[0-9A-Fa-f]{2})+")
_CHIP = re.compile(r"(?:[0-9A-Fa-f]{2}){4,16}")


class CardKind(StrEnum):
    """What kind of number a card has; drink.v1.Card.Kind documents each value."""

    CHIP = "CHIP"
    BARCODE = "BARCODE"


def is_kiosk_only(kind: CardKind, length: int) -> bool:
    """Whether a card with a number of that length logs in only at a paired kiosk.

    A short number can be guessed, and a barcode can be copied by whoever sees it.
    """
    return kind is CardKind.BARCODE or length <= GUESSED_DIGITS_MAX


def plain_number(text: str) -> str:
    """What a reader gave without what readers put around and between the bytes of a chip's number.

    `04:A2:B3:C4` and `04 a2 b3 c4` become `04A2B3C4` and `04a2b3c4`. Anything else stays as it is,
    but for blanks at its ends.
    """
    text = text.strip()
    return re.sub("[ :-]", "", text) if _SEPARATED.fullmatch(text) else text


def kind_of(number: str) -> CardKind:
    """What kind of number a reader gave, which does not say so itself.

    Barcodes of digits only may look like the number of a chip. One that is as long as an iButton's
    counts as a barcode: it could log in without a kiosk otherwise, and can be copied.
    """
    if not _CHIP.fullmatch(number):
        return CardKind.BARCODE
    is_long = len(number) > GUESSED_DIGITS_MAX
    return CardKind.BARCODE if is_long and number.isdecimal() else CardKind.CHIP


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card that was read for a kiosk: it logs in within seconds, or is added within minutes.

    Attributes:
        kiosk: Sequence of the kiosk.
        digest: Keyed hash of the number, of the kind `kind`, or the digest of the account's
            iButton; None if no card can have the number.
        kind: What kind of number it is.
        length: Characters of the number.
        account: Id of the account whose card it was when it was read; None for none.
        expires_ms: After when it is void.
        sequence: Order of reading, counted by the database; 0 before it is stored.
    """

    kiosk: int
    digest: str | None = field(repr=False)
    kind: CardKind
    length: int
    account: str | None
    expires_ms: int
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it is stored, without its number.

    Attributes:
        digest: Keyed hash of the number in hexadecimal digits.
        account: Name of its account.
        kind: What kind of number it has.
        length: Characters of the number.
        name: What its owner calls it; None if it has no name.
        created_ms: When it was added.
    """

    digest: str = field(repr=False)
    account: str
    kind: CardKind
    length: int
    name: str | None
    created_ms: int

    @property
    def id(self) -> str:
        """Names the card among those of its account; the number cannot be computed from it."""
        return self.digest[:CARD_ID_DIGITS]

    @property
    def kiosk_only(self) -> bool:
        """Whether it logs in only at a paired kiosk."""
        return is_kiosk_only(self.kind, self.length)


class CardKey:
    """The key of one installation for the numbers of cards.

    Args:
        secret: At least 32 bytes.

    Attributes:
        id: Tells keys apart; the key cannot be computed from it.
    """

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = self._hash("the id of this key")[:CARD_ID_DIGITS]

    def digest(self, kind: CardKind, number: str) -> str:
        """Keyed hash of a card's number in hexadecimal digits.

        Args:
            kind: What kind of number it is.
            number: The number, as `check_chip` or `check_barcode` returned it.
        """
        return self._hash(f"{kind.value} {number}")

    def _hash(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
