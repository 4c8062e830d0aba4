import pytest

from drink_frontend.sessions.buffers import Buffers
from drink_frontend.sessions.codec import Line
from drink_frontend.sessions.desk import Desk
from drink_frontend.sessions.dialects import CLASSIC, DRINKD, DRINKJS, Dialect
from drink_frontend.sessions.greeter import Greeter
from drink_frontend.sessions.roll import Roll
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.sessions.turns import Turns
from tests.fakes.usecases import World


@pytest.mark.parametrize(
    ("dialect", "lines"),
    [
        (CLASSIC, [Line("USER bobPASS x")]),
        (DRINKJS, [Line("USER bob"), Line("PASS x")]),
        (DRINKD, [Line("USER bob"), Line("PASS x")]),
    ],
    ids=["classic", "drinkjs", "drinkd"],
)
async def test_lines_come_apart_as_the_dialect_has_it(
    world: World, dialect: Dialect, lines: list[Line]
) -> None:
    services, settings = world.services(), SessionSettings()
    desk = Desk(
        ListenerSettings(),
        settings,
        dialect,
        services,
        Greeter(services),
        Roll(10, 10),
        Buffers(settings.buffered_bytes_max),
        Turns(0),
    )
    decoder = desk.decoder()
    decoder.feed(b"USER bob")
    decoder.feed(b"PASS x\n")
    assert list(iter(decoder.next_event, None)) == lines
