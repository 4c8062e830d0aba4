from hypothesis import given
from hypothesis import strategies as st

from drink_agent.backoff import Backoff


def test_the_upper_bound_doubles_up_to_its_limit() -> None:
    backoff = Backoff(1, 30, lambda: 1.0)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_reset_starts_anew() -> None:
    backoff = Backoff(1, 30, lambda: 1.0)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 1


def test_each_wait_may_grow_by_a_factor_of_its_own() -> None:
    backoff = Backoff(60, 3600, lambda: 1.0)
    assert [backoff.next_s(growth) for growth in (8, 8, 2, 8)] == [60, 480, 960, 3600]
    assert backoff.bound_s == 3600


@given(st.lists(st.booleans(), max_size=200), st.floats(0, 1, exclude_max=True))
def test_fault_23_every_wait_is_drawn_between_half_and_the_whole(
    resets: list[bool], draw: float
) -> None:
    backoff, longest = Backoff(1, 30, lambda: draw), Backoff(1, 30, lambda: 1.0)
    for reset in resets:
        if reset:
            backoff.reset()
            longest.reset()
        whole_s = longest.next_s()
        wait_s = backoff.next_s()
        assert wait_s == whole_s * (0.5 + draw / 2)
        assert 0.5 <= wait_s <= 30
