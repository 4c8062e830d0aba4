"""How often a place may connect, and when it is paused."""

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink_frontend.system.connection_filter import PLACES_MAX
from drink_frontend.system.connection_rates import (
    PAUSES_LOGGED,
    ConnectionRates,
    OpeningSettings,
)

LISTENERS, HERE, THERE = "rpc 50051", "192.0.2.1", "192.0.2.2"


class System:
    """What the system was told to ignore."""

    def __init__(self, **limits: Any) -> None:
        self.ignored: list[str] = []
        self.able = True
        defaults = {"per_s": 10, "burst": 20, "pause_max_s": 5}
        settings = OpeningSettings(**defaults | limits)
        self.rates = ConnectionRates(LISTENERS, settings, self._ignore)

    def _ignore(self, places: Sequence[str]) -> bool:
        self.ignored = list(places)
        return self.able

    def open(self, count: int, place: str = HERE, now: float = 0) -> None:
        for _ in range(count):
            self.rates.count(place, now)


def test_a_place_that_connects_too_often_is_paused_and_no_other_one() -> None:
    system = System()
    system.open(19)
    assert system.ignored == []
    system.open(19, THERE)
    system.open(1)
    assert system.ignored == [HERE]


def test_a_pause_ends_when_the_rate_allows_the_next_connection() -> None:
    system = System()
    system.open(30)
    system.rates.resume(1.05)
    assert system.ignored == [HERE]
    system.rates.resume(1.15)
    assert system.ignored == []


def test_connections_that_had_to_be_closed_count_more_often() -> None:
    system = System()
    system.rates.count(HERE, 0, 10)
    assert system.ignored == []
    system.rates.count(HERE, 0, 10)
    assert system.ignored == [HERE]


def test_no_pause_is_longer_than_the_limit() -> None:
    system = System()
    for _ in range(100):
        system.rates.count(HERE, 0, 10)
    system.rates.resume(4.9)
    assert system.ignored == [HERE]
    system.rates.resume(5.1)
    assert system.ignored == []
    system.open(1, now=5.1)
    system.rates.resume(5.3)
    assert system.ignored == []


def test_a_limit_of_zero_pauses_nobody() -> None:
    system = System(pause_max_s=0)
    system.open(1_000)
    assert system.ignored == []


def test_connections_with_a_login_do_not_count() -> None:
    system = System()
    for _ in range(100):
        system.rates.count(HERE, 0)
        system.rates.uncount(HERE)
    assert system.ignored == []


def test_of_too_many_places_those_whose_pause_ends_first_connect_again() -> None:
    system = System()
    for number in range(PLACES_MAX + 1):
        for _ in range(2 if number else 3):
            system.rates.count(f"10.0.{number // 256}.{number % 256}", number / 1_000, 10)
    assert len(system.ignored) == PLACES_MAX
    assert "10.0.0.0" in system.ignored
    assert "10.0.0.1" not in system.ignored


@pytest.mark.parametrize("able", [True, False])
def test_pauses_are_logged_within_a_limit(able: bool) -> None:
    system = System()
    system.able = able
    with capture_logs() as logs:
        for number in range(2 * PAUSES_LOGGED):
            system.open(25, f"192.0.2.{number}")
    assert len(logs) == PAUSES_LOGGED
    assert logs[0]["event"] == "connections_paused"
    assert (logs[0]["listeners"], logs[0]["place"]) == (LISTENERS, "192.0.2.0")
    assert logs[0]["ignored"] is able


def test_a_place_is_suspected_for_a_while_after_a_misuse() -> None:
    system = System()
    assert not system.rates.is_suspect(HERE, 0)
    system.rates.misused(HERE, 0, 1)
    assert system.rates.is_suspect(HERE, 4.9)
    assert not system.rates.is_suspect(HERE, 5)
    assert not system.rates.is_suspect(THERE, 0)
    assert system.ignored == []


def test_of_too_many_suspects_the_first_are_forgotten() -> None:
    system = System()
    for number in range(PLACES_MAX + 1):
        system.rates.misused(str(number), 0, 1)
    assert not system.rates.is_suspect("0", 0)
    assert system.rates.is_suspect("1", 0)
