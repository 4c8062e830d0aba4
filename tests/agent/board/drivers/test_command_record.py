"""The evidence of one command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.drivers.command_record import CommandRecord
from drink_agent.domain.evidence import MAX_LINE_CHARS, MAX_LINES, Cause, Direction, Sensor

STOCKED, EMPTY = Sensor.STOCKED, Sensor.EMPTY


def test_lines_carry_the_time_since_the_command() -> None:
    record = CommandRecord("d1", 1, 10.0, {})
    record.add_line(Direction.SENT, b"31", 10.0)
    record.add_line(Direction.RECEIVED, b"4", 13.5)
    assert [line.offset_ms for line in record.evidence(Cause.BOARD_ACK, 0.0).lines] == [0, 3500]


@given(st.integers(0, 200))
def test_the_first_and_the_last_lines_are_kept(count: int) -> None:
    record = CommandRecord("d1", 1, 0.0, {})
    for number in range(count):
        record.add_line(Direction.RECEIVED, b"%d" % number, 0.0)
    kept = [int(line.text) for line in record.evidence(Cause.BOARD_ACK, 0.0).lines]
    assert len(kept) == min(count, MAX_LINES)
    if count > MAX_LINES:
        assert kept == [*range(8), *range(count - MAX_LINES + 8, count)]


@pytest.mark.parametrize(
    ("before", "reports", "left"),
    [
        ({1: STOCKED}, {1: EMPTY}, True),
        ({1: STOCKED, 2: EMPTY}, {1: EMPTY, 2: EMPTY}, True),
        ({1: STOCKED, 2: EMPTY}, {1: EMPTY, 2: STOCKED}, True),
        ({1: STOCKED, 2: STOCKED}, {1: EMPTY, 2: EMPTY}, False),
        ({1: STOCKED, 2: STOCKED}, {2: EMPTY}, False),
        ({1: STOCKED}, {}, False),
        ({1: EMPTY}, {1: EMPTY}, False),
        ({}, {1: EMPTY}, False),
    ],
)
def test_only_a_sensor_of_its_own_proves_that_an_item_left(
    before: dict[int, Sensor], reports: dict[int, Sensor], left: bool
) -> None:
    record = CommandRecord("d1", 1, 0.0, before)
    for slot, reading in reports.items():
        record.sensor(slot, reading, 1.0)
    assert record.item_left is left


def test_contradictions_are_said() -> None:
    record = CommandRecord("d1", 1, 0.0, {1: EMPTY})
    assert record.evidence(Cause.BOARD_ACK, 1.0).contradiction
    assert not record.evidence(Cause.BOARD_REFUSED, 1.0).contradiction
    record = CommandRecord("d1", 1, 0.0, {1: STOCKED})
    record.sensor(1, EMPTY, 1.0)
    assert not record.evidence(Cause.BOARD_ACK, 3.0).contradiction
    assert record.evidence(Cause.BOARD_REFUSED_LATE, 3.0).contradiction
    assert not record.evidence(Cause.BOARD_SILENT, 3.0).contradiction


@pytest.mark.parametrize(("independent", "contradicted"), [(False, False), (True, True)])
def test_fault_48_a_slot_that_is_found_empty_and_refused_in_one_breath(
    independent: bool, contradicted: bool
) -> None:
    record = CommandRecord("d1", 1, 0.0, {1: STOCKED}, independent=independent)
    record.sensor(1, EMPTY, 2.0)
    assert bool(record.evidence(Cause.BOARD_REFUSED, 2.0).contradiction) is contradicted


def test_fault_59_evidence_says_when_each_reading_was_taken() -> None:
    record = CommandRecord("d1", 1, 10.0, {1: STOCKED}, read_at=4.0)
    untouched = record.evidence(Cause.BOARD_LOST, 11.0)
    assert (untouched.sensor_before, untouched.sensor_before_ms) == (STOCKED, -6000)
    assert (untouched.sensor_after, untouched.sensor_after_ms) == (Sensor.UNSPECIFIED, None)
    assert not record.has_news
    record.sensor(2, EMPTY, 12.0)
    assert not record.has_news
    record.sensor(1, EMPTY, 13.0)
    assert record.has_news
    amended = record.evidence(Cause.BOARD_LOST, 14.0)
    assert (amended.sensor_after, amended.sensor_after_ms) == (EMPTY, 3000)
    record.read_out()
    record.sensor(1, STOCKED, 20.0)
    assert not record.has_news


@given(st.binary(max_size=400))
def test_what_is_shown_is_printable_and_short(line: bytes) -> None:
    record = CommandRecord("d1", 1, 0.0, {})
    record.add_line(Direction.RECEIVED, line, 0.0)
    text = record.evidence(Cause.BOARD_ACK, 0.0).lines[0].text
    assert text.isascii()
    assert text.isprintable() or not text
    assert len(text) <= MAX_LINE_CHARS
    if len(line) <= 50:
        assert text.encode().decode("unicode_escape").encode("latin-1") == line
