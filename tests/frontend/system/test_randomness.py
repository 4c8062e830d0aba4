"""Ids and secrets."""

import re
import time

import pytest

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import check_account, check_account_reference
from drink_frontend.system.randomness import SystemRandomness

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_a_drop_id_is_a_ulid_of_its_time() -> None:
    before = time.time_ns() // 1_000_000
    drop_id = SystemRandomness().drop_id()
    after = time.time_ns() // 1_000_000

    assert re.fullmatch(f"[{CROCKFORD}]{{26}}", drop_id)
    value = 0
    for character in drop_id:
        value = value * 32 + CROCKFORD.index(character)
    assert before <= value >> 80 <= after


def test_nothing_comes_twice() -> None:
    randomness = SystemRandomness()
    for draw in (randomness.drop_id, randomness.account_id, randomness.id, randomness.token):
        assert len({draw() for _ in range(1_000)}) == 1_000


def test_an_account_id_is_no_name() -> None:
    account_id = SystemRandomness().account_id()
    assert check_account_reference(account_id) == account_id
    with pytest.raises(FieldInvalidError):
        check_account(account_id)


def test_a_token_has_256_bits_and_fits_into_a_header() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", SystemRandomness().token())


def test_an_id_has_128_bits_and_begins_with_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = SystemRandomness().id()
    after = time.time_ns() // 1_000_000

    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert before <= int(made, 16) >> 80 <= after
