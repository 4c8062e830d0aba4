"""Kiosks: pairing, logins with cards, what these may buy, and what guessing costs."""

import asyncio
from collections.abc import Sequence

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    FieldInvalidError,
    KioskNotFoundError,
    MachineNotFoundError,
    RateLimitedError,
    TokenInvalidError,
    TokenScopeError,
    TooManyKiosksError,
)
from drink_frontend.domain.kiosks import KIOSKS_MAX, Kiosk
from drink_frontend.domain.tokens import Scope
from drink_frontend.usecases.kiosks import KioskCardLogin, Kiosks
from drink_frontend.usecases.settings import KioskSettings
from drink_frontend.usecases.tokens import digest
from tests.support.bench import Bench
from tests.support.ids import ANN
from tests.support.sessions import until

HERE = "192.0.2.1"
CHIP, SHORT, BARCODE = "04a2b3c4d5e6f708", "04a2b3c4", "4006381333931"
LIMITS = KioskSettings()


@pytest.fixture
def kiosks(bench: Bench) -> Kiosks:
    return bench.accounts.kiosks


async def paired(bench: Bench, machine: str = "d") -> Kiosk:
    made, code = await bench.accounts.kiosks.pair("root", machine, "by the door")
    kiosk, _ = await bench.accounts.kiosks.redeem(code, HERE)
    assert kiosk.sequence == made.sequence
    return kiosk


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
            await bench.accounts.kiosks.log_in(kiosk, number)
        except (CredentialsInvalidError, RateLimitedError) as error:
            refusals.append(type(error))
        bench.clock.pass_s(LIMITS.reads_interval_s)
    return refusals


async def test_a_code_pairs_once_and_gives_a_token(bench: Bench, kiosks: Kiosks) -> None:
    made, code = await kiosks.pair("root", "d", "by the door")
    assert (len(code), code.isdigit()) == (8, True)
    kiosk, token = await kiosks.redeem(code, HERE)
    assert await kiosks.authenticate(token) == kiosk
    assert await kiosks.list() == [kiosk]
    assert (kiosk.machine, kiosk.label) == ("d", "by the door")
    with pytest.raises(CredentialsInvalidError):
        await kiosks.redeem(code, HERE)
    with pytest.raises(TokenInvalidError):
        await bench.accounts.tokens.authenticate(token)
    kept = bench.path.read_bytes().decode("latin-1")
    assert token not in kept
    changes = [
        (record.actor, record.facts["kiosk_change"])
        for record in await bench.audit(AuditKind.MACHINE_CHANGED)
        if record.facts.get("kiosk") == made.sequence
    ]
    assert changes == [("root", "made"), (f"kiosk:{made.sequence}", "paired")]


async def test_of_two_who_redeem_one_code_one_is_paired(kiosks: Kiosks) -> None:
    _, code = await kiosks.pair("root", "d")
    answers = await asyncio.gather(
        *(kiosks.redeem(code, HERE) for _ in range(2)), return_exceptions=True
    )
    assert [type(each) for each in answers].count(CredentialsInvalidError) == 1


async def test_a_code_expires(bench: Bench, kiosks: Kiosks) -> None:
    _, code = await kiosks.pair("root", "d")
    bench.clock.pass_s(LIMITS.pairing_s)
    with pytest.raises(CredentialsInvalidError):
        await kiosks.redeem(code, HERE)
    assert await kiosks.list() == []


async def test_guessed_codes_are_slowed(bench: Bench, kiosks: Kiosks) -> None:
    await kiosks.pair("root", "d")
    answered = 0
    while not bench.clock.waits:
        guess = asyncio.create_task(kiosks.redeem(f"{answered:08}", HERE))
        await until(lambda guess=guess: guess.done() or bool(bench.clock.waits))  # type: ignore[misc]
        answered += guess.done()
    guess.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guess
    assert answered < 10
    for wrong in ("", "1234567", "123456789", "1234567x"):
        with pytest.raises(FieldInvalidError):
            await kiosks.redeem(wrong, HERE)


async def test_a_kiosk_needs_a_machine_and_there_is_a_bound(kiosks: Kiosks) -> None:
    with pytest.raises(MachineNotFoundError):
        await kiosks.pair("root", "nowhere")
    with pytest.raises(FieldInvalidError):
        await kiosks.pair("root", "d", "x" * 201)
    for _ in range(KIOSKS_MAX):
        await kiosks.pair("root", "d")
    with pytest.raises(TooManyKiosksError) as refused:
        await kiosks.pair("root", "d")
    assert refused.value.facts == {"kiosks_max": KIOSKS_MAX}


@pytest.mark.parametrize(
    ("kind", "number"),
    [(CardKind.CHIP, SHORT), (CardKind.CHIP, CHIP), (CardKind.BARCODE, BARCODE)],
)
async def test_every_kind_of_card_logs_in_and_buys(
    bench: Bench, kiosks: Kiosks, kind: CardKind, number: str
) -> None:
    kiosk = await paired(bench)
    await bench.accounts.cards.add("root", "ann", kind, number)
    login = await kiosks.log_in(kiosk, number)
    assert login.account.name == "ann"
    bearer = await bench.accounts.tokens.authenticate(login.token)
    assert (bearer.scope, bearer.kiosk and bearer.kiosk.machine) == (Scope.DROP, "d")
    drop = await buy(bench, login)
    assert (drop.state, drop.account) == (State.RESERVED, ANN)
    (record,) = await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id)
    assert record.facts["kiosk"] == kiosk.sequence


async def test_an_ibutton_of_before_logs_in(bench: Bench, kiosks: Kiosks) -> None:
    await bench.accounts.change("root", "bob", ibutton=CHIP)
    login = await kiosks.log_in(await paired(bench), CHIP.lower())
    assert login.account.name == "bob"


async def test_a_login_buys_at_its_machine_only(bench: Bench, kiosks: Kiosks) -> None:
    await with_card(bench)
    login = await kiosks.log_in(await paired(bench), SHORT)
    for machine in ("ld", "nowhere"):
        with pytest.raises(TokenScopeError):
            await buy(bench, login, machine=machine)
    assert await bench.credits() == (200, 0)


async def test_a_login_of_an_administrator_is_a_users(bench: Bench, kiosks: Kiosks) -> None:
    await with_card(bench, name="root")
    login = await kiosks.log_in(await paired(bench), SHORT)
    bearer = await bench.accounts.tokens.authenticate(login.token)
    assert not bearer.account.admin


async def test_a_login_buys_for_a_minute_and_follows_for_longer(
    bench: Bench, kiosks: Kiosks
) -> None:
    await with_card(bench)
    login = await kiosks.log_in(await paired(bench), SHORT)
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
    elsewhere = await kiosks.log_in(other, SHORT)
    first = await kiosks.log_in(kiosk, SHORT)
    await kiosks.log_in(kiosk, CHIP)
    with pytest.raises(TokenInvalidError):
        await buy(bench, first)
    await buy(bench, elsewhere, machine="ld")


async def test_an_ended_kiosk_logs_nobody_in_and_ends_its_logins(
    bench: Bench, kiosks: Kiosks
) -> None:
    await with_card(bench)
    _, code = await kiosks.pair("root", "d")
    kiosk, token = await kiosks.redeem(code, HERE)
    login = await kiosks.log_in(kiosk, SHORT)

    await kiosks.unpair("root", kiosk.sequence)

    with pytest.raises(TokenInvalidError):
        await kiosks.authenticate(token)
    with pytest.raises(TokenInvalidError):
        await kiosks.log_in(kiosk, SHORT)
    with pytest.raises(TokenInvalidError):
        await buy(bench, login)
    for sequence in (kiosk.sequence, 404):
        with pytest.raises(KioskNotFoundError):
            await kiosks.unpair("root", sequence)


async def test_a_code_of_an_ended_kiosk_is_refused(kiosks: Kiosks) -> None:
    made, code = await kiosks.pair("root", "d")
    await kiosks.unpair("root", made.sequence)
    with pytest.raises(CredentialsInvalidError):
        await kiosks.redeem(code, HERE)


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
            await kiosks.log_in(kiosk, number)
        said.add((str(refused.value), bench.storage.reads - reads))
    assert len(said) == 1


async def test_a_number_of_two_people_logs_in_neither(bench: Bench, kiosks: Kiosks) -> None:
    kiosk = await paired(bench)
    await bench.accounts.cards.add("root", "ann", CardKind.CHIP, "12345678")
    assert (await kiosks.log_in(kiosk, "12345678")).account.name == "ann"
    await bench.accounts.cards.add("root", "bob", CardKind.BARCODE, "12345678")
    with pytest.raises(CredentialsInvalidError):
        await kiosks.log_in(kiosk, "12345678")


@pytest.mark.parametrize("number", ["", "12345", "1" * 65, "1234 5678", "12345678\0", "ä" * 8])
async def test_what_is_no_card_is_refused(bench: Bench, kiosks: Kiosks, number: str) -> None:
    with pytest.raises(FieldInvalidError):
        await kiosks.log_in(await paired(bench), number)


async def test_guesses_end_in_an_alarm_and_let_nobody_in(bench: Bench, kiosks: Kiosks) -> None:
    kiosk, other = await paired(bench), await paired(bench, "ld")
    await with_card(bench)
    guesses = [f"{number:08x}" for number in range(LIMITS.failures_free + 5)]
    refusals = await refused_reads(bench, kiosk, guesses)
    assert refusals[: LIMITS.failures_free] == [CredentialsInvalidError] * LIMITS.failures_free
    assert refusals[-5:] == [RateLimitedError] * 5
    # A good card among them is refused as well.
    with pytest.raises(RateLimitedError) as refused:
        await kiosks.log_in(kiosk, SHORT)
    assert 0 < int(refused.value.facts["retry_after_seconds"]) <= LIMITS.failures_interval_s
    (alarm,) = await bench.review.list(kinds=(AlarmKind.CARDS_GUESSED,), limit=10)
    assert (alarm.subject, alarm.machine, alarm.count) == (f"kiosks/{kiosk.sequence}", "d", 1)
    assert (await kiosks.log_in(other, SHORT)).account.name == "ann"

    bench.clock.pass_s(LIMITS.failures_interval_s)
    assert (await kiosks.log_in(kiosk, SHORT)).account.name == "ann"
    bench.clock.pass_s(LIMITS.reads_interval_s)
    assert (await kiosks.log_in(kiosk, SHORT)).account.name == "ann"


async def test_guesses_at_once_are_no_more_than_one_after_another(
    bench: Bench, kiosks: Kiosks
) -> None:
    kiosk = await paired(bench)
    guesses = (kiosks.log_in(kiosk, f"{number:08x}") for number in range(100))
    refusals = [type(each) for each in await asyncio.gather(*guesses, return_exceptions=True)]
    assert refusals.count(CredentialsInvalidError) == LIMITS.reads_burst
    assert refusals.count(RateLimitedError) == 100 - LIMITS.reads_burst


async def test_one_card_is_read_so_often(bench: Bench, kiosks: Kiosks) -> None:
    kiosk, other = await paired(bench), await paired(bench, "ld")
    await with_card(bench)
    await with_card(bench, CHIP, "bob")
    for _ in range(LIMITS.card_burst):
        await kiosks.log_in(kiosk, SHORT)
    for each in (kiosk, other):
        with pytest.raises(RateLimitedError):
            await kiosks.log_in(each, SHORT)
    assert (await kiosks.log_in(kiosk, CHIP)).account.name == "bob"
    bench.clock.pass_s(LIMITS.card_interval_s)
    await kiosks.log_in(kiosk, SHORT)


async def test_without_a_key_ibuttons_log_in_and_cards_do_not(bench: Bench) -> None:
    await bench.accounts.change("root", "bob", ibutton=CHIP)
    await with_card(bench)
    kiosk = await paired(bench)
    keyless = bench.accounts.kiosks
    keyless._card_key = None
    assert (await keyless.log_in(kiosk, CHIP)).account.name == "bob"
    with pytest.raises(CredentialsInvalidError):
        await keyless.log_in(kiosk, SHORT)


async def test_a_machine_is_shown_with_its_slots(bench: Bench, kiosks: Kiosks) -> None:
    machine = await kiosks.shown(await paired(bench))
    assert (machine.name, [slot.number for slot in machine.slots]) == ("d", [1, 2])
    assert kiosks.now_ms() == bench.clock.now_ms()
