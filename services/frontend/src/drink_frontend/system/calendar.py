"""Days and hours in the house's time zone, by the rules of the tz database."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

QUARTER_MS = 900_000
"""Zones differ from UTC by whole quarters of an hour, so that all times within one quarter are in
the same hour. It has been so since 1972."""

QUARTERS_KEPT = 4_096
"""Quarters whose day and hour are remembered: six weeks."""

_FIRST_MS, _LAST_MS = (
    int(datetime(year, 1, 2, tzinfo=UTC).timestamp() * 1000) for year in (1000, 9999)
)


class Calendar:
    """The days and hours of one time zone.

    At the end of daylight saving an hour happens twice, and both count as the same hour; at its
    beginning an hour is left out, and that day has no numbers in it.

    Args:
        zone: Name in the tz database, such as `Europe/Berlin`.

    Raises:
        ValueError: there is no such zone.
    """

    def __init__(self, zone: str) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, OSError, ValueError):
            raise ValueError(f"there is no time zone {zone!r} in the tz database") from None
        self.place: Callable[[int], tuple[int, int]] = lru_cache(QUARTERS_KEPT)(self._place)

    def day_and_hour(self, ms: int) -> tuple[int, int]:
        """The day, such as 20261129, and the hour of a time.

        Args:
            ms: Milliseconds since the epoch; taken as within the years 1000 to 9998.
        """
        return self.place(min(max(ms, _FIRST_MS), _LAST_MS) // QUARTER_MS)

    def _place(self, quarter: int) -> tuple[int, int]:
        local = (
            datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=quarter * QUARTER_MS)
        ).astimezone(self._zone)
        return _number(local), local.hour


def ordinal(day: int) -> int:
    """The number of a day, counted without gaps."""
    return _date(day).toordinal()


def first_of_week(day: int) -> int:
    """The Monday of a day's week."""
    given = _date(day)
    return _number(given - timedelta(days=given.weekday()))


def _date(day: int) -> date:
    return date(day // 10_000, day // 100 % 100, day % 100)


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day
