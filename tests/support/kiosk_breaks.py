"""What breaks each guard of the tables of kiosks; see `test_tables`."""

from enum import StrEnum
from typing import Any

from tests.support.ids import BOB, id_of

NOBODY = id_of("nobody")


def insert(table: str, **values: Any) -> str:
    """A statement that inserts one row, written out."""
    texts = ("NULL" if value is None else repr(value) for value in map(_plain, values.values()))
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(texts)})"


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


KIOSK: dict[str, Any] = {"machine": "d", "created_ms": 0, "code_expires_ms": 1}

CARD_READ: dict[str, Any] = {
    "kiosk": 1,
    "digest": "x",
    "kind": "CHIP",
    "length": 8,
    "expires_ms": 1,
}

KIOSK_TOKEN: dict[str, Any] = {
    "digest": "x",
    "account": BOB,
    "kiosk": 1,
    "buys_until_ms": 1,
    "expires_ms": 2,
    "made_by": "CARD",
    "created_ms": 0,
}

KIOSK_BREAKS = {
    "kiosks_key": insert("kiosks", **KIOSK | {"sequence": 1}),
    "kiosks_machine_exists": insert("kiosks", **KIOSK | {"machine": "nowhere"}),
    "kiosks_code_digest_once": insert("kiosks", **KIOSK | {"code_digest": "kiosk code"}),
    "kiosks_token_digest_once": insert(
        "kiosks", **KIOSK | {"token_digest": "kiosk token", "paired_ms": 1}
    ),
    "kiosks_code": insert("kiosks", **KIOSK | {"code_digest": "x", "ended_ms": 1}),
    "kiosks_token": insert("kiosks", **KIOSK | {"token_digest": "x"}),
    "kiosk_tokens_key": insert("kiosk_tokens", **KIOSK_TOKEN | {"digest": "at-kiosk"}),
    "kiosk_tokens_account_exists": insert("kiosk_tokens", **KIOSK_TOKEN | {"account": NOBODY}),
    "kiosk_tokens_kiosk_exists": insert("kiosk_tokens", **KIOSK_TOKEN | {"kiosk": 9}),
    "kiosk_tokens_times": insert("kiosk_tokens", **KIOSK_TOKEN | {"buys_until_ms": 3}),
    "card_reads_key": insert("card_reads", **CARD_READ | {"sequence": 1}),
    "card_reads_kiosk_exists": insert("card_reads", **CARD_READ | {"kiosk": 9}),
    "card_reads_account_exists": insert("card_reads", **CARD_READ | {"account": NOBODY}),
    "card_reads_code_digest_once": insert("card_reads", **CARD_READ | {"code_digest": "card code"}),
    "card_reads_kind": insert("card_reads", **CARD_READ | {"kind": "RING"}),
    "card_reads_code": insert("card_reads", **CARD_READ | {"code_digest": "x", "digest": None}),
}
"""By the name of the guard: a statement that it refuses."""
