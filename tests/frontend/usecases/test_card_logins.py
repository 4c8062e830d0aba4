"""Logins with cards at kiosks: what these may buy, what guessing costs, and codes for new cards."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.errors import (
    AlreadyExistsError,
    CardCodeInvalidError,
    CredentialsInvalidError,
    FieldInvalidError,
    KioskNotFoundError,
    NotOwnerError,
    RateLimitedError,
    TokenInvalidError,
    TokenScopeError,
)
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.tokens import Scope
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.card_logins import CardLogins, KioskCardLogin, RefusedCard
from drink_frontend.usecases.kiosks import Kiosks
from drink_frontend.usecases.settings import AccountSettings, KioskSettings
from drink_frontend.usecases.tokens import digest
from tests.fakes.randomness import CountingRandomness
from tests.frontend.usecases.test_kiosks import HERE, paired
from tests.support.bench import CARD_KEY, Bench
from tests.support.ids import ANN
from tests.support.sessions import until

CHIP, SHORT, BARCODE = "04a2b3c4d5e6f708", "04a2b3c4", "4006381333931"
LIMITS = KioskSettings()

Answers = AsyncGenerator[KioskCardLogin | RefusedCard | None, None]


@pytest.fixture
def kiosks(bench: Bench) -> Kiosks:
    return bench.accounts.kiosks


@pytest.fixture
def logins(bench: Bench) -> CardLogins:
    return bench.accounts.kiosks.cards


async def with_card(bench: Bench, number: str = SHORT, name: str = "ann") -> None:
    await bench.accounts.cards.add("root", name, CardKind.CHIP, number)


async def buy(
    bench: Bench, login: KioskCardLogin, request_id: str = "r1", machine: str = "d"
) -> Drop:
    return await bench.place(request_id, login.account.id, machine, token=digest(login.token))


async def refused_reads(
    bench: Bench, kiosk: Kiosk, numbers: Sequence[str]
) -> list[type[BaseException]]:
    """How each read is refused, with the time between them that a kiosk needs."""
    refusals: list[type[BaseException]] = []
    for number in numbers:
        try:
            await bench.accounts.kiosks.cards.log_in(kiosk, number)
        except (CredentialsInvalidError, RateLimitedError) as error:
            refusals.append(type(error))
        bench.clock.pass_s(LIMITS.reads_interval_s)
    return refusals


@pytest.mark.parametrize(
    ("kind", "number"),
    [(CardKind.CHIP, SHORT), (CardKind.CHIP, CHIP), (CardKind.BARCODE, BARCODE)],
)
async def test_every_kind_of_card_logs_in_and_buys(
    bench: Bench, kiosks: Kiosks, kind: CardKind, number: str
) -> None:
    kiosk = await paired(bench)
    await bench.accounts.cards.add("root", "ann", kind, number)
    login = await kiosks.cards.log_in(kiosk, number)
    assert login.account.name == "ann"
    bearer = await bench.accounts.tokens.authenticate(login.token)
    assert (bearer.scope, bearer.kiosk and bearer.kiosk.machine) == (Scope.DROP, "d")
    drop = await buy(bench, login)
    assert (drop.state, drop.account) == (State.RESERVED, ANN)
    (record,) = await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id)
    assert record.facts["kiosk"] == kiosk.sequence


async def test_an_ibutton_of_before_logs_in(bench: Bench, kiosks: Kiosks) -> None:
    await bench.accounts.change("root", "bob", ibutton=CHIP)
    login = await kiosks.cards.log_in(await paired(bench), CHIP.lower())
    assert login.account.name == "bob"


async def test_a_login_buys_at_its_machine_only(bench: Bench, kiosks: Kiosks) -> None:
    await with_card(bench)
    login = await kiosks.cards.log_in(await paired(bench), SHORT)
    for machine in ("ld", "nowhere"):
        with pytest.raises(TokenScopeError):
            await buy(bench, login, machine=machine)
    assert await bench.credits() == (200, 0)


async def test_a_login_of_an_administrator_is_a_users(bench: Bench, kiosks: Kiosks) -> None:
    await with_card(bench, name="root")
    login = await kiosks.cards.log_in(await paired(bench), SHORT)
    bearer = await bench.accounts.tokens.authenticate(login.token)
    assert not bearer.account.admin


async def test_a_login_buys_for_a_minute_and_follows_for_longer(
    bench: Bench, kiosks: Kiosks
) -> None:
    await with_card(bench)
    login = await kiosks.cards.log_in(await paired(bench), SHORT)
    bench.clock.pass_s(LIMITS.login_s - 0.001)
    first = await buy(bench, login)
    bench.clock.pass_s(0.001)
    with pytest.raises(TokenInvalidError):
        await buy(bench, login, "r2")
    # The same request again is the same drop: its answer may have been lost.
    assert (await buy(bench, login)).id == first.id
    await bench.accounts.tokens.authenticate(login.token)
    bench.clock.pass_s(LIMITS.follow_s)
    with pytest.raises(TokenInvalidError):
        await bench.accounts.tokens.authenticate(login.token)


async def test_the_next_login_ends_the_one_before(bench: Bench, kiosks: Kiosks) -> None:
    await with_card(bench)
    await with_card(bench, CHIP, "bob")
    kiosk, other = await paired(bench), await paired(bench, "ld")
    elsewhere = await kiosks.cards.log_in(other, SHORT)
    first = await kiosks.cards.log_in(kiosk, SHORT)
    await kiosks.cards.log_in(kiosk, CHIP)
    with pytest.raises(TokenInvalidError):
        await buy(bench, first)
    await buy(bench, elsewhere, machine="ld")


async def test_an_ended_kiosk_logs_nobody_in_and_ends_its_logins(
    bench: Bench, kiosks: Kiosks
) -> None:
    await with_card(bench)
    _, code = await kiosks.pair("root", "d")
    kiosk, token = await kiosks.redeem(code, HERE)
    login = await kiosks.cards.log_in(kiosk, SHORT)

    await kiosks.unpair("root", kiosk.sequence)

    with pytest.raises(TokenInvalidError):
        await kiosks.authenticate(token)
    with pytest.raises(TokenInvalidError):
        await kiosks.cards.log_in(kiosk, SHORT)
    with pytest.raises(TokenInvalidError):
        await buy(bench, login)
    for sequence in (kiosk.sequence, 404):
        with pytest.raises(KioskNotFoundError):
            await kiosks.unpair("root", sequence)


async def test_unknown_cards_are_refused_like_those_of_closed_accounts(
    bench: Bench, kiosks: Kiosks
) -> None:
    """The same error after the same units of work."""
    kiosk = await paired(bench)
    await with_card(bench)
    await bench.accounts.change("root", "ann", closed=True)
    said = set()
    for number in (SHORT, "ffffffff", "1234567890123"):
        reads = bench.storage.reads
        with pytest.raises(CredentialsInvalidError) as refused:
            await kiosks.cards.log_in(kiosk, number)
        said.add((str(refused.value), bench.storage.reads - reads))
    assert len(said) == 1


async def test_a_number_of_two_people_logs_in_neither(bench: Bench, kiosks: Kiosks) -> None:
    kiosk = await paired(bench)
    await bench.accounts.cards.add("root", "ann", CardKind.CHIP, "12345678")
    assert (await kiosks.cards.log_in(kiosk, "12345678")).account.name == "ann"
    await bench.accounts.cards.add("root", "bob", CardKind.BARCODE, "12345678")
    with pytest.raises(CredentialsInvalidError):
        await kiosks.cards.log_in(kiosk, "12345678")


@pytest.mark.parametrize("number", ["", "12345", "1" * 65, "1234 5678", "12345678\0", "ä" * 8])
async def test_what_is_no_card_is_refused(bench: Bench, kiosks: Kiosks, number: str) -> None:
    with pytest.raises(FieldInvalidError):
        await kiosks.cards.log_in(await paired(bench), number)


async def test_guesses_end_in_an_alarm_and_let_nobody_in(bench: Bench, kiosks: Kiosks) -> None:
    kiosk, other = await paired(bench), await paired(bench, "ld")
    await with_card(bench)
    guesses = [f"{number:08x}" for number in range(LIMITS.failures_free + 5)]
    refusals = await refused_reads(bench, kiosk, guesses)
    assert refusals[: LIMITS.failures_free] == [CredentialsInvalidError] * LIMITS.failures_free
    assert refusals[-5:] == [RateLimitedError] * 5
    # A good card among them is refused as well.
    with pytest.raises(RateLimitedError) as refused:
        await kiosks.cards.log_in(kiosk, SHORT)
    assert 0 < int(refused.value.facts["retry_after_seconds"]) <= LIMITS.failures_interval_s
    (alarm,) = await bench.review.list(kinds=(AlarmKind.CARDS_GUESSED,), limit=10)
    assert (alarm.subject, alarm.machine, alarm.count) == (f"kiosks/{kiosk.sequence}", "d", 1)
    assert (await kiosks.cards.log_in(other, SHORT)).account.name == "ann"

    bench.clock.pass_s(LIMITS.failures_interval_s)
    assert (await kiosks.cards.log_in(kiosk, SHORT)).account.name == "ann"
    bench.clock.pass_s(LIMITS.reads_interval_s)
    assert (await kiosks.cards.log_in(kiosk, SHORT)).account.name == "ann"


async def test_guesses_at_once_are_no_more_than_one_after_another(
    bench: Bench, kiosks: Kiosks
) -> None:
    kiosk = await paired(bench)
    guesses = (kiosks.cards.log_in(kiosk, f"{number:08x}") for number in range(100))
    refusals = [type(each) for each in await asyncio.gather(*guesses, return_exceptions=True)]
    assert refusals.count(CredentialsInvalidError) == LIMITS.reads_burst
    assert refusals.count(RateLimitedError) == 100 - LIMITS.reads_burst


async def test_one_card_is_read_so_often(bench: Bench, kiosks: Kiosks) -> None:
    kiosk, other = await paired(bench), await paired(bench, "ld")
    await with_card(bench)
    await with_card(bench, CHIP, "bob")
    for _ in range(LIMITS.card_burst):
        await kiosks.cards.log_in(kiosk, SHORT)
    for each in (kiosk, other):
        with pytest.raises(RateLimitedError):
            await kiosks.cards.log_in(each, SHORT)
    assert (await kiosks.cards.log_in(kiosk, CHIP)).account.name == "bob"
    bench.clock.pass_s(LIMITS.card_interval_s)
    await kiosks.cards.log_in(kiosk, SHORT)


async def test_without_a_key_ibuttons_log_in_and_cards_do_not(bench: Bench) -> None:
    await bench.accounts.change("root", "bob", ibutton=CHIP)
    await with_card(bench)
    kiosk = await paired(bench)
    keyless = bench.accounts.kiosks.cards
    keyless._card_key = None
    assert (await keyless.log_in(kiosk, CHIP)).account.name == "bob"
    with pytest.raises(CredentialsInvalidError):
        await keyless.log_in(kiosk, SHORT)


async def test_an_unknown_card_is_added_with_its_code_once(
    bench: Bench, logins: CardLogins
) -> None:
    kiosk, cards = await paired(bench), bench.accounts.cards
    refused = await logins.answer(kiosk, "04:A2:B3:C4")
    assert isinstance(refused, RefusedCard)
    assert (len(refused.code), refused.code.isdigit(), refused.good_s) == (6, True, 300)
    ann, bob = await bench.account("ann"), await bench.account("bob")

    with pytest.raises(NotOwnerError):
        await cards.add_with_code(bob, "ann", refused.code, HERE)
    card = await cards.add_with_code(ann, "ann", refused.code, HERE, label="the white one")

    assert (card.kind, card.length, card.name) == (CardKind.CHIP, 8, "the white one")
    with pytest.raises(CardCodeInvalidError):
        await cards.add_with_code(ann, "ann", refused.code, HERE)
    assert isinstance(await logins.answer(kiosk, SHORT), KioskCardLogin)
    (record,) = [
        each for each in await bench.audit(AuditKind.ACCOUNT_CHANGED) if "card_added" in each.facts
    ]
    assert (record.actor, record.facts["kiosk"]) == ("ann", kiosk.sequence)
    kept = bench.path.read_bytes().decode("latin-1")
    assert refused.code not in kept
    assert SHORT.upper() not in kept


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (CHIP, CardKind.CHIP),
        ("12345678", CardKind.CHIP),
        (BARCODE, CardKind.BARCODE),
        # It could log in anywhere as a chip, and whoever sees it can copy it.
        ("1234567890123456", CardKind.BARCODE),
        ("member-0017", CardKind.BARCODE),
    ],
)
async def test_a_code_adds_what_was_read(
    bench: Bench, logins: CardLogins, number: str, kind: CardKind
) -> None:
    kiosk, ann = await paired(bench), await bench.account("ann")
    refused = await logins.answer(kiosk, number)
    assert isinstance(refused, RefusedCard)
    card = await bench.accounts.cards.add_with_code(ann, "ann", refused.code, HERE)
    assert (card.kind, card.length) == (kind, len(number))
    assert (await logins.log_in(kiosk, number)).account.name == "ann"


async def test_of_two_who_claim_a_card_the_first_keeps_it(bench: Bench, logins: CardLogins) -> None:
    one, other = await paired(bench), await paired(bench, "ld")
    codes = [await logins.answer(each, SHORT) for each in (one, other)]
    ann, bob = await bench.account("ann"), await bench.account("bob")
    first, second = (each.code for each in codes if isinstance(each, RefusedCard))
    await bench.accounts.cards.add_with_code(ann, "ann", first, HERE)
    with pytest.raises(AlreadyExistsError) as refused:
        await bench.accounts.cards.add_with_code(bob, "bob", second, HERE)
    assert (str(refused.value), refused.value.facts) == ("another account has this card", {})
    with pytest.raises(CardCodeInvalidError):
        await bench.accounts.cards.add_with_code(bob, "bob", first, HERE)
    assert (await logins.log_in(one, SHORT)).account.name == "ann"
    root = await bench.account("root")
    (card,) = await bench.accounts.cards.list(root, "ann")
    await bench.accounts.cards.remove(root, "ann", card.id)
    await bench.accounts.cards.add_with_code(bob, "bob", second, HERE)
    assert (await logins.log_in(one, SHORT)).account.name == "bob"


async def test_a_code_is_too_old_after_its_time(bench: Bench, logins: CardLogins) -> None:
    refused = await logins.answer(await paired(bench), SHORT)
    assert isinstance(refused, RefusedCard)
    bench.clock.pass_s(LIMITS.card_code_s)
    with pytest.raises(CardCodeInvalidError):
        await bench.accounts.cards.add_with_code(
            await bench.account("ann"), "ann", refused.code, HERE
        )


async def test_guessed_codes_are_slowed(bench: Bench) -> None:
    ann, cards, answered = await bench.account("ann"), bench.accounts.cards, 0
    while not bench.clock.waits:
        guess = asyncio.create_task(cards.add_with_code(ann, "ann", f"{answered:06}", HERE))
        await until(lambda guess=guess: guess.done() or bool(bench.clock.waits))  # type: ignore[misc]
        answered += guess.done()
    guess.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guess
    assert answered < 10
    for wrong in ("", "12345", "1234567", "12345x"):
        with pytest.raises(FieldInvalidError):
            await cards.add_with_code(ann, "ann", wrong, HERE)


async def test_a_known_card_of_a_closed_account_gets_a_code_that_adds_nothing(
    bench: Bench, logins: CardLogins
) -> None:
    await with_card(bench)
    await bench.accounts.change("root", "ann", closed=True)
    refused = await logins.answer(await paired(bench), SHORT)
    assert isinstance(refused, RefusedCard)
    bob = await bench.account("bob")
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.cards.add_with_code(bob, "bob", refused.code, HERE)


async def test_a_house_may_refuse_short_chips(bench: Bench) -> None:
    settings = KioskSettings(chip_digits_min=14)
    strict = CardLogins(bench.storage, bench.clock, CountingRandomness("S"), settings, CARD_KEY)
    kiosk = await paired(bench)
    await with_card(bench)
    await with_card(bench, CHIP, "bob")
    assert await strict.answer(kiosk, SHORT) == RefusedCard("", 0)
    assert (await strict.log_in(kiosk, CHIP)).account.name == "bob"
    assert isinstance(await strict.answer(kiosk, BARCODE), RefusedCard)
    accounts = AccountSettings(kiosks=settings)
    cards = Accounts(
        bench.storage,
        bench.hasher,
        bench.clock,
        CountingRandomness("A"),
        accounts,
        card_key=CARD_KEY,
    ).cards
    with pytest.raises(FieldInvalidError):
        await cards.add("root", "ann", CardKind.CHIP, "04a2b3c5")
