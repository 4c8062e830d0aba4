"""The system's clocks."""

import time

from drink_frontend.system.clock import SystemClock


def test_wall_time_is_in_milliseconds_since_the_epoch() -> None:
    before = time.time() * 1000
    now = SystemClock().now_ms()
    assert before - 1 <= now <= time.time() * 1000 + 1


def test_monotonic_time_is_in_seconds_and_does_not_go_back() -> None:
    clock = SystemClock()
    before = time.monotonic()
    first, second = clock.monotonic(), clock.monotonic()
    assert before <= first <= second <= time.monotonic()
