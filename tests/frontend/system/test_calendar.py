"""Days and hours in the house's time zone, at the edges of daylight saving and of time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.domain.entities import MS_MAX, MS_MIN
from drink_frontend.system.calendar import Calendar, first_of_week, ordinal


def ms(*time: int, zone: str = "UTC", fold: int = 0) -> int:
    year, month, day, hour, minute = time
    moment = datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp() * 1000)


def test_a_day_begins_at_midnight_in_the_zone() -> None:
    berlin = Calendar("Europe/Berlin")
    assert berlin.day_and_hour(ms(2026, 11, 28, 23, 0)) == (20261129, 0)
    assert berlin.day_and_hour(ms(2026, 11, 28, 23, 0) - 1) == (20261128, 23)
    assert Calendar("UTC").day_and_hour(ms(2026, 11, 28, 23, 0)) == (20261128, 23)
    # Quarters of an hour, and a day ahead of another one.
    assert Calendar("Asia/Kathmandu").day_and_hour(ms(2026, 11, 28, 18, 15)) == (20261129, 0)
    assert Calendar("Pacific/Kiritimati").day_and_hour(ms(2026, 12, 31, 10, 0)) == (20270101, 0)


def test_the_hour_that_happens_twice_counts_as_one() -> None:
    berlin = Calendar("Europe/Berlin")
    for fold in (0, 1):
        time = ms(2026, 10, 25, 2, 30, zone="Europe/Berlin", fold=fold)
        assert berlin.day_and_hour(time) == (20261025, 2)
    first = ms(2026, 10, 25, 0, 0, zone="Europe/Berlin")
    hours = [berlin.day_and_hour(first + hour * 3_600_000) for hour in range(25)]
    assert {day for day, _ in hours} == {20261025}
    assert [hour for _, hour in hours].count(2) == 2


def test_the_hour_that_is_left_out_has_no_times() -> None:
    berlin = Calendar("Europe/Berlin")
    first = ms(2026, 3, 29, 0, 0, zone="Europe/Berlin")
    hours = [berlin.day_and_hour(first + hour * 3_600_000) for hour in range(23)]
    assert {day for day, _ in hours} == {20260329}
    assert [hour for _, hour in hours] == [0, 1, *range(3, 24)]


ZONES = ["Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]


@given(st.integers(65_836_800, 4_102_444_800), st.sampled_from(ZONES))
def test_every_time_is_where_the_zone_has_it(second: int, zone: str) -> None:
    local = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone))
    found = Calendar(zone).day_and_hour(second * 1000)
    assert found == (int(local.strftime("%Y%m%d")), local.hour)


@pytest.mark.parametrize("time", [MS_MIN, MS_MAX, -1, 0])
def test_clocks_that_are_far_off_give_some_day(time: int) -> None:
    day, hour = Calendar("America/New_York").day_and_hour(time)
    assert 10_000_101 <= day <= 99_981_231 or day in {99990101, 99990102}
    assert 0 <= hour <= 23


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Calendar(zone)


def test_weeks_begin_on_monday() -> None:
    assert first_of_week(20261129) == 20261123
    assert first_of_week(20261123) == 20261123
    assert first_of_week(20270101) == 20261228
    assert ordinal(20270101) - ordinal(20261231) == 1
