"""Pending actions of an emulated board, and how its output is cut into writes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.emulator.schedule import Cut, Scope, SegmentWriter, Timers

LINES = [b"0password\n", b"72 1\n", b"71 1`2 0\n"]


def written(cut: Cut, lines: list[bytes] = LINES) -> list[tuple[float, bytes]]:
    writer = SegmentWriter(cut, random.Random(1))
    for line in lines:
        writer.write(line, 10.0)
    pieces: list[tuple[float, bytes]] = []
    while (due := writer.next_due) is not None:
        pieces.extend((due, piece) for piece in writer.take(due))
    return pieces


@given(st.sampled_from(Cut), st.lists(st.binary(min_size=1, max_size=20), max_size=10))
def test_nothing_is_lost_or_turned_round(cut: Cut, lines: list[bytes]) -> None:
    pieces = written(cut, lines)
    assert b"".join(piece for _, piece in pieces) == b"".join(lines)
    times = [at for at, _ in pieces]
    assert times == sorted(times)


def test_each_cut_is_what_it_says() -> None:
    assert [piece for _, piece in written(Cut.LINES)] == LINES
    assert [piece for _, piece in written(Cut.COALESCED)] == [b"".join(LINES)]
    assert {len(piece) for _, piece in written(Cut.BYTES)} == {1}
    assert {at for at, _ in written(Cut.BYTES)} == {10.0}
    apart = [at for at, _ in written(Cut.APART)]
    assert len(set(apart)) == len(apart) == sum(map(len, LINES))
    assert 1 < len(written(Cut.RANDOM)) < sum(map(len, LINES))


def test_a_lost_connection_takes_what_was_not_written() -> None:
    writer = SegmentWriter(Cut.APART, random.Random(1))
    writer.write(b"9\n", 0.0)
    writer.clear()
    assert writer.next_due is None


@pytest.mark.parametrize("cut", Cut)
def test_a_line_written_later_comes_later(cut: Cut) -> None:
    writer = SegmentWriter(cut, random.Random(1))
    writer.write(b"4\n", 0.0)
    assert b"".join(writer.take(1.0)) == b"4\n"
    writer.write(b"5\n", 1.0)
    assert b"".join(writer.take(2.0)) == b"5\n"


def test_actions_run_in_order_with_their_own_times() -> None:
    timers, ran = Timers(), list[tuple[str, float]]()

    def add(name: str, due: float) -> None:
        timers.add(due, Scope.POWER, lambda at: ran.append((name, at)))

    for name, due in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("d", 9.0)):
        add(name, due)
    timers.run(2.0)
    assert ran == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert timers.next_due == 9.0


def test_what_an_action_adds_runs_too_if_it_is_due() -> None:
    timers, ran = Timers(), list[float]()
    timers.add(1.0, Scope.POWER, lambda at: timers.add(at + 1, Scope.POWER, ran.append))
    timers.run(5.0)
    assert ran == [2.0]


def test_a_lost_connection_stops_only_what_belongs_to_it() -> None:
    timers, ran = Timers(), list[float]()
    timers.add(1.0, Scope.CONNECTION, ran.append)
    timers.add(2.0, Scope.POWER, ran.append)
    timers.cancel(Scope.CONNECTION)
    timers.run(5.0)
    assert ran == [2.0]
    assert timers.next_due is None
