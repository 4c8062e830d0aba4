"""What the real old servers said, recorded, against what ours says to the same.

Each recorded reply is ours byte for byte, or `data/differences.toml` has the line with what ours
says instead, and why. A difference that is not listed fails, and so does one that is listed and no
longer there.
"""

import ast
import re
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drink_frontend.domain.entities import Reach
from drink_frontend.sessions.dialects import CLASSIC, DRINKJS, Dialect
from drink_frontend.sessions.replies import greeting
from tests.support.entities import make_machine, make_slot
from tests.support.sessions import Typist, World

DATA = Path(__file__).parent / "data"
HUNG_UP = "<hung up>"
RECORDED = re.compile(r"(?P<sent>connect|'.*')\s*->(?P<replies>.*)")


@dataclass(frozen=True)
class Exchange:
    """One line of a transcript: what was sent, and what came back."""

    line: int
    sent: str | None
    reply: str


def recorded(name: str) -> list[list[Exchange]]:
    """The conversations of a transcript; a new one begins where the recorder had to reconnect."""
    conversations: list[list[Exchange]] = [[]]
    for number, line in enumerate((DATA / f"{name}.txt").read_text().splitlines(), start=1):
        if "(reconnected)" in line:
            conversations.append([])
            continue
        match = RECORDED.fullmatch(line.rstrip())
        if match is None:
            assert line.startswith("#"), f"{name}:{number} is not understood"
            continue
        sent = None if match["sent"] == "connect" else ast.literal_eval(match["sent"])
        conversations[-1].append(Exchange(number, sent, _reply(match["replies"])))
    return conversations


def _reply(text: str) -> str:
    hung_up = "<<EOF>>" in text
    pieces = re.findall(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""", text)
    replies = b"".join(ast.literal_eval(piece) for piece in pieces).decode()
    return replies + (HUNG_UP if hung_up else "")


async def erlang_sunday(world: World) -> None:
    await world.change_temperature("d", None)
    await world.reach("d", Reach.OFFLINE)
    await world.bench.accounts.change("test", "user", no_ibutton=True)


async def erlang_drop(world: World) -> None:
    await world.add_credits("user", 5)
    await world.change_slot("d", 5, available=0)


async def drinkjs_sunday(world: World) -> None:
    await drinkjs_drop(world)
    await world.reach("d", Reach.OFFLINE)


async def drinkjs_drop(world: World) -> None:
    await world.add_slot(make_slot("d", 6, "Free", 0, 9))
    await world.add_machine(make_machine("s", "Snack", []), Reach.OFFLINE)
    await world.reach("ld", Reach.OFFLINE)


Prepare = Callable[[World], Awaitable[None]]

TRANSCRIPTS: list[tuple[str, Dialect, Prepare]] = [
    ("erlang_sunday", CLASSIC, erlang_sunday),
    ("erlang_drop", CLASSIC, erlang_drop),
    ("drinkjs_sunday", DRINKJS, drinkjs_sunday),
    ("drinkjs_drop_tini_rb", DRINKJS, drinkjs_drop),
]


async def replay(world: World, name: str, dialect: Dialect, prepare: Prepare) -> dict[int, str]:
    """What ours says to each line of a transcript, by line number."""
    await prepare(world)
    ours = {}
    for conversation in recorded(name):
        typist = Typist(world, dialect)
        for exchange in conversation:
            if exchange.sent is None:
                ours[exchange.line] = greeting(dialect, "Big Drink", "1.2.3").decode()
                continue
            said = (await typist.send(exchange.sent.encode())).decode()
            ours[exchange.line] = said + (HUNG_UP if typist.hung_up else "")
    return ours


def differences(name: str) -> dict[int, dict[str, str]]:
    table = tomllib.loads((DATA / "differences.toml").read_text())
    return {entry["line"]: entry for entry in table[name]}


@pytest.mark.parametrize(
    ("name", "dialect", "prepare"), TRANSCRIPTS, ids=[entry[0] for entry in TRANSCRIPTS]
)
async def test_only_the_listed_lines_differ(
    world: World, name: str, dialect: Dialect, prepare: Prepare
) -> None:
    listed = differences(name)
    ours = await replay(world, name, dialect, prepare)
    seen = set()
    for exchange in (exchange for conversation in recorded(name) for exchange in conversation):
        if ours[exchange.line] == exchange.reply:
            continue
        assert exchange.line in listed, (
            f"{name}:{exchange.line} {exchange.sent!r}: old {exchange.reply!r}, "
            f"ours {ours[exchange.line]!r}"
        )
        assert ours[exchange.line] == listed[exchange.line]["ours"]
        assert exchange.sent == listed[exchange.line]["sent"]
        assert listed[exchange.line]["reason"].endswith(".")
        seen.add(exchange.line)
    assert listed.keys() == seen, "differences that are listed and no longer there"


async def test_the_recordings_are_read_whole() -> None:
    counts = {name: sum(map(len, recorded(name))) for name, _, _ in TRANSCRIPTS}
    assert counts == {
        "erlang_sunday": 73,
        "erlang_drop": 26,
        "drinkjs_sunday": 55,
        "drinkjs_drop_tini_rb": 15,
    }
