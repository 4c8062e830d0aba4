"""Keyed hashes of cards' numbers, and which cards need a kiosk."""

import pytest

from drink_frontend.domain.cards import CARD_ID_DIGITS, Card, CardKey, CardKind, is_kiosk_only

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
