"""Bounds and spellings of what comes from outside."""

import re
import unicodedata

from drink_frontend.domain.errors import FieldInvalidError

DELAY_MAX_S = 300
"""Longest delay of a drop; what the session protocol has promised since 2000."""

SLOT_MAX = 99
"""Highest slot number: the boards' configuration has two digits for it. Agents have the same."""

PAGE_MAX = 1_000
"""Most rows of one page."""

MACHINE_NAME = "[a-z0-9][a-z0-9-]{0,31}"
"""Pattern of a machine's name."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
_MACHINE = re.compile(MACHINE_NAME)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ITEM = re.compile(r"""[^"]{1,64}""", re.DOTALL)
_IBUTTON = re.compile(r"[0-9A-Fa-f]{16}")
_TEXT = re.compile(r".{0,200}", re.DOTALL)

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters without a width of their own, or that are blank without being spaces, of the other
categories: joiners, fillers, variation selectors, tags (Unicode's Default_Ignorable_Code_Point)."""

PASSWORD_MAX = 128
"""Longest password in characters; bounds the work of a hash."""

PASSWORD_BYTES_MAX = 400
"""Longest password in bytes of UTF-8: with AUTH or CHPASS and a name it fits into a session's line
of 512 bytes."""


def _check(pattern: re.Pattern[str], field: str, value: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise FieldInvalidError(field, rule)
    return value


def check_account(value: str, field: str = "account") -> str:
    """An account name. FieldInvalidError if it cannot be one."""
    return _check(_ACCOUNT, field, value, "must be 1 to 32 characters of A-Z a-z 0-9 _ . -")


def check_machine(value: str, field: str = "machine") -> str:
    """A machine name. FieldInvalidError if it cannot be one."""
    return _check(_MACHINE, field, value, "must be 1 to 32 characters of a-z 0-9 -")


def check_request_id(value: str) -> str:
    """A request_id. FieldInvalidError if it cannot be one."""
    return _check(
        _REQUEST_ID, "request_id", value, "must be 1 to 64 characters of A-Z a-z 0-9 _ . : -"
    )


def _check_seen(field: str, value: str) -> None:
    """Refuses what people do not see, and what makes them read a text in another order."""
    if _UNSEEN.search(value) or any(unicodedata.category(c) in _UNSEEN_CATEGORIES for c in value):
        raise FieldInvalidError(field, "must not have control or invisible characters")


def check_item(value: str) -> str:
    """The name of an item. FieldInvalidError if it cannot be one."""
    _check_seen("item", value)
    if value != value.strip():
        raise FieldInvalidError("item", "must not begin or end with a blank")
    return _check(_ITEM, "item", value, "must be 1 to 64 characters without quotes")


def check_text(value: str, field: str) -> str:
    """A line for people. FieldInvalidError if it is too long, or has what people do not see."""
    _check_seen(field, value)
    return _check(_TEXT, field, value, "must be at most 200 characters")


def check_ibutton(value: str) -> str:
    """An iButton's number, in upper case. FieldInvalidError if it cannot be one."""
    return _check(_IBUTTON, "ibutton", value, "must be 16 hexadecimal digits").upper()


def check_password(value: str) -> str:
    """A new password. FieldInvalidError if it cannot be typed in a session.

    There an argument may stand in double quotes, which are then no part of it.
    """
    if not 1 <= len(value) <= PASSWORD_MAX or not value.isprintable() or " " in value:
        raise FieldInvalidError(
            "password", f"must be 1 to {PASSWORD_MAX} printable characters without blanks"
        )
    if len(value.encode()) > PASSWORD_BYTES_MAX:
        raise FieldInvalidError("password", f"must be at most {PASSWORD_BYTES_MAX} bytes of UTF-8")
    if len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1]:
        raise FieldInvalidError("password", "must not stand in double quotes")
    return value


def check_slot(value: int) -> int:
    """A slot number. FieldInvalidError if it cannot be one."""
    return check_range(value, "slot", 1, SLOT_MAX)


def check_range(value: int, field: str, lowest: int, highest: int) -> int:
    """A whole number within bounds. FieldInvalidError if it is not."""
    if not lowest <= value <= highest:
        raise FieldInvalidError(field, f"must be {lowest} to {highest}")
    return value
