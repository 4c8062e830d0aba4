"""Limits and patterns of values that clients and operators give."""

import re
import unicodedata

from drink_frontend.domain.cards import CARD_CODE_DIGITS
from drink_frontend.domain.entities import ID_BEGINS
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.kiosks import PAIRING_CODE_DIGITS

DELAY_MAX_S = 300
"""Longest delay of a drop in seconds; the session protocol has promised it since 2000."""

SLOT_MAX = 99
"""Highest slot number: the boards' configuration has two digits for it. Agents have it too."""

PAGE_MAX = 1_000
"""Most rows of one page of a list."""

MACHINE_NAME = "[a-z0-9][a-z0-9-]{0,31}"
"""Pattern of a machine's name."""

ACCOUNT_ID_DIGITS = 10
"""Characters of the id of a user's account after its first one. The books repeat it in several rows
and indexes of each drop, so that it is short."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
_ACCOUNT_ID = re.compile(rf"{ID_BEGINS}[0-9A-Z]{{{ACCOUNT_ID_DIGITS}}}")
_MACHINE = re.compile(MACHINE_NAME)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ITEM = re.compile(r"""[^"]{1,64}""", re.DOTALL)
_IBUTTON = re.compile(r"[0-9A-Fa-f]{16}")
_CHIP = re.compile(r"[0-9A-Fa-f]{8,32}")
_CARD_CODE = re.compile(rf"[0-9]{{{CARD_CODE_DIGITS}}}")
_PAIRING_CODE = re.compile(rf"[0-9]{{{PAIRING_CODE_DIGITS}}}")
_BARCODE = re.compile(r"[A-Za-z0-9_.-]{6,64}")
_ETAG = re.compile(r"[0-9a-f]{16}")
_TEXT = re.compile(r".{0,200}", re.DOTALL)

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Invisible characters of other categories: joiners, fillers, variation selectors, tags (Unicode's
Default_Ignorable_Code_Point)."""

PASSWORD_MAX = 128
"""Longest password in characters; limits the work of a hash."""

PASSWORD_BYTES_MAX = 400
"""Longest password in bytes of UTF-8, so that AUTH or CHPASS with a name and the password fits into
a session's line of 512 bytes."""


def _check(pattern: re.Pattern[str], field: str, value: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise FieldInvalidError(field, rule)
    return value


def check_account(value: str, field: str = "account") -> str:
    """Returns a valid account name; raises FieldInvalidError for any other text."""
    return _check(_ACCOUNT, field, value, "must be 1 to 32 characters of A-Z a-z 0-9 _ . -")


def check_account_reference(value: str, field: str = "account") -> str:
    """Returns a valid name or id of an account; raises FieldInvalidError for any other text."""
    return value if _ACCOUNT_ID.fullmatch(value) else check_account(value, field)


def check_machine(value: str, field: str = "machine") -> str:
    """Returns a valid machine name; raises FieldInvalidError for any other text."""
    return _check(_MACHINE, field, value, "must be 1 to 32 characters of a-z 0-9 -")


def check_request_id(value: str) -> str:
    """Returns a valid request_id; raises FieldInvalidError for any other text."""
    return _check(
        _REQUEST_ID, "request_id", value, "must be 1 to 64 characters of A-Z a-z 0-9 _ . : -"
    )


def _check_seen(field: str, value: str) -> None:
    """Raises FieldInvalidError for invisible characters and for those that reorder a text."""
    if _UNSEEN.search(value) or any(unicodedata.category(c) in _UNSEEN_CATEGORIES for c in value):
        raise FieldInvalidError(field, "must not have control or invisible characters")


def check_item(value: str, field: str = "item") -> str:
    """Returns a valid name of an item; raises FieldInvalidError for any other text."""
    _check_seen(field, value)
    if value != value.strip():
        raise FieldInvalidError(field, "must not begin or end with a blank")
    return _check(_ITEM, field, value, "must be 1 to 64 characters without quotes")


def check_text(value: str, field: str) -> str:
    """Returns a valid text for people; raises FieldInvalidError for any other text."""
    _check_seen(field, value)
    return _check(_TEXT, field, value, "must be at most 200 characters")


def check_display_name(value: str | None) -> str | None:
    """Returns what to call somebody, without blanks around it; as `check_text`."""
    return None if value is None else check_text(value, "display_name").strip()


def check_reason(value: str, field: str = "reason") -> str:
    """Returns a valid text that is not blank; raises FieldInvalidError for any other text."""
    if not check_text(value, field).strip():
        raise FieldInvalidError(field, "must say why")
    return value


def check_ibutton(value: str) -> str:
    """Returns an iButton's number in upper case; raises FieldInvalidError for any other text."""
    return _check(_IBUTTON, "ibutton", value, "must be 16 hexadecimal digits").upper()


def check_chip(value: str, field: str = "chip") -> str:
    """Returns the number of an iButton or radio chip in upper case.

    Raises:
        FieldInvalidError: it is no such number.
    """
    return _check(_CHIP, field, value, "must be 8 to 32 hexadecimal digits").upper()


def check_barcode(value: str, field: str = "barcode") -> str:
    """Returns a valid barcode; raises FieldInvalidError for any other text."""
    return _check(_BARCODE, field, value, "must be 6 to 64 characters of A-Z a-z 0-9 _ . -")


def check_pairing_code(value: str) -> str:
    """Returns a valid pairing code; raises FieldInvalidError for any other text."""
    return _check(_PAIRING_CODE, "pairing_code", value, f"must be {PAIRING_CODE_DIGITS} digits")


def check_card_code(value: str) -> str:
    """Returns a valid code of a card; raises FieldInvalidError for any other text."""
    return _check(_CARD_CODE, "code", value, f"must be {CARD_CODE_DIGITS} digits")


def check_password(value: str, field: str = "password") -> str:
    """Returns a valid new password; raises FieldInvalidError if a session could not receive it.

    In a session an argument may be enclosed in double quotes, which are not part of it.
    """
    if not 1 <= len(value) <= PASSWORD_MAX or not value.isprintable() or " " in value:
        raise FieldInvalidError(
            field, f"must be 1 to {PASSWORD_MAX} printable characters without blanks"
        )
    if len(value.encode()) > PASSWORD_BYTES_MAX:
        raise FieldInvalidError(field, f"must be at most {PASSWORD_BYTES_MAX} bytes of UTF-8")
    if len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1]:
        raise FieldInvalidError(field, "must not stand in double quotes")
    return value


def check_etag(value: str) -> str:
    """Returns a slot's etag; raises FieldInvalidError for any other text."""
    return _check(_ETAG, "etag", value, "must be the etag of a slot")


def check_slot(value: int) -> int:
    """Returns a valid slot number; raises FieldInvalidError for any other number."""
    return check_range(value, "slot", 1, SLOT_MAX)


def check_range(value: int, field: str, lowest: int, highest: int) -> int:
    """Returns a number from `lowest` to `highest`; raises FieldInvalidError for any other."""
    if not lowest <= value <= highest:
        raise FieldInvalidError(field, f"must be {lowest} to {highest}")
    return value
