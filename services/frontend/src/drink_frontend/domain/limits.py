"""Bounds and spellings of what comes from outside."""

import re

from drink_frontend.domain.errors import FieldInvalidError

DELAY_MAX_S = 300
"""Longest delay of a drop; what the session protocol has promised since 2000."""

SLOT_MAX = 99
"""Highest slot number; the boards' status lines were never longer than two digits a slot."""

PAGE_MAX = 1_000
"""Most rows of one page."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
_MACHINE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ITEM = re.compile(r"""[^\x00-\x1f\x7f-\x9f"]{1,64}""")
_IBUTTON = re.compile(r"[0-9A-Fa-f]{16}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,200}")

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


def check_item(value: str) -> str:
    """The name of an item. FieldInvalidError if it cannot be one."""
    if value != value.strip():
        raise FieldInvalidError("item", "must not begin or end with a blank")
    return _check(
        _ITEM, "item", value, "must be 1 to 64 characters without control characters and quotes"
    )


def check_text(value: str, field: str) -> str:
    """A line for people. FieldInvalidError if it is too long or has control characters."""
    return _check(_TEXT, field, value, "must be at most 200 characters without control characters")


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
