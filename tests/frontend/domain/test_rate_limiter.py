"""Units are given out slowly, in order, and to each key for itself."""

from drink_frontend.domain.rate_limiter import RateLimiter


def taken(limiter: RateLimiter, key: str, times: int, now: float = 0) -> list[float]:
    return [limiter.take(key, now) for _ in range(times)]


def test_the_first_units_cost_no_waiting_and_the_others_come_one_by_one() -> None:
    limiter = RateLimiter(burst=3, interval_s=10)

    assert taken(limiter, "ann", 6) == [0, 0, 0, 10, 20, 30]
    assert limiter.wait_s("ann", 0) == 40


def test_looking_takes_nothing() -> None:
    limiter = RateLimiter(burst=1, interval_s=10)

    assert [limiter.wait_s("ann", 0) for _ in range(5)] == [0] * 5
    assert taken(limiter, "ann", 2) == [0, 10]


def test_time_brings_units_and_never_more_than_at_first() -> None:
    limiter = RateLimiter(burst=2, interval_s=10)
    taken(limiter, "ann", 4)

    assert limiter.wait_s("ann", 5) == 25
    assert limiter.wait_s("ann", 30) == 0
    assert taken(limiter, "ann", 3, now=1_000_000) == [0, 0, 10]


def test_others_do_not_wait() -> None:
    limiter = RateLimiter(burst=1, interval_s=10)
    taken(limiter, "ann 10.0.0.1", 9)

    assert limiter.wait_s("ann 10.0.0.2", 0) == 0
    assert limiter.wait_s("bob 10.0.0.1", 0) == 0


def test_a_unit_that_is_given_back_is_free_again() -> None:
    limiter = RateLimiter(burst=1, interval_s=10)
    taken(limiter, "ann", 2)
    limiter.give_back("ann")
    limiter.give_back("nobody")

    assert limiter.wait_s("ann", 0) == 10
    assert limiter.wait_s("nobody", 0) == 0


def test_only_so_many_keys_are_remembered_and_the_longest_quiet_goes_first() -> None:
    """Invariant 25: memory is bounded however many addresses guess."""
    limiter = RateLimiter(burst=1, interval_s=10, keys_max=2)
    for key in ("a", "b", "a", "c"):
        limiter.take(key, 0)

    assert limiter.wait_s("a", 0) > 0
    assert limiter.wait_s("b", 0) == 0
    assert limiter.wait_s("c", 0) > 0


def test_taking_what_is_free_takes_nothing_else() -> None:
    limiter = RateLimiter(burst=3, interval_s=0.5)

    assert [limiter.take_if_free("ann", 100) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.take_if_free("ann", 100.4) > 0
    assert limiter.take_if_free("ann", 100.5) == 0
    assert limiter.take_if_free("ann", 100.5) > 0


def test_several_units_are_taken_together_or_not_at_all() -> None:
    limiter = RateLimiter(burst=5, interval_s=1)

    assert limiter.take_if_free("ann", 0, 4) == 0
    assert limiter.take_if_free("ann", 0, 2) == 1
    assert limiter.take_if_free("ann", 0, 1) == 0
    assert limiter.wait_s("ann", 0, 5) == 5
