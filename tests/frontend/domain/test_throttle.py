"""Turns are handed out slowly, in order, and to each key for itself."""

from drink_frontend.domain.throttle import Turns


def taken(turns: Turns, key: str, times: int, now: float = 0) -> list[float]:
    return [turns.take(key, now) for _ in range(times)]


def test_the_first_turns_cost_no_waiting_and_the_others_come_one_by_one() -> None:
    turns = Turns(at_once=3, interval_s=10)

    assert taken(turns, "ann", 6) == [0, 0, 0, 10, 20, 30]
    assert turns.wait_s("ann", 0) == 40


def test_looking_takes_nothing() -> None:
    turns = Turns(at_once=1, interval_s=10)

    assert [turns.wait_s("ann", 0) for _ in range(5)] == [0] * 5
    assert taken(turns, "ann", 2) == [0, 10]


def test_time_brings_turns_and_never_more_than_at_first() -> None:
    turns = Turns(at_once=2, interval_s=10)
    taken(turns, "ann", 4)

    assert turns.wait_s("ann", 5) == 25
    assert turns.wait_s("ann", 30) == 0
    assert taken(turns, "ann", 3, now=1_000_000) == [0, 0, 10]


def test_others_do_not_wait() -> None:
    turns = Turns(at_once=1, interval_s=10)
    taken(turns, "ann 10.0.0.1", 9)

    assert turns.wait_s("ann 10.0.0.2", 0) == 0
    assert turns.wait_s("bob 10.0.0.1", 0) == 0


def test_a_turn_that_is_given_back_is_free_again() -> None:
    turns = Turns(at_once=1, interval_s=10)
    taken(turns, "ann", 2)
    turns.give_back("ann")
    turns.give_back("nobody")

    assert turns.wait_s("ann", 0) == 10
    assert turns.wait_s("nobody", 0) == 0


def test_only_so_many_keys_are_remembered_and_the_longest_quiet_goes_first() -> None:
    """Invariant 25: memory is bounded however many addresses guess."""
    turns = Turns(at_once=1, interval_s=10, keys_max=2)
    for key in ("a", "b", "a", "c"):
        turns.take(key, 0)

    assert turns.wait_s("a", 0) > 0
    assert turns.wait_s("b", 0) == 0
    assert turns.wait_s("c", 0) > 0
