import pytest

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.limits import check_request_id
from drink_frontend.sessions.connection_tracker import ConnectionTracker
from drink_frontend.sessions.context import ListenerContext
from drink_frontend.sessions.dialects import CLASSIC, DRINKD, DRINKJS, Dialect
from drink_frontend.sessions.limits import BufferLimit, TurnQueue
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from tests.support.sessions import World


def context(world: World, dialect: Dialect = CLASSIC) -> ListenerContext:
    settings = SessionSettings()
    return ListenerContext(
        ListenerSettings(default_machine="d"),
        settings,
        dialect,
        world.services(),
        ConnectionTracker(10, 10, [300]),
        BufferLimit(settings.buffered_bytes_max),
        TurnQueue(0),
    )


async def test_request_ids_are_valid_and_never_the_same(world: World) -> None:
    make = world.services().request_id
    ids = [check_request_id(make()) for _ in range(100)]
    assert len(set(ids)) == 100


@pytest.mark.parametrize(
    ("dialect", "lines"),
    [
        (CLASSIC, ["USER bobPASS x"]),
        (DRINKJS, ["USER bob", "PASS x"]),
        (DRINKD, ["USER bob", "PASS x"]),
    ],
    ids=["classic", "drinkjs", "drinkd"],
)
async def test_lines_come_apart_as_the_dialect_has_it(
    world: World, dialect: Dialect, lines: list[str]
) -> None:
    decoder = context(world, dialect).decoder()
    decoder.feed(b"USER bob")
    decoder.feed(b"PASS x\n")
    assert list(iter(decoder.next_event, None)) == lines


class TestGreeting:
    async def test_is_read_once_until_the_machine_changes(self, world: World) -> None:
        classic, drinkjs = context(world), context(world, DRINKJS)
        assert classic.cached_greeting("d") is None
        assert await classic.greeting("d") == b"OK Welcome to Big Drink\n"
        assert drinkjs.cached_greeting("d") == b"Welcome to Big Drink\n"
        assert world.calls["get"] == 1
        await world.change_machine("d", display_name="Bigger Drink")
        assert classic.cached_greeting("d") is None
        assert await classic.greeting("d") == b"OK Welcome to Bigger Drink\n"

    async def test_is_the_services_without_a_machine(self, world: World) -> None:
        classic = context(world)
        assert classic.cached_greeting(None) == b"OK Welcome to Drink\n"
        assert await classic.greeting("gone") == b"OK Welcome to Drink\n"
        world.broken["get"] = [StorageUnavailableError("x")]
        assert await classic.greeting("d") == b"OK Welcome to Drink\n"
