"""Which frontends serve, on the command line."""

import asyncio

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.storage.database import Database
from tests.frontend.admin.conftest import Operator
from tests.support.books import NOW


def test_frontends_are_listed_with_the_machines_linked_to_them(operator: Operator) -> None:
    operator.admin("machine", "add", "d", "Big Drink")

    async def serve() -> None:
        async with Database.open(operator.settings.storage) as storage:
            for name, started_ms in (("there:2", 1_800_000_060_000), ("here:1", 1_800_000_000_000)):
                peer = FrontendInstance(f"id of {name}", name, "0.1.0", started_ms)
                await storage.write(lambda tx, peer=peer: tx.frontends.beat(peer))  # type: ignore[misc]
            await storage.write(
                lambda tx: tx.machines.open_link(
                    "d", "J", 0, "id of there:2", Reach.READY, now_ms=NOW
                )
            )

    assert operator.admin("frontends").split() == ["frontend", "version", "since", "machines"]
    asyncio.run(serve())
    header, *lines = [line.split() for line in operator.admin("frontends").splitlines()]
    assert header == ["frontend", "version", "since", "machines"]
    assert lines == [
        ["here:1", "0.1.0", "2027-01-15", "08:00:00Z", "-"],
        ["there:2", "0.1.0", "2027-01-15", "08:01:00Z", "d"],
    ]
