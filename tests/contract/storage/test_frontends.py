"""The contract of `FrontendTable`."""

from dataclasses import replace

from drink_frontend.domain.entities import FrontendInstance
from drink_frontend.storage.database import Database
from tests.fakes.books import NOW

ONE = FrontendInstance("F1", "one:1", "0.1", NOW + 1)
TWO = FrontendInstance("F2", "two:2", "0.1", NOW)


async def beat(storage: Database, peer: FrontendInstance) -> None:
    await storage.write(lambda tx: tx.frontends.beat(peer))


async def test_a_frontend_makes_itself_known_and_beats(storage: Database) -> None:
    for peer in (ONE, TWO, ONE):
        await beat(storage, peer)
    assert await storage.read(lambda tx: tx.frontends.list()) == [
        replace(TWO, beats=1),
        replace(ONE, beats=2),
    ]


async def test_a_frontend_is_removed_unless_it_has_beaten_since(storage: Database) -> None:
    for peer in (ONE, TWO, ONE):
        await beat(storage, peer)
    assert not await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=1)))
    assert await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=2)))
    assert not await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=2)))
    assert await storage.read(lambda tx: tx.frontends.list()) == [replace(TWO, beats=1)]
