"""Cards that the reader of a machine's agent reads: which kiosk is told, and what guesses buy."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.errors import (
    FieldInvalidError,
    RateLimitedError,
    TokenInvalidError,
    TokenScopeError,
)
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.usecases.card_logins import CardLogins, KioskCardLogin, RefusedCard
from drink_frontend.usecases.kiosks import Kiosks
from drink_frontend.usecases.settings import KioskSettings
from drink_frontend.usecases.tokens import digest
from tests.frontend.usecases.test_card_logins import buy, with_card
from tests.frontend.usecases.test_kiosks import HERE, paired
from tests.support.bench import Bench
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


@asynccontextmanager
async def watching(logins: CardLogins, kiosk: Kiosk) -> AsyncIterator[Answers]:
    """A watch that has begun."""
    async with aclosing(logins.watch(kiosk)) as answers:
        assert await anext(answers) is None
        yield answers


async def next_of(answers: Answers) -> KioskCardLogin | RefusedCard | None:
    async with asyncio.timeout(20):
        return await anext(answers)


async def test_a_card_at_the_machine_logs_in_at_its_kiosk(bench: Bench, logins: CardLogins) -> None:
    await with_card(bench)
    kiosk, elsewhere = await paired(bench), await paired(bench, "ld")
    async with watching(logins, kiosk) as answers, watching(logins, elsewhere) as others:
        await logins.read_at_machine("d", "04 A2 B3 C4")
        login = await next_of(answers)
        assert isinstance(login, KioskCardLogin)
        assert (login.account.name, login.buys_s) == ("ann", 60)
        drop = await buy(bench, login)
        assert drop.account == ANN
        bench.clock.pass_s(LIMITS.reads_interval_s)
        await logins.read_at_machine("ld", SHORT)
        other = await next_of(others)
        assert isinstance(other, KioskCardLogin)
        with pytest.raises(TokenScopeError):
            await buy(bench, other, "r2", machine="d")
        # Another card ends the login before it.
        await logins.read_at_machine("d", SHORT)
        assert isinstance(await next_of(answers), KioskCardLogin)
        with pytest.raises(TokenInvalidError):
            await buy(bench, login, "r3")


async def test_an_unknown_card_at_the_machine_gets_a_code(bench: Bench, logins: CardLogins) -> None:
    kiosk, ann = await paired(bench), await bench.account("ann")
    async with watching(logins, kiosk) as answers:
        await logins.read_at_machine("d", SHORT)
        refused = await next_of(answers)
        assert isinstance(refused, RefusedCard)
        await bench.accounts.cards.add_with_code(ann, "ann", refused.code, HERE)
        await logins.read_at_machine("d", SHORT)
        assert isinstance(await next_of(answers), KioskCardLogin)
        kept = bench.path.read_bytes().decode("latin-1")
        assert digest(SHORT.upper()) not in kept


async def test_who_was_not_looking_gets_no_card(bench: Bench, logins: CardLogins) -> None:
    await with_card(bench)
    await with_card(bench, CHIP, "bob")
    kiosk = await paired(bench)
    await logins.read_at_machine("d", SHORT)
    async with watching(logins, kiosk) as answers:
        # The watch sleeps for longer than a read is good for.
        bench.clock.pass_s(LIMITS.read_s + 1)
        await logins.read_at_machine("d", SHORT)
        looked = bench.storage.reads
        following = asyncio.ensure_future(next_of(answers))
        await until(lambda: bench.storage.reads > looked)
        bench.clock.pass_s(LIMITS.reads_interval_s)
        await logins.read_at_machine("d", CHIP)
        login = await following
        assert isinstance(login, KioskCardLogin)
        assert login.account.name == "bob"
    tokens = await bench.storage.read(lambda tx: tx.tokens.list(ANN, bench.clock.now_ms()))
    assert tokens == []


async def test_a_card_that_is_removed_meanwhile_logs_nobody_in(
    bench: Bench, logins: CardLogins
) -> None:
    await with_card(bench)
    kiosk, root = await paired(bench), await bench.account("root")
    (card,) = await bench.accounts.cards.list(root, "ann")
    async with watching(logins, kiosk) as answers:
        await logins.read_at_machine("d", SHORT)
        await bench.accounts.cards.remove(root, "ann", card.id)
        assert await next_of(answers) == RefusedCard("", 0)


async def test_an_ended_kiosk_is_told_nothing(bench: Bench, logins: CardLogins) -> None:
    await with_card(bench)
    kiosk = await paired(bench)
    async with watching(logins, kiosk) as answers:
        await bench.accounts.kiosks.unpair("root", kiosk.sequence)
        await logins.read_at_machine("d", SHORT)
        with pytest.raises(TokenInvalidError):
            await next_of(answers)
    with pytest.raises(TokenInvalidError):
        await anext(logins.watch(kiosk))


async def test_a_further_watch_ends_the_one_before(bench: Bench, logins: CardLogins) -> None:
    await with_card(bench)
    kiosk = await paired(bench)
    async with watching(logins, kiosk) as old, watching(logins, kiosk) as new:
        await logins.read_at_machine("d", SHORT)
        assert isinstance(await next_of(new), KioskCardLogin)
        with pytest.raises(StopAsyncIteration):
            await next_of(old)


async def test_guesses_with_a_stolen_token_of_a_machine_buy_nothing(
    bench: Bench, logins: CardLogins
) -> None:
    await with_card(bench)
    await paired(bench)
    refused = 0
    for guess in range(LIMITS.failures_free + 5):
        bench.clock.pass_s(LIMITS.reads_interval_s)
        try:
            await logins.read_at_machine("d", f"{guess:08x}")
        except RateLimitedError:
            refused += 1
    assert refused == 5
    (alarm,) = await bench.review.list(kinds=(AlarmKind.CARDS_GUESSED,), limit=10)
    assert (alarm.subject, alarm.machine) == ("machines/d", "d")
    bench.clock.pass_s(LIMITS.failures_interval_s)
    # A good guess is told the kiosks of the machine alone; nobody watches there.
    await logins.read_at_machine("d", SHORT)
    tokens = await bench.storage.read(lambda tx: tx.tokens.list(ANN, bench.clock.now_ms()))
    assert tokens == []


async def test_a_card_that_is_read_in_bursts_is_limited(bench: Bench, logins: CardLogins) -> None:
    await with_card(bench)
    await paired(bench)
    reads = [logins.read_at_machine("d", SHORT) for _ in range(50)]
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(each) for each in answers].count(RateLimitedError) == 50 - LIMITS.card_burst


@pytest.mark.parametrize("number", ["", "12345", "1" * 65, "12345678\0", "\udcff" * 8])
async def test_junk_of_a_reader_is_refused(logins: CardLogins, number: str) -> None:
    with pytest.raises(FieldInvalidError):
        await logins.read_at_machine("d", number)
