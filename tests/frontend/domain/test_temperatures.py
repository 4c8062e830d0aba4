from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.temperatures import (
    STEP_MS,
    Measured,
    Recorder,
    Temperature,
    is_plausible,
    joined,
)
from tests.fakes.clock import FakeClock

BEGIN = 1_800_000_000_000
"""A time that is a whole hour."""


class Thermometers:
    """A recorder with its clock, which is looked at each minute, as the frontend does."""

    def __init__(self) -> None:
        self.clock = FakeClock(BEGIN)
        self.recorder = Recorder()
        self.taken: list[Measured] = []

    def show(self, celsius: float | None, minutes: float, *, epoch: int = 1) -> None:
        self.recorder.saw("d", epoch, celsius, self.clock.now_ms(), self.clock.monotonic())
        self.wait(minutes)

    def wait(self, minutes: float) -> None:
        while minutes > 0:
            self.clock.pass_s(min(minutes, 1) * 60)
            self.take()
            minutes -= 1

    def take(self, *, unfinished: bool = False) -> None:
        self.taken += self.recorder.take(
            self.clock.now_ms(), self.clock.monotonic(), unfinished=unfinished
        )

    def end(self, epoch: int = 1) -> None:
        self.recorder.ended("d", epoch, self.clock.now_ms(), self.clock.monotonic())

    @property
    def rows(self) -> list[Temperature]:
        return [each.temperature for each in self.taken]


def row(minute: int, low: float, mean: float, high: float, known_s: int = 300) -> Temperature:
    return Temperature(
        "d", STEP_MS, BEGIN + minute * 60_000, low, round(mean, 6), high, known_s * 1000
    )


def rounded(rows: list[Temperature]) -> list[Temperature]:
    return [
        Temperature(
            each.machine,
            each.span_ms,
            each.from_ms,
            each.low,
            round(each.mean, 6),
            each.high,
            each.known_ms,
        )
        for each in rows
    ]


def test_the_mean_is_that_of_the_time_for_which_readings_hold() -> None:
    house = Thermometers()
    house.show(4.0, 4)
    house.show(9.0, 1)
    house.show(5.0, 5)
    assert rounded(house.rows) == [row(0, 4, 5, 9), row(5, 5, 5, 5)]


def test_a_temperature_that_does_not_change_is_known_all_the_time() -> None:
    house = Thermometers()
    house.show(4.5, 20)
    assert house.rows == [row(minute, 4.5, 4.5, 4.5) for minute in (0, 5, 10, 15)]


def test_nothing_is_known_without_thermometer_or_link() -> None:
    house = Thermometers()
    house.show(4.0, 1)
    house.show(None, 4)
    house.show(6.0, 2)
    house.end()
    house.wait(8)
    assert house.rows == [row(0, 4, 4, 4, 60), row(5, 6, 6, 6, 120)]
    house.wait(10)
    assert len(house.rows) == 2


def test_the_end_of_a_former_link_changes_nothing() -> None:
    house = Thermometers()
    house.show(4.0, 1)
    house.show(4.0, 1, epoch=2)
    house.end(1)
    house.wait(3)
    assert house.taken == [Measured(2, row(0, 4, 4, 4))]


def test_a_process_that_ends_gives_what_it_has_of_the_present_part() -> None:
    house = Thermometers()
    house.show(4.0, 2)
    house.take(unfinished=True)
    assert house.rows == [row(0, 4, 4, 4, 120)]


def test_a_clock_that_jumps_moves_a_minute_at_worst() -> None:
    house = Thermometers()
    house.show(4.0, 5)
    house.clock.jump_s(86_400)
    house.wait(5)
    house.clock.jump_s(-86_400)
    house.wait(5)
    known = sum(each.known_ms for each in house.rows)
    assert 14 * 60_000 <= known <= 15 * 60_000
    assert all(0 < each.known_ms <= STEP_MS for each in house.rows)
    assert {each.from_ms - BEGIN for each in house.rows} <= {
        0,
        300_000,
        600_000,
        86_400_000 + 0,
        86_400_000 + 300_000,
        86_400_000 + 600_000,
    }


def test_a_process_that_stood_still_knows_an_hour_at_most() -> None:
    house = Thermometers()
    house.recorder.saw("d", 1, 4.0, house.clock.now_ms(), house.clock.monotonic())
    house.clock.pass_s(30 * 86_400)
    house.take(unfinished=True)
    assert sum(each.known_ms for each in house.rows) == HOUR_MS


@given(
    st.lists(st.tuples(st.none() | st.floats(-55, 125), st.floats(0, 900), st.floats(-1e6, 1e6)))
)
def test_whatever_is_shown_and_however_the_clock_jumps_rows_are_sound(
    shown: list[tuple[float | None, float, float]],
) -> None:
    house = Thermometers()
    for celsius, seconds, jump_s in shown:
        house.recorder.saw("d", 1, celsius, house.clock.now_ms(), house.clock.monotonic())
        house.clock.pass_s(seconds)
        house.clock.jump_s(jump_s)
        house.take()
    house.take(unfinished=True)
    for each in house.rows:
        assert each.from_ms % STEP_MS == 0
        assert 0 < each.known_ms <= STEP_MS
        assert each.low <= each.mean <= each.high


def test_rows_are_joined_by_the_time_that_is_known_of_them() -> None:
    hour = joined([row(5, 2, 3, 4, 300), row(10, 5, 6, 7, 150)], HOUR_MS)
    assert hour == Temperature("d", HOUR_MS, BEGIN, 2, 4.0, 7, 450_000)


def test_what_no_thermometer_can_measure_is_not_plausible() -> None:
    assert is_plausible(-55.0)
    assert is_plausible(125.0)
    for junk in (-55.1, 127.9375, 1e300, float("inf"), float("-inf"), float("nan")):
        assert not is_plausible(junk)
