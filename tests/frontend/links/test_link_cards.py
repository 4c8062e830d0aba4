"""Cards that are read at the agent: they reach kiosks, and never the drops of the link."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import State
from drink_frontend.links.card_reads import WAITING_MAX
from drink_frontend.links.messages import CardRead, Dispense, ResultAck
from drink_frontend.usecases.card_logins import KioskCardLogin
from tests.fakes.agent import dispensed
from tests.frontend.links.rig import Rig
from tests.frontend.usecases.test_kiosks import paired
from tests.support.bench import Bench
from tests.support.sessions import until

CARD = "04a2b3c4"


@pytest.fixture
async def rig(bench: Bench) -> AsyncGenerator[Rig, None]:
    rig = Rig(bench)
    yield rig
    await rig.close()


async def test_a_card_is_told_the_kiosk_of_the_machine(rig: Rig) -> None:
    await rig.bench.accounts.cards.add("root", "ann", CardKind.CHIP, CARD)
    kiosk = await paired(rig.bench)
    await rig.open()
    async with aclosing(rig.cards.watch(kiosk)) as answers:
        assert await anext(answers) is None
        rig.agent.say(CardRead(CARD))
        answer = await anext(answers)
    assert isinstance(answer, KioskCardLogin)
    assert answer.account.name == "ann"
    # The agent is told nothing of it.
    await rig.answered()
    assert not rig.agent.heard_more()


@pytest.mark.parametrize("number", ["", "x", "1" * 65, "\0" * 8, "ä" * 8])
async def test_junk_ends_no_link(rig: Rig, number: str) -> None:
    drop = await rig.dispatched()
    rig.agent.say(CardRead(number))
    rig.agent.say(dispensed(drop.id))
    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)


async def test_drops_do_not_wait_for_cards(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even while the look-up of a card hangs, or fails by a fault of the program."""
    gate, asked = asyncio.Event(), []

    async def hang(*card: Any) -> None:
        asked.append(card)
        await gate.wait()
        raise ZeroDivisionError

    monkeypatch.setattr(rig.cards, "read_at_machine", hang)
    drop, later = await rig.place(1), await rig.place(2)
    await rig.open()
    assert (await rig.agent.hears(Dispense)).drop_id == drop.id
    for guess in range(100):
        rig.agent.say(CardRead(f"{guess:08x}"))
    rig.agent.say(dispensed(drop.id))
    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    assert (await rig.agent.hears(Dispense)).drop_id == later.id
    gate.set()
    await until(lambda: len(asked) >= WAITING_MAX)
    rig.agent.say(dispensed(later.id, sequence=2))
    assert await rig.agent.hears(ResultAck) == ResultAck(later.id, 1)
    assert await rig.state(later) is State.DISPENSED
    assert len(asked) <= WAITING_MAX + 1
