"""A kiosk's cards as they are read at its machine, over restarts and beside other watches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from drink_frontend.domain.cards import CardKind
from drink_web.card_watch import CardWatch
from tests.support.tasks import beside
from tests.web.visitor import LIMIT_S, House, running_house

CARD = "04a2b3c4"


async def kiosk_of(house: House) -> tuple[int, CardWatch]:
    """The sequence of a paired kiosk at machine d, and its cards."""
    _, code = await house.bench.accounts.kiosks.pair("root", "d")
    kiosk, token = await house.bench.accounts.kiosks.redeem(code, "192.0.2.1")
    return kiosk.sequence, CardWatch(house.site.api, house.site.api.caller(token))


@asynccontextmanager
async def begun(watch: CardWatch) -> AsyncIterator[None]:
    async with beside(watch.run()):
        async with asyncio.timeout(LIMIT_S):
            while not watch.is_begun:
                await watch.changed()
        yield


async def read(house: House, watch: CardWatch) -> str:
    """Whom a card at the machine logs in; empty for nobody."""
    await house.bench.accounts.kiosks.cards.read_at_machine("d", CARD)
    async with asyncio.timeout(LIMIT_S):
        while (answer := watch.take()) is None:
            await watch.changed()
    assert watch.take() is None
    return str(answer.account.name)


async def test_cards_are_told_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.accounts.cards.add("root", "ann", CardKind.CHIP, CARD)
        _, watch = await kiosk_of(house)
        async with begun(watch):
            assert await read(house, watch) == "accounts/ann"
            assert await read(house, watch) == "accounts/ann"


async def test_an_unknown_card_is_told_with_its_code(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        _, watch = await kiosk_of(house)
        async with begun(watch):
            await house.bench.accounts.kiosks.cards.read_at_machine("d", CARD)
            async with asyncio.timeout(LIMIT_S):
                while (answer := watch.take()) is None:
                    await watch.changed()
            assert len(answer.refused_card.code) == 6
            assert answer.refused_card.code_duration.seconds == 300


async def test_an_ended_kiosk_is_watched_no_more(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        kiosk, watch = await kiosk_of(house)
        async with begun(watch):
            await house.bench.accounts.kiosks.unpair("root", kiosk)
            await house.bench.change_slot("d", 1, price=51)
            async with asyncio.timeout(LIMIT_S):
                while not watch.is_ended:
                    await watch.changed()


async def test_a_newer_watch_takes_over(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.accounts.cards.add("root", "ann", CardKind.CHIP, CARD)
        _, old = await kiosk_of(house)
        new = CardWatch(house.site.api, old._caller)
        running = asyncio.create_task(old.run())
        async with asyncio.timeout(LIMIT_S):
            while not old.is_begun:
                await old.changed()
        async with begun(new):
            assert await read(house, new) == "accounts/ann"
            await asyncio.wait_for(running, LIMIT_S)
            assert (old.take(), old.is_ended, old.is_begun) == (None, False, False)


async def test_a_frontend_that_is_away_is_asked_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        _, watch = await kiosk_of(house)
        async with begun(watch):
            await house.frontend.server.stop(0)
            async with asyncio.timeout(LIMIT_S):
                while watch.is_begun:
                    await watch.changed()
            assert not watch.is_ended
