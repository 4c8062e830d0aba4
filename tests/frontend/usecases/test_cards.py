"""Cards: whom they belong to, what logs in with them, and their end."""

import asyncio

import pytest

from drink_frontend.domain.cards import CardKey, CardKind
from drink_frontend.domain.entities import AuditKind, Proof
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AlreadyExistsError,
    CardKeyUnavailableError,
    CardNotFoundError,
    CredentialsInvalidError,
    FieldInvalidError,
    KioskRequiredError,
    NotOwnerError,
    TokenInvalidError,
    TooManyCardsError,
)
from drink_frontend.usecases.cards import CARDS_MAX, Cards
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.permits import Permit
from drink_frontend.usecases.settings import LoginSettings
from tests.support.bench import Bench
from tests.support.ids import ANN, ROOT

HERE = "192.0.2.1"
CHIP, SHORT, BARCODE = "04a2b3c4d5e6f708", "04a2b3c4", "4006381333931"


@pytest.fixture
def cards(bench: Bench) -> Cards:
    return bench.accounts.cards


async def test_a_long_number_logs_in_everywhere(bench: Bench, cards: Cards) -> None:
    card = await cards.add(ROOT, "Ann", CardKind.CHIP, CHIP, label="the blue one")

    assert (card.account, card.kiosk_only) == (ANN, False)
    for login in (
        await bench.accounts.login_card(CHIP.upper(), HERE),
        await bench.accounts.login_ibutton(CHIP, HERE),
    ):
        assert (login.account.name, login.digest, login.proof) == ("ann", card.digest, Proof.CARD)
    ann = await bench.account("ann")
    assert await cards.list(ann, "ann") == [card]
    assert CHIP.upper() not in bench.path.read_bytes().decode("latin-1")


async def test_an_ibutton_of_before_logs_in_as_a_card(bench: Bench) -> None:
    await bench.accounts.change(ROOT, "ann", ibutton=CHIP)
    login = await bench.accounts.login_card(CHIP, HERE)
    assert (login.account.name, login.proof) == ("ann", Proof.IBUTTON)


async def test_a_short_number_is_refused_whether_it_is_known_or_not(
    bench: Bench, cards: Cards
) -> None:
    card = await cards.add(ROOT, "ann", CardKind.CHIP, SHORT)
    assert card.kiosk_only
    assert (await cards.add(ROOT, "ann", CardKind.BARCODE, BARCODE)).kiosk_only
    for number in (SHORT, "FFFFFFFF", "1" * 15):
        with pytest.raises(KioskRequiredError):
            await bench.accounts.login_card(number, HERE)
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_ibutton(SHORT, HERE)


async def test_unknown_cards_and_those_of_closed_accounts_log_nobody_in(
    bench: Bench, cards: Cards
) -> None:
    await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    await bench.accounts.change(ROOT, "ann", closed=True)
    for number in (CHIP, "f" * 16):
        with pytest.raises(CredentialsInvalidError):
            await bench.accounts.login_card(number, HERE)


@pytest.mark.parametrize("number", ["", "1234567", "1" * 33, "xyzxyzxy", "12345678\0", "1234 5678"])
async def test_what_is_no_chips_number_is_refused(bench: Bench, cards: Cards, number: str) -> None:
    with pytest.raises(FieldInvalidError):
        await cards.add(ROOT, "ann", CardKind.CHIP, number)
    with pytest.raises(FieldInvalidError):
        await bench.accounts.login_card(number, HERE)


@pytest.mark.parametrize("number", ["", "12345", "1" * 65, "400638 1333931", "400638\n", "ä" * 8])
async def test_what_is_no_barcode_is_refused(cards: Cards, number: str) -> None:
    with pytest.raises(FieldInvalidError):
        await cards.add(ROOT, "ann", CardKind.BARCODE, number)


async def test_a_label_that_is_no_text_is_refused(bench: Bench, cards: Cards) -> None:
    for label in ("x" * 201, "a\nb", "\u202eabc"):
        with pytest.raises(FieldInvalidError):
            await cards.add(ROOT, "ann", CardKind.CHIP, CHIP, label=label)
    assert await cards.list(await bench.account("ann"), "ann") == []


async def test_a_card_belongs_to_one_account(bench: Bench, cards: Cards) -> None:
    await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    await bench.accounts.change(ROOT, "bob", ibutton="f" * 16)
    for name, number in (
        ("ann", CHIP.upper()),
        ("bob", CHIP),
        ("bob", "F" * 16),
        ("ann", "f" * 16),
    ):
        with pytest.raises(AlreadyExistsError):
            await cards.add(ROOT, name, CardKind.CHIP, number)
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.change(ROOT, "bob", ibutton=CHIP)
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, "eve", ibutton=CHIP)
    # A barcode of the same characters is another card.
    await cards.add(ROOT, "bob", CardKind.BARCODE, CHIP)


async def test_of_two_who_get_one_card_at_once_one_has_it(bench: Bench, cards: Cards) -> None:
    answers = await asyncio.gather(
        *(cards.add(ROOT, name, CardKind.CHIP, CHIP) for name in ("ann", "bob")),
        return_exceptions=True,
    )
    assert [type(each) for each in answers].count(AlreadyExistsError) == 1
    holder = (await bench.accounts.login_card(CHIP, HERE)).account.name
    assert holder in {"ann", "bob"}


async def test_cards_have_a_bound(cards: Cards) -> None:
    for number in range(CARDS_MAX):
        await cards.add(ROOT, "ann", CardKind.CHIP, f"{number:08}")
    with pytest.raises(TooManyCardsError) as refused:
        await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    assert refused.value.facts == {"cards_max": CARDS_MAX}
    await cards.add(ROOT, "bob", CardKind.CHIP, CHIP)


async def test_a_removed_card_lets_in_nobody_and_ends_what_cards_let_in(
    bench: Bench, cards: Cards
) -> None:
    card = await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    ann = await bench.account("ann")
    tokens = bench.accounts.tokens
    by_card, _ = await tokens.issue(ann, Proof.CARD)
    by_password, _ = await tokens.issue(ann)
    permit = Permit(ANN, ibutton=card.digest)
    now_ms = bench.clock.now_ms()
    assert await bench.storage.read(lambda tx: permit.account_now(tx, now_ms)) == ann

    await cards.remove(ann, "ann", card.id)

    assert await bench.storage.read(lambda tx: permit.account_now(tx, now_ms)) is None
    with pytest.raises(TokenInvalidError):
        await tokens.authenticate(by_card)
    assert (await tokens.authenticate(by_password)).account == ann
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_card(CHIP, HERE)
    with pytest.raises(CardNotFoundError):
        await cards.remove(ann, "ann", card.id)
    # The card is free for somebody else.
    await cards.add(ROOT, "bob", CardKind.CHIP, CHIP)


async def test_others_neither_see_nor_remove_a_card(bench: Bench, cards: Cards) -> None:
    card = await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    ann, bob, root = [await bench.account(name) for name in ("ann", "bob", "root")]
    for name in ("ann", "nobody"):
        with pytest.raises(NotOwnerError):
            await cards.list(bob, name)
        with pytest.raises(NotOwnerError):
            await cards.remove(bob, name, card.id)
    with pytest.raises(CardNotFoundError):
        await cards.remove(bob, "bob", card.id)
    for name in ("nobody", "funding"):
        with pytest.raises(AccountNotFoundError):
            await cards.add(ROOT, name, CardKind.CHIP, "f" * 16)
        with pytest.raises(AccountNotFoundError):
            await cards.list(root, name)
    assert await cards.list(ann, "ann") == await cards.list(root, "ANN") == [card]
    await cards.remove(root, "ann", card.id)
    facts = [record.facts for record in await bench.audit(AuditKind.ACCOUNT_CHANGED)]
    assert facts[-2:] == [
        {"card_added": card.id, "card_kind": "CHIP"},
        {"card_removed": card.id, "card_kind": "CHIP"},
    ]


async def test_an_account_that_is_opened_again_has_no_cards(bench: Bench, cards: Cards) -> None:
    await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    await bench.accounts.change(ROOT, "ann", closed=True)
    await bench.accounts.create(ROOT, "ann", readmit=True)
    assert await cards.list(await bench.account("ann"), "ann") == []
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_card(CHIP, HERE)


@pytest.mark.parametrize("key", [None, CardKey(b"another key of this house, later")])
async def test_without_the_key_of_the_cards_none_is_added(
    bench: Bench, cards: Cards, key: CardKey | None
) -> None:
    card = await cards.add(ROOT, "ann", CardKind.CHIP, CHIP)
    keyless = Cards(bench.storage, bench.clock, key, Logins(bench.clock, LoginSettings()), 8)
    with pytest.raises(CardKeyUnavailableError):
        await keyless.add("root", "ann", CardKind.CHIP, "f" * 16)
    ann = await bench.account("ann")
    assert await keyless.list(ann, "ann") == [card]
    await keyless.remove(ann, "ann", card.id)
