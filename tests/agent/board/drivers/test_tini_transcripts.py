"""Conversations captured with the real firmware and the Ruby simulator drive the driver.

Each line of the data is `[seconds, who, bytes as Latin-1]`; what the server said is what the
driver has to say at that time. Its status requests are its own, and are answered between two lines
as the board answered the captured one.
"""

import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.drivers.idle_probe import QUIET_S
from drink_agent.board.drivers.tini import TiniDriver
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Sensor
from tests.support.board_bench import DriverBench

DATA = Path(__file__).parents[1] / "data"
SETTINGS = {
    "firmware": BoardSettings(url="listen://:4343", password="password"),
    "ruby_simulator": BoardSettings(url="listen://:4343", password="herpin_my_derp"),
}
ANSWERS = {"firmware": b"71 1`2 1`3 1`4 0`5 1\n", "ruby_simulator": b"7 0 1\n"}
Turn = tuple[float, str, bytes]


def turns(name: str) -> list[Turn]:
    lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    return [(at, who, text.encode("latin-1")) for at, who, text in map(json.loads, lines)]


def as_captured(conversation: list[Turn]) -> list[Turn]:
    return conversation


def in_bytes(conversation: list[Turn]) -> list[Turn]:
    turns: list[Turn] = []
    for at, who, data in conversation:
        size = 1 if who == "board" else len(data)
        turns.extend((at, who, data[i : i + size]) for i in range(0, len(data), size))
    return turns


def joined(conversation: list[Turn]) -> list[Turn]:
    """Joins the lines of the board between two lines of the server."""
    turns: list[Turn] = []
    for at, who, data in conversation:
        if turns and who == "board" == turns[-1][1]:
            turns[-1] = (turns[-1][0], who, turns[-1][2] + data)
        else:
            turns.append((at, who, data))
    return turns


def replay(name: str, conversation: list[Turn]) -> tuple[list[tuple[str, Cause]], DriverBench]:
    board = DriverBench(SETTINGS[name])
    board.connect()
    started = board.now
    drops = answered = 0
    between_lines = True
    for at, who, data in conversation:
        while (left_s := started + at - board.now) > 0:
            board.pass_s(min(left_s, QUIET_S))
            while between_lines and answered < board.written.count(b"6\n"):
                answered += 1
                board.receive(ANSWERS[name])
        if who == "board":
            board.receive(data)
            between_lines = data.endswith(b"\n")
        elif data.startswith(b"3"):
            drops += 1
            board.dispense(f"d{drops}", int(data[1:]))
    return [(ended.drop, ended.cause) for ended in board.ended], board


EXPECTED = {
    "firmware": (
        [("d1", Cause.BOARD_ACK), ("d2", Cause.BOARD_REFUSED)],
        {
            1: Sensor.STOCKED,
            2: Sensor.STOCKED,
            3: Sensor.STOCKED,
            4: Sensor.EMPTY,
            5: Sensor.STOCKED,
        },
        3.5,
        b"1\n31\n34\n",
    ),
    "ruby_simulator": (
        [("d1", Cause.BOARD_ACK), ("d2", Cause.BOARD_REFUSED)],
        {3: Sensor.STOCKED},
        -17.78,
        b"1\n31\n32\n",
    ),
}


def check(name: str, conversation: list[Turn]) -> None:
    ended, board = replay(name, conversation)
    causes, sensors, celsius, written = EXPECTED[name]
    assert ended == causes
    assert board.driver.status.ready
    assert board.driver.status.sensors == sensors
    assert board.driver.status.temperature_celsius == celsius
    assert board.written.replace(b"6\n", b"") == written
    assert not board.late
    assert isinstance(board.driver, TiniDriver)
    assert board.driver.counters.malformed == 0
    assert board.driver.counters.unsolicited == 0


@pytest.mark.parametrize("cut", [as_captured, in_bytes, joined])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_captured_conversation_has_its_results(
    name: str, cut: Callable[[list[Turn]], list[Turn]]
) -> None:
    check(name, cut(turns(name)))


@pytest.mark.parametrize("name", SETTINGS)
@given(st.randoms(use_true_random=False))
def test_fault_43_so_it_has_in_any_cut(name: str, rng: random.Random) -> None:
    conversation: list[Turn] = []
    for at, who, data in joined(turns(name)):
        if who == "server":
            conversation.append((at, who, data))
            continue
        bounds = [0, *sorted(rng.choices(range(len(data)), k=rng.randint(0, 20))), len(data)]
        conversation.extend((at, who, data[start:end]) for start, end in pairwise(bounds))
    check(name, conversation)
