"""Keyed hashes of cards' numbers, and which cards need a kiosk."""

import pytest

from drink_frontend.domain.cards import (
    CARD_ID_DIGITS,
    Card,
    CardKey,
    CardKind,
    CardRead,
    is_kiosk_only,
    kind_of,
    plain_number,
)

KEY = CardKey(b"k" * 32)


def test_a_number_has_one_digest_under_one_key() -> None:
    digest = KEY.digest(CardKind.CHIP, "04A2B3C4")
    assert digest == CardKey(b"k" * 32).digest(CardKind.CHIP, "04A2B3C4")
    others = {
        CardKey(b"K" * 32).digest(CardKind.CHIP, "04A2B3C4"),
        KEY.digest(CardKind.BARCODE, "04A2B3C4"),
        KEY.digest(CardKind.CHIP, "04A2B3C5"),
    }
    assert len(others | {digest}) == 4
    assert "04A2B3C4" not in digest


def test_a_key_has_an_id_that_is_not_the_key() -> None:
    assert KEY.id == CardKey(b"k" * 32).id != CardKey(b"K" * 32).id
    assert "kkk" not in KEY.id


@pytest.mark.parametrize(
    ("kind", "length", "kiosk_only"),
    [
        (CardKind.CHIP, 8, True),
        (CardKind.CHIP, 15, True),
        (CardKind.CHIP, 16, False),
        (CardKind.CHIP, 32, False),
        (CardKind.BARCODE, 64, True),
    ],
)
def test_short_numbers_and_barcodes_need_a_kiosk(
    kind: CardKind, length: int, kiosk_only: bool
) -> None:
    assert is_kiosk_only(kind, length) == kiosk_only
    card = Card("0123456789abcdef" * 4, "ann", kind, length, None, 0)
    assert card.kiosk_only == kiosk_only
    assert card.id == "0123456789abcdef"
    assert len(card.id) == CARD_ID_DIGITS
    assert card.digest not in repr(card)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("04:A2:B3:C4", "04A2B3C4"),
        (" 04 a2 b3 c4 d5 e6 f7\r\n", "04a2b3c4d5e6f7"),
        ("04-A2-B3-C4", "04A2B3C4"),
        ("04A2B3C4", "04A2B3C4"),
        ("04:A2-B3:C4", "04:A2-B3:C4"),
        ("04:A2:B3:C", "04:A2:B3:C"),
        ("member-0017", "member-0017"),
        ("", ""),
    ],
)
def test_readers_separate_bytes(text: str, number: str) -> None:
    assert plain_number(text) == number


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("04a2b3c4", CardKind.CHIP),
        ("12345678", CardKind.CHIP),
        ("0123456789", CardKind.CHIP),
        ("04A2B3C4D5E6F708", CardKind.CHIP),
        ("0" * 16, CardKind.BARCODE),
        ("4006381333931", CardKind.BARCODE),
        ("0" * 33, CardKind.BARCODE),
        ("ab" * 17, CardKind.BARCODE),
        ("card.17", CardKind.BARCODE),
    ],
)
def test_a_reader_does_not_say_what_it_has_read(number: str, kind: CardKind) -> None:
    assert kind_of(number) is kind


def test_a_read_shows_no_digest() -> None:
    assert "abc" not in repr(CardRead(1, "abc", CardKind.CHIP, 8, None, 0))
