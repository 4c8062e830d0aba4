from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.sessions.dialects import CLASSIC, DRINKJS
from drink_frontend.sessions.greeter import KEPT_S, Greeter
from tests.fakes.usecases import World, make_machine


async def test_asks_once_in_a_while(world: World) -> None:
    greeter = Greeter(world.services())
    assert greeter.known(CLASSIC, "d") is None
    assert await greeter.found(CLASSIC, "d") == b"OK Welcome to Big Drink\n"
    assert greeter.known(DRINKJS, "d") == b"Welcome to Big Drink\n"
    world.add_machine(make_machine("d", "Bigger Drink", []))
    world.clock.seconds += KEPT_S - 0.1
    assert greeter.known(CLASSIC, "d") == b"OK Welcome to Big Drink\n"
    world.clock.seconds += 0.1
    assert greeter.known(CLASSIC, "d") is None
    assert await greeter.found(CLASSIC, "d") == b"OK Welcome to Bigger Drink\n"
    assert world.calls["get"] == 2


async def test_without_a_machine_the_service_welcomes(world: World) -> None:
    greeter = Greeter(world.services())
    assert greeter.known(CLASSIC, None) == b"OK Welcome to Drink\n"
    assert await greeter.found(CLASSIC, "gone") == b"OK Welcome to Drink\n"
    world.broken["get"] = [StorageUnavailableError("x")]
    assert await greeter.found(CLASSIC, "d") == b"OK Welcome to Drink\n"
