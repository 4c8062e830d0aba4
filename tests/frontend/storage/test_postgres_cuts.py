"""A connection to PostgreSQL that is cut behind any byte of a turn: what is known is true."""

import random
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.usecases.placement import DropOrder, Placement
from drink_frontend.usecases.settings import DropSettings
from scripts.proxy import Way
from tests.fakes.cutting_proxy import CuttingProxy
from tests.support.books import NOW, found, fund, load
from tests.support.ids import ALICE
from tests.support.postgres import execute, fresh_postgres

CUTS = 40
"""Bytes behind which the connection is cut in the short form of the test, in each direction."""

LAST = 100
"""Bytes at the end of a turn that some turns do not have, since numbers have fewer digits."""


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres(
        reconnect_ms=10,
        reconnect_max_ms=10,
        write_retry_ms=1,
        doubt_limit_ms=20_000,
        # The only reader does not look by itself, so that all bytes are the writer's.
        readers=1,
        reader_look_ms=60_000,
    )


@pytest.fixture
def proxy(settings: StorageSettings) -> Iterator[CuttingProxy]:
    with CuttingProxy(urlsplit(settings.url or "").port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def storage(settings: StorageSettings, proxy: CuttingProxy) -> AsyncIterator[Database]:
    """A frontend that reaches its server through the proxy."""
    parts = urlsplit(settings.url or "")
    host = parts.netloc.rpartition(":")[0]
    url = parts._replace(netloc=f"{host}:{proxy.port}").geturl()
    # A command beside a frontend does not listen to others.
    async with Database.open(settings.model_copy(update={"url": url}), beside=True) as storage:
        await storage.write(found)
        await storage.write(lambda tx: fund(tx, ALICE, 1_000_000, "more"))
        await storage.write(lambda tx: load(tx, "d", 1, 10_000))
        yield storage
        assert await storage.verify() == []


def placement(number: int) -> Placement:
    """An order for later, which no other drop is in the way of."""
    order = DropOrder(ALICE, f"request-{number:07d}", "d", 1, delay_s=60)
    limits = DropSettings(scheduled_max=10_000, waiting_per_account_max=1_000)
    return Placement(order, limits, f"{number:026d}", f"hold-{number:07d}", 1, NOW)


async def turn(storage: Database, number: int) -> bool:
    """One order in a turn of its own; whether it is known to be placed."""
    order = placement(number)
    try:
        await storage.write(order.carry_out, order.needs)
    except StorageUnavailableError:
        return False
    return True


async def cut_behind(
    storage: Database, settings: StorageSettings, proxy: CuttingProxy, way: Way, numbers: list[int]
) -> None:
    """Cuts behind each of these bytes of a turn, and looks at what is in the database then."""
    for place_of_cut in numbers:
        number = 1_000 + place_of_cut + (500_000 if way is Way.DOWN else 0)
        cuts = proxy.cuts
        proxy.arm(way, place_of_cut)
        is_placed = await turn(storage, number)
        proxy.arm(way, None)
        assert proxy.cuts == cuts + 1, f"{way} {place_of_cut}: the turn has fewer bytes"
        kept = execute(settings, f"SELECT 1 FROM drops WHERE id = '{number:026d}'")
        assert bool(kept) == is_placed, f"{way} {place_of_cut}"
        again = await storage.write(placement(number).carry_out, placement(number).needs)
        assert again.is_new is not is_placed


async def length_of_turn(storage: Database, proxy: CuttingProxy) -> dict[Way, int]:
    """Bytes of a turn in each direction, with all statements prepared."""
    for number in range(3):
        proxy.arm(Way.UP, None)
        assert await turn(storage, number)
    return dict(proxy.passed)


@pytest.mark.parametrize("way", list(Way))
async def test_fault_38_a_turn_that_is_cut_anywhere_loses_and_repeats_nothing(
    storage: Database, settings: StorageSettings, proxy: CuttingProxy, way: Way
) -> None:
    length = (await length_of_turn(storage, proxy))[way]
    numbers = sorted(random.sample(range(1, length - LAST), CUTS))
    print(f"{length} bytes {way}, cut behind {numbers}")
    await cut_behind(storage, settings, proxy, way, numbers)
