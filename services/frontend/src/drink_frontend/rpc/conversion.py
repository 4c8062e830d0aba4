"""Converts between drink.v1 messages and the domain's values, for the services of users.

Resource names (AIP-122) and page tokens are written and parsed here too. Fields of requests are
checked one by one; FieldInvalidError names the field that is wrong.
"""

import base64
import binascii
import re
import struct
from hashlib import sha256
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import account_service_pb2, drop_service_pb2, machine_service_pb2
from drink_frontend.domain.cards import CARD_ID_DIGITS, Card, CardKind
from drink_frontend.domain.entities import (
    Account,
    EntrySelection,
    LedgerEntry,
    Machine,
    Reach,
    Slot,
)
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, TransferKind, sales_account
from drink_frontend.domain.limits import (
    PAGE_MAX,
    SLOT_MAX,
    check_account_reference,
    check_machine,
)
from drink_frontend.domain.stock import Sensor
from drink_frontend.domain.tokens import TOKEN_ID_DIGITS, AccessToken, Scope

PAGE_SIZE_DEFAULT = 50
"""Rows of a page whose size is not given; they fit on a screen."""

SENSORS = {sensor: machine_service_pb2.Slot.Sensor.Value(f"SENSOR_{sensor}") for sensor in Sensor}
"""The drink.v1 value of each sensor reading."""

SCOPES = {scope: account_service_pb2.TokenScope.Value(f"TOKEN_SCOPE_{scope}") for scope in Scope}
"""The drink.v1 value of each scope of a token."""

_CARD_KINDS = {kind: account_service_pb2.Card.Kind.Value(f"KIND_{kind}") for kind in CardKind}
_REACHES = {reach: machine_service_pb2.Machine.Reach.Value(f"REACH_{reach}") for reach in Reach}
_ENTRY_KINDS = {
    TransferKind.MOVE: account_service_pb2.Entry.KIND_TRANSFER,
    TransferKind.HOLD: account_service_pb2.Entry.KIND_HOLD,
    TransferKind.POST: account_service_pb2.Entry.KIND_POST,
    TransferKind.VOID: account_service_pb2.Entry.KIND_VOID,
}
_SCOPES_BY_WIRE: dict[int, Scope] = {
    account_service_pb2.TOKEN_SCOPE_UNSPECIFIED: Scope.ALL,
    **{wire: scope for scope, wire in SCOPES.items()},
}

_DROP_ID = re.compile(r"[0-9A-Z]{26}")
_TOKEN_ID = re.compile(rf"[0-9a-f]{{{TOKEN_ID_DIGITS}}}")
_CARD_ID = re.compile(rf"[0-9a-f]{{{CARD_ID_DIGITS}}}")
_SLOT_NUMBER = re.compile(r"[1-9][0-9]?")
_ITEM_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_SEQUENCE = struct.Struct(">Q")
_SEAL_BYTES = 10
_SEQUENCE_MAX = 2**63 - 1
_SECONDS_MIN, _SECONDS_MAX = -62_135_596_800, 253_402_300_799
"""The seconds of the first and of the last time that a Timestamp may be."""
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


def item_name(number: int) -> str:
    """`items/{item}`."""
    return f"items/{number}"


def entry_name(account: str, sequence: int) -> str:
    """`accounts/{account}/entries/{entry}`."""
    return f"accounts/{account}/entries/{sequence}"


def token_name(account: str, token: AccessToken) -> str:
    """`accounts/{account}/tokens/{token}`."""
    return f"accounts/{account}/tokens/{token.id}"


def card_name(account: str, card: Card) -> str:
    """`accounts/{account}/cards/{card}`."""
    return f"accounts/{account}/cards/{card.id}"


def counterpart_name(account: str) -> str:
    """`accounts/{account}` for a user's account, the plain name for funding and sales accounts."""
    if account == FUNDING_ACCOUNT or account.startswith(_SALES_PREFIX):
        return account
    return account_name(account)


def parse_drop(name: str, field: str) -> str:
    """The drop's id in `drops/{drop}`; FieldInvalidError if the name is invalid."""
    drop_id = name.removeprefix("drops/")
    if drop_id == name or not _DROP_ID.fullmatch(drop_id):
        raise FieldInvalidError(field, "must be drops/{drop}")
    return drop_id


def parse_account(name: str, field: str) -> str:
    """The account in `accounts/{account}`; FieldInvalidError if the name is invalid."""
    account = name.removeprefix("accounts/")
    if account == name:
        raise FieldInvalidError(field, "must be accounts/{account}")
    return check_account_reference(account, field)


def parse_token_name(name: str, field: str) -> tuple[str, str]:
    """Account and id of the token in `accounts/{account}/tokens/{token}`.

    Raises:
        FieldInvalidError: the name is invalid.
    """
    return _parse_below_account(name, field, "token", _TOKEN_ID)


def parse_card_name(name: str, field: str) -> tuple[str, str]:
    """Account and id of the card in `accounts/{account}/cards/{card}`.

    Raises:
        FieldInvalidError: the name is invalid.
    """
    return _parse_below_account(name, field, "card", _CARD_ID)


def _parse_below_account(name: str, field: str, what: str, id_: re.Pattern[str]) -> tuple[str, str]:
    """Account and id in `accounts/{account}/{what}s/{id}`."""
    account, _, found = name.partition(f"/{what}s/")
    if not id_.fullmatch(found):
        raise FieldInvalidError(field, f"must be accounts/{{account}}/{what}s/{{{what}}}")
    return parse_account(account, field), found


def parse_scope(scope: int) -> Scope:
    """The scope in a request; FieldInvalidError if there is no such scope."""
    wanted = _SCOPES_BY_WIRE.get(scope)
    if wanted is None:
        raise FieldInvalidError("scope", "must be a scope of a token")
    return wanted


def parse_machine(name: str, field: str) -> str:
    """The machine in `machines/{machine}`; FieldInvalidError if the name is invalid."""
    machine = name.removeprefix("machines/")
    if machine == name:
        raise FieldInvalidError(field, "must be machines/{machine}")
    return check_machine(machine, field)


def parse_slot(name: str, field: str) -> tuple[str, int]:
    """Machine and slot number in `machines/{machine}/slots/{slot}`.

    Raises:
        FieldInvalidError: the name is invalid.
    """
    machine, slots, number = name.partition("/slots/")
    if not slots:
        raise FieldInvalidError(field, "must be machines/{machine}/slots/{slot}")
    if not _SLOT_NUMBER.fullmatch(number):
        raise FieldInvalidError(field, f"the slot must be a number from 1 to {SLOT_MAX}")
    return parse_machine(machine, field), int(number)


def parse_item(name: str, field: str) -> int:
    """The item's number in `items/{item}`; FieldInvalidError if the name is invalid."""
    number = name.removeprefix("items/")
    if number == name or not _ITEM_NUMBER.fullmatch(number):
        raise FieldInvalidError(field, "must be items/{item}, a number from 1 to 999999")
    return int(number)


def timestamp(ms: int) -> Timestamp:
    """Milliseconds since the epoch as a Timestamp."""
    # FromMilliseconds takes three times as long.
    return Timestamp(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)


def optional_timestamp(ms: int | None) -> Timestamp | None:
    """The same, None for None."""
    return None if ms is None else timestamp(ms)


def account_message(account: Account) -> account_service_pb2.Account:
    """An account as a drink.v1 message."""
    return account_service_pb2.Account(
        name=account_name(account.name),
        id=account.id,
        admin=account.admin,
        posted_credits=account.posted,
        held_credits=account.held,
        available_credits=account.available,
        closed=account.closed,
        create_time=timestamp(account.since_ms),
        credit_limit=account.credit_limit,
        display_name=account.display_name or "",
    )


def entry_message(account: str, entry: LedgerEntry) -> account_service_pb2.Entry:
    """A ledger entry of `account` as a drink.v1 message."""
    return account_service_pb2.Entry(
        name=entry_name(account, entry.sequence),
        kind=_ENTRY_KINDS[entry.kind],
        credits=entry.credits,
        counterpart=counterpart_name(entry.counterpart),
        drop="" if entry.drop_id is None else drop_name(entry.drop_id),
        create_time=timestamp(entry.created_ms),
        actor=entry.actor or "",
        reason=entry.reason or "",
        item=entry.item or "",
        posted_change=entry.posted_change,
        held_change=entry.held_change,
    )


def token_message(
    account: str, token: AccessToken, current: str | None
) -> account_service_pb2.Token:
    """A bearer token as a drink.v1 message.

    Args:
        account: Name of its account.
        token: The token.
        current: Digest of the token of the call.
    """
    return account_service_pb2.Token(
        name=token_name(account, token),
        scope=SCOPES[token.scope],
        display_name=token.name or "",
        create_time=optional_timestamp(token.created_ms),
        last_use_time=optional_timestamp(token.used_ms),
        expire_time=timestamp(token.expires_ms),
        current=token.digest == current,
    )


def card_message(account: str, card: Card) -> account_service_pb2.Card:
    """A card of `account` as a drink.v1 message."""
    return account_service_pb2.Card(
        name=card_name(account, card),
        kind=_CARD_KINDS[card.kind],
        display_name=card.name or "",
        create_time=timestamp(card.created_ms),
        kiosk_only=card.kiosk_only,
    )


def entry_selection(request: account_service_pb2.ListEntriesRequest) -> EntrySelection:
    """Which entries a request wants."""
    kinds = {wire: kind for kind, wire in _ENTRY_KINDS.items()}
    wanted = set(request.kinds)
    if not wanted <= kinds.keys():
        raise FieldInvalidError("kinds", "must be kinds of entries")
    return EntrySelection(tuple(sorted(kinds[wire] for wire in wanted)), **time_range(request))


def time_range(
    request: account_service_pb2.ListEntriesRequest
    | drop_service_pb2.ListDropsRequest
    | machine_service_pb2.ListStockMovementsRequest
    | machine_service_pb2.ListTemperaturesRequest,
) -> dict[str, Any]:
    """The time that a request of a list gives, by the names in the selections."""
    given = {}
    if request.HasField("start_time"):
        given["from_ms"] = _ms(request.start_time, "start_time")
    if request.HasField("end_time"):
        given["before_ms"] = _ms(request.end_time, "end_time")
    return given


def _ms(time: Timestamp, field: str) -> int:
    """The first whole millisecond since the epoch that is not before a time of a request."""
    if not (_SECONDS_MIN <= time.seconds <= _SECONDS_MAX and 0 <= time.nanos < 1_000_000_000):
        raise FieldInvalidError(field, "must be a time from year 1 to 9999")
    return time.seconds * 1_000 + -(-time.nanos // 1_000_000)


def slot_message(slot: Slot) -> machine_service_pb2.Slot:
    """A slot as a drink.v1 message."""
    return machine_service_pb2.Slot(
        name=slot_name(slot.machine, slot.number),
        item=slot.item,
        price=slot.price,
        enabled=slot.enabled,
        available=slot.available,
        reserved=slot.reserved,
        dispensed=slot.dispensed,
        unknown=slot.unknown,
        sensor=SENSORS[slot.sensor],
        update_time=timestamp(slot.updated_ms),
        etag=slot.etag,
        sold_item="" if slot.item_number is None else item_name(slot.item_number),
        capacity=slot.capacity,
        low_stock_mark=slot.low_stock_mark,
        low_stock=slot.low_stock,
    )


def machine_message(machine: Machine) -> machine_service_pb2.Machine:
    """A machine with its slots as a drink.v1 message."""
    return machine_service_pb2.Machine(
        name=machine_name(machine.name),
        display_name=machine.display_name,
        location=machine.location,
        enabled=machine.enabled,
        reach=_REACHES[machine.reach],
        temperature_celsius=machine.temperature_celsius,
        slots=[slot_message(slot) for slot in machine.slots],
        reach_time=optional_timestamp(machine.reach_ms),
        temperature_time=optional_timestamp(machine.temperature_ms),
        agent_version=machine.agent_version or "",
        firmware_version=machine.firmware_version or "",
    )


def page_limit(page_size: int) -> int:
    """Rows of the page to return: `page_size`, at most PAGE_MAX (AIP-158)."""
    if page_size < 0:
        raise FieldInvalidError("page_size", "must not be negative")
    return min(page_size or PAGE_SIZE_DEFAULT, PAGE_MAX)


def page_token(sequence: int, scope: str) -> str:
    """The token of the page after the row with that sequence.

    Args:
        sequence: Sequence of the last row before the page.
        scope: Identifies the list and its filter, for which alone the token is valid.
    """
    packed = _SEQUENCE.pack(sequence)
    return base64.urlsafe_b64encode(packed + _seal(packed, scope)).decode()


def parse_page_token(token: str, scope: str) -> int | None:
    """The sequence below which the page begins; None for the first page.

    Raises:
        FieldInvalidError: the token was issued for another list, or was changed.
    """
    if not token:
        return None
    try:
        sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        (sequence,) = _SEQUENCE.unpack(sealed[: _SEQUENCE.size])
    except (binascii.Error, struct.error):
        raise FieldInvalidError("page_token", "is not one of this service") from None
    # Compared as text, since some bytes have more than one encoding in Base64.
    if not 1 <= sequence <= _SEQUENCE_MAX or token != page_token(sequence, scope):
        raise FieldInvalidError("page_token", "was not given out for this list")
    return int(sequence)


def page_token_after(name: str, scope: str) -> str:
    """The token of the page after the row with that name, for lists in the order of names."""
    packed = name.encode()
    return base64.urlsafe_b64encode(packed + _seal(packed, scope)).decode()


def parse_page_token_after(token: str, scope: str) -> str:
    """The name after which the page begins; empty for the first page.

    Raises:
        FieldInvalidError: the token was issued for another list, or was changed.
    """
    if not token:
        return ""
    try:
        sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        name = sealed[:-_SEAL_BYTES].decode("ascii")
    except ValueError:
        raise FieldInvalidError("page_token", "is not one of this service") from None
    if not name or token != page_token_after(name, scope):
        raise FieldInvalidError("page_token", "was not given out for this list")
    return name


def _seal(packed: bytes, scope: str) -> bytes:
    """A checksum of a row's key and its list, so that neither is mixed up by mistake.

    It is no secret: a made-up token shows only rows that the caller may see anyway.
    """
    return sha256(b"page" + packed + scope.encode()).digest()[:_SEAL_BYTES]
