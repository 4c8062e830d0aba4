import pytest

from drink_frontend.sessions.dialects import DRINKJS
from drink_frontend.sessions.finger import answer
from drink_frontend.sessions.replies import place, title
from tests.fakes.sessions import Typist
from tests.fakes.usecases import World, make_machine


@pytest.mark.parametrize(
    ("location", "said"),
    [("NRH (North)", "NRH (North)"), ("Hall.", "Hall"), ("", "Unknown"), (" . ", "Unknown")],
)
def test_a_place_is_in_words(location: str, said: str) -> None:
    assert place(make_machine("d", "Big Drink", [], location=location)) == said


@pytest.mark.parametrize(("display_name", "said"), [("Big Drink", "Big Drink"), (" ", "d")])
def test_a_machine_is_always_called_something(display_name: str, said: str) -> None:
    assert title(make_machine("d", display_name, [])) == said


async def test_a_machine_without_words_of_its_own_breaks_no_reply(world: World) -> None:
    world.add_machine(make_machine("d", "", [], location=""))
    typist = Typist(world)
    assert await typist.type("LOCATION") == "OK Unknown.\n"
    assert await typist.type("MACHINE d") == "OK Welcome to d\n"
    assert (await typist.type("MACHINES")).startswith("d - d\n")
    assert '"machine_name":"d"' in await typist.type("SERVERSTAT")
    assert await Typist(world, DRINKJS).type("LOCATION") == "OK: Unknown.\r\n"
    assert answer("", [world.machines["d"]], None)[:2] == [
        "Motd:      Welcome to d!",
        "Location:  Unknown",
    ]
