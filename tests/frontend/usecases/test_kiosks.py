"""Kiosks: pairing, logins with cards, what these may buy, and what guessing costs."""

import asyncio

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    FieldInvalidError,
    MachineNotFoundError,
    TokenInvalidError,
    TooManyKiosksError,
)
from drink_frontend.domain.kiosks import KIOSKS_MAX, Kiosk
from drink_frontend.usecases.kiosks import Kiosks
from drink_frontend.usecases.settings import KioskSettings
from tests.support.bench import Bench
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


async def test_a_code_of_an_ended_kiosk_is_refused(kiosks: Kiosks) -> None:
    made, code = await kiosks.pair("root", "d")
    await kiosks.unpair("root", made.sequence)
    with pytest.raises(CredentialsInvalidError):
        await kiosks.redeem(code, HERE)


async def test_a_machine_is_shown_with_its_slots(bench: Bench, kiosks: Kiosks) -> None:
    machine = await kiosks.shown(await paired(bench))
    assert (machine.name, [slot.number for slot in machine.slots]) == ("d", [1, 2])
    assert kiosks.now_ms() == bench.clock.now_ms()
