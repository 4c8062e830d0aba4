"""A connection to PostgreSQL that is cut anywhere in a turn: what is known is true.

Another frontend sells to the same buyer meanwhile, and a person writes at a prompt.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from drink_frontend.storage.database import Database
from drink_frontend.storage.postgres_connection import PostgresConnection, UndoneError
from drink_frontend.storage.settings import StorageSettings
from scripts.proxy import Way
from tests.fakes.cutting_proxy import Cut, CuttingProxy
from tests.support.cut_house import CutHouse, Person, Turn, furnish, through
from tests.support.postgres import fresh_postgres

CUTS = 6
"""Bytes, and messages, at which a turn is cut in the short form of the test, in each direction."""

LAST = 100
"""Bytes at the end of a turn that some turns do not have, since numbers have fewer digits."""

PARTS = 8
"""Parts of the long form, each with a database of its own, so that its books are soon checked."""

INTO_MESSAGE = (0, 1, 4, 5, 6)
"""Bytes of a message at which a cut is a border of its own: none, its type, all of its length but a
byte, its header, and a byte of what it says."""


@pytest.fixture
def seed() -> int:
    number = random.randrange(2**32)
    print(f"seed {number}")
    return number


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres(
        reconnect_ms=10,
        reconnect_max_ms=10,
        write_retry_ms=1,
        write_tries_max=20,
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
async def house(
    settings: StorageSettings, proxy: CuttingProxy, seed: int
) -> AsyncIterator[CutHouse]:
    # The first does not listen to others, so that all bytes are the writer's.
    async with (
        Database.open(settings) as second,
        Database.open(through(settings, proxy.port), beside=True) as first,
    ):
        await second.write(furnish)
        with (
            Person(settings, seed) as person,
            closing(CutHouse(settings, proxy, first, second, person, seed)) as house,
        ):
            yield house
        assert person.done
        print(f"{person.done} times written at the prompt, {person.refused} refused;", end=" ")
        print(f"{house.refused} units refused")


@pytest.mark.parametrize("turn", list(Turn))
async def test_fault_38_a_turn_that_is_cut_anywhere_loses_and_repeats_nothing(
    house: CutHouse, turn: Turn, seed: int
) -> None:
    chance = random.Random(seed)
    # What a conflict or a new connection repeats makes a turn longer, and nothing makes it shorter.
    lengths = await house.length(turn, fresh=False)
    for way, (length, messages) in zip(Way, (lengths[:2], lengths[2:]), strict=True):
        cuts = [Cut(way, chance.randrange(1, length - LAST)) for _ in range(CUTS)]
        for border in sorted(chance.sample(range(messages), min(CUTS, messages))):
            # The last message has five bytes at least.
            into = INTO_MESSAGE[:-1] if border == messages - 1 else INTO_MESSAGE
            cuts.append(Cut(way, chance.choice(into), border))
        print(f"{turn} of {length} bytes and {messages} messages {way}: {cuts}")
        for cut in cuts:
            assert await house.cut(turn, cut, fresh=False), cut
    await house.check()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize(
    ("turn", "fresh"),
    [(Turn.ORDER, True), (Turn.ORDER, False), (Turn.RESULT, False), (Turn.SOME, False)],
)
async def test_fault_38_a_turn_that_is_cut_behind_each_byte_loses_and_repeats_nothing(
    house: CutHouse, turn: Turn, fresh: bool, way: Way, part: int
) -> None:
    length = (await house.length(turn, fresh=fresh))[0 if way is Way.UP else 2]
    reached, place = 0, 1 + part
    # Turns differ by some bytes: the last ones are tried until turns have been too short for long.
    while place <= reached + LAST:
        if await house.cut(turn, Cut(way, place), fresh=fresh):
            reached = place
        place += PARTS
    print(f"{turn}, fresh: {fresh}, part {part} of {PARTS}: to byte {reached} of {length} {way}")
    assert reached > length - LAST
    await house.check()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", list(Way))
async def test_fault_38_a_batch_that_is_divided_is_cut_at_each_border_of_a_message(
    house: CutHouse, way: Way
) -> None:
    lengths = await house.length(Turn.DIVIDED, fresh=False, of=max)
    cuts = 0
    for message in range(lengths[1 if way is Way.UP else 3]):
        for place in INTO_MESSAGE:
            # How often it is divided depends on where the one at fault stands.
            cuts += await house.cut(Turn.DIVIDED, Cut(way, place, message), fresh=False)
    print(f"{cuts} cuts {way}")
    await house.check()


def committed(_: PostgresConnection) -> None:
    """Guesses that a commit was carried out during which the connection was lost."""


def undone(_: PostgresConnection) -> None:
    """Guesses that it was not."""
    raise UndoneError


@pytest.mark.parametrize("guess", [committed, undone])
async def test_a_frontend_that_guesses_what_became_of_a_commit_is_caught(
    house: CutHouse, guess: Callable[[PostgresConnection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, up, _, down = await house.length(Turn.ORDER, fresh=False)
    # COMMIT has five messages, and two answers after its statement's.
    cut = Cut(Way.UP, 0, up - 5) if guess is committed else Cut(Way.DOWN, 0, down - 2)
    monkeypatch.setattr(PostgresConnection, "_find_out", guess)
    told = "and \\[\\]" if guess is committed else "twice"
    # A conflict with the person would repeat the turn, and the cut would come before its COMMIT.
    with house.person.writing, pytest.raises(AssertionError, match=told):
        await house.cut(Turn.ORDER, cut, fresh=False)
