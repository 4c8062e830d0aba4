"""Waits between attempts to reach a board."""

import random

from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.backoff import FIRST_S, HEALTHY_S, LONGEST_S, Backoff


@given(st.randoms(use_true_random=False))
def test_waits_double_up_to_the_longest_each_shortened_by_chance(rng: random.Random) -> None:
    backoff = Backoff(rng)
    full_s = FIRST_S
    for _ in range(12):
        assert full_s / 2 <= backoff.next_s(0.0) <= full_s
        full_s = min(full_s * 2, LONGEST_S)


def test_only_a_stream_that_lasted_makes_the_next_wait_short() -> None:
    backoff = Backoff(random.Random(0))
    for _ in range(10):
        backoff.next_s(HEALTHY_S - 1)
    assert backoff.next_s(0.0) > FIRST_S
    assert backoff.next_s(HEALTHY_S) <= FIRST_S
