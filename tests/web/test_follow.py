import asyncio
from pathlib import Path

from drink.v1 import drop_service_pb2 as pb
from drink_web.follow import Follower
from tests.support.rpc_frontend import ANN, BOB
from tests.web.visitor import LIMIT_S, running_house


async def test_a_drop_is_followed_to_its_end(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        follower = Follower(house.site.api, f"drops/{drop.id}", ANN)
        running = asyncio.create_task(follower.run())
        async with asyncio.timeout(LIMIT_S):
            while follower.drop is None:
                await follower.changed()
            assert follower.drop.state == pb.Drop.STATE_RESERVED
            await house.frontend.dispense(drop)
            await running
        assert follower.is_final
        assert follower.drop.state == pb.Drop.STATE_DISPENSED


async def test_somebody_elses_drop_is_not_followed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        follower = Follower(house.site.api, f"drops/{drop.id}", BOB)
        await asyncio.wait_for(follower.run(), LIMIT_S)
        assert follower.is_refused
        assert follower.drop is None


async def test_a_frontend_that_ends_is_told_and_asked_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        follower = Follower(house.site.api, f"drops/{drop.id}", ANN)
        running = asyncio.create_task(follower.run())
        async with asyncio.timeout(LIMIT_S):
            while follower.drop is None:
                await follower.changed()
            await house.frontend.server.stop(0)
            while not follower.is_lost:
                await follower.changed()
        assert not running.done()
        running.cancel()
