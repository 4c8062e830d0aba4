"""Who guesses waits longer and longer; nobody else does."""

import pytest

from drink_frontend.domain.throttle import Throttle


def failed(throttle: Throttle, key: str, times: int, now: float = 0) -> None:
    for _ in range(times):
        throttle.failed(key, now)


def test_the_first_failures_cost_nothing() -> None:
    throttle = Throttle(free=3)
    failed(throttle, "ann", 3)

    assert throttle.wait_s("ann", 0) == 0


@pytest.mark.parametrize(("beyond", "wait_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (90, 60)])
def test_each_further_failure_doubles_the_wait_up_to_the_longest(
    beyond: int, wait_s: float
) -> None:
    throttle = Throttle(free=3, delay_s=1, delay_max_s=60)
    failed(throttle, "ann", 3 + beyond)

    assert throttle.wait_s("ann", 0) == wait_s


def test_the_wait_passes() -> None:
    throttle = Throttle(free=0, delay_s=8)
    failed(throttle, "ann", 1, now=100)

    assert throttle.wait_s("ann", 103) == 5
    assert throttle.wait_s("ann", 108) == 0
    assert throttle.wait_s("ann", 500) == 0


def test_others_do_not_wait() -> None:
    throttle = Throttle(free=0)
    failed(throttle, "ann 10.0.0.1", 9)

    assert throttle.wait_s("ann 10.0.0.2", 0) == 0
    assert throttle.wait_s("bob 10.0.0.1", 0) == 0


def test_success_forgets_failures() -> None:
    throttle = Throttle(free=0)
    failed(throttle, "ann", 9)
    throttle.succeeded("ann")
    throttle.succeeded("nobody")

    assert throttle.wait_s("ann", 0) == 0


def test_time_forgets_failures() -> None:
    throttle = Throttle(free=1, delay_max_s=1_000, forget_s=900)
    failed(throttle, "ann", 12)

    assert throttle.wait_s("ann", 899) == 1_000 - 899
    assert throttle.wait_s("ann", 900) == 0
    throttle.failed("ann", 901)
    assert throttle.wait_s("ann", 901) == 0


def test_a_failure_after_a_long_time_counts_as_the_first() -> None:
    throttle = Throttle(free=1, forget_s=900)
    failed(throttle, "ann", 12)
    throttle.failed("ann", 900)

    assert throttle.wait_s("ann", 900) == 0


def test_failures_beyond_number_do_not_overflow() -> None:
    throttle = Throttle(free=0, delay_max_s=60)
    failed(throttle, "ann", 5_000)

    assert throttle.wait_s("ann", 0) == 60


def test_only_so_many_keys_are_remembered_and_the_longest_quiet_goes_first() -> None:
    """Invariant 25: memory is bounded however many addresses guess."""
    throttle = Throttle(free=0, keys_max=2)
    throttle.failed("a", 0)
    throttle.failed("b", 0)
    throttle.failed("a", 0)
    throttle.failed("c", 0)

    assert throttle.wait_s("a", 0) > 0
    assert throttle.wait_s("b", 0) == 0
    assert throttle.wait_s("c", 0) > 0
