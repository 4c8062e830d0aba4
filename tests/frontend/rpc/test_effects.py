"""Effects are carried out to their end."""

import asyncio

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import SlotEmptyError
from drink_frontend.rpc.effects import Effects


async def test_gives_the_result_and_the_error() -> None:
    async def result() -> int:
        return 7

    async def error() -> int:
        raise SlotEmptyError("empty")

    effects = Effects()
    assert await effects.run(result()) == 7
    with pytest.raises(SlotEmptyError):
        await effects.run(error())


async def test_goes_on_without_its_caller_and_can_be_waited_for() -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def effect() -> None:
        await gate.wait()
        done.set()

    effects = Effects()
    caller = asyncio.create_task(effects.run(effect()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    finished = asyncio.create_task(effects.finished())
    await asyncio.sleep(0)
    assert not finished.done()
    gate.set()
    await asyncio.wait_for(finished, 5)
    assert done.is_set()


@pytest.mark.parametrize(("error", "logged"), [(SlotEmptyError("empty"), 0), (KeyError("x"), 1)])
async def test_a_fault_that_nobody_waits_for_is_logged(error: Exception, logged: int) -> None:
    gate = asyncio.Event()

    async def effect() -> None:
        await gate.wait()
        raise error

    effects = Effects()
    caller = asyncio.create_task(effects.run(effect()))
    await asyncio.sleep(0)
    caller.cancel()
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await caller
    with capture_logs() as logs:
        gate.set()
        await effects.finished()
    assert len([line for line in logs if line["event"] == "effect_failed"]) == logged
