"""Resource names (AIP-122) and page tokens: written here, and read from strangers here."""

import base64
import binascii
import re
import struct
from hashlib import sha256

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, sales_account
from drink_frontend.domain.limits import SLOT_MAX, check_account, check_machine

_DROP_ID = re.compile(r"[0-9A-Z]{26}")
_SLOT_NUMBER = re.compile(r"[1-9][0-9]?")
_SEQUENCE = struct.Struct(">Q")
_SEAL_BYTES = 10
_SEQUENCE_MAX = 2**63 - 1
_SALES_PREFIX = sales_account("")


def drop_name(drop_id: str) -> str:
    """`drops/{drop}`."""
    return f"drops/{drop_id}"


def account_name(account: str) -> str:
    """`accounts/{account}`."""
    return f"accounts/{account}"


def machine_name(machine: str) -> str:
    """`machines/{machine}`."""
    return f"machines/{machine}"


def slot_name(machine: str, number: int) -> str:
    """`machines/{machine}/slots/{slot}`."""
    return f"machines/{machine}/slots/{number}"


def entry_name(account: str, sequence: int) -> str:
    """`accounts/{account}/entries/{entry}`."""
    return f"accounts/{account}/entries/{sequence}"


def counterpart_name(account: str) -> str:
    """`accounts/{account}` for a user's account, the plain name for one of the books' own."""
    if account == FUNDING_ACCOUNT or account.startswith(_SALES_PREFIX):
        return account
    return account_name(account)


def parse_drop(name: str, field: str) -> str:
    """The drop's id in `drops/{drop}`. FieldInvalidError if it is no such name."""
    drop_id = name.removeprefix("drops/")
    if drop_id == name or not _DROP_ID.fullmatch(drop_id):
        raise FieldInvalidError(field, "must be drops/{drop}")
    return drop_id


def parse_account(name: str, field: str) -> str:
    """The account in `accounts/{account}`. FieldInvalidError if it is no such name."""
    account = name.removeprefix("accounts/")
    if account == name:
        raise FieldInvalidError(field, "must be accounts/{account}")
    return check_account(account, field)


def parse_machine(name: str, field: str) -> str:
    """The machine in `machines/{machine}`. FieldInvalidError if it is no such name."""
    machine = name.removeprefix("machines/")
    if machine == name:
        raise FieldInvalidError(field, "must be machines/{machine}")
    return check_machine(machine, field)


def parse_slot(name: str, field: str) -> tuple[str, int]:
    """Machine and slot number in `machines/{machine}/slots/{slot}`.

    Raises:
        FieldInvalidError: it is no such name.
    """
    machine, slots, number = name.partition("/slots/")
    if not slots:
        raise FieldInvalidError(field, "must be machines/{machine}/slots/{slot}")
    if not _SLOT_NUMBER.fullmatch(number):
        raise FieldInvalidError(field, f"the slot must be a number from 1 to {SLOT_MAX}")
    return parse_machine(machine, field), int(number)


def page_token(sequence: int, scope: str) -> str:
    """The token of the page after the row with that sequence; `scope` names list and filter."""
    packed = _SEQUENCE.pack(sequence)
    return base64.urlsafe_b64encode(packed + _seal(packed, scope)).decode()


def parse_page_token(token: str, scope: str) -> int | None:
    """The sequence that the page begins below; None for the first page.

    Raises:
        FieldInvalidError: the token was not given out for this list, or is not as it was given out.
    """
    if not token:
        return None
    try:
        sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        (sequence,) = _SEQUENCE.unpack(sealed[: _SEQUENCE.size])
    except (binascii.Error, struct.error):
        raise FieldInvalidError("page_token", "is not one of this service") from None
    # As a whole: some bytes have more than one spelling in Base64.
    if not 1 <= sequence <= _SEQUENCE_MAX or token != page_token(sequence, scope):
        raise FieldInvalidError("page_token", "was not given out for this list")
    return int(sequence)


def _seal(packed: bytes, scope: str) -> bytes:
    """Ties a sequence to its list, so that neither can be exchanged by mistake.

    No secret: whoever makes a token up sees only rows that they may see anyway.
    """
    return sha256(b"page" + packed + scope.encode()).digest()[:_SEAL_BYTES]
