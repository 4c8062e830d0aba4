"""The contract of `FrontendTable`."""

from dataclasses import replace

from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.storage.database import Database
from tests.support.books import NOW

ONE = FrontendInstance("F1", "one:1", "0.1", NOW + 1)
TWO = FrontendInstance("F2", "two:2", "0.1", NOW)


async def beat(storage: Database, frontend: FrontendInstance) -> None:
    await storage.write(lambda tx: tx.frontends.beat(frontend))


async def test_a_frontend_makes_itself_known_and_beats(storage: Database) -> None:
    for frontend in (ONE, TWO, ONE):
        await beat(storage, frontend)
    assert await storage.read(lambda tx: tx.frontends.list()) == [
        replace(TWO, beats=1),
        replace(ONE, beats=2),
    ]


async def test_a_frontend_is_removed_unless_it_has_beaten_since(storage: Database) -> None:
    for frontend in (ONE, TWO, ONE):
        await beat(storage, frontend)
    assert not await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=1)))
    assert await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=2)))
    assert not await storage.write(lambda tx: tx.frontends.remove(replace(ONE, beats=2)))
    assert await storage.read(lambda tx: tx.frontends.list()) == [replace(TWO, beats=1)]


async def test_the_frontend_that_started_first_leads(storage: Database) -> None:
    assert not await storage.read(lambda tx: tx.frontends.leads(ONE.id))
    for frontend in (ONE, TWO):
        await beat(storage, frontend)
    assert await storage.read(lambda tx: tx.frontends.leads(TWO.id))
    assert not await storage.read(lambda tx: tx.frontends.leads(ONE.id))
