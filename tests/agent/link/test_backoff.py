from hypothesis import given
from hypothesis import strategies as st

from drink_agent.link.backoff import Backoff
from drink_agent.link.reasons import Retry
from drink_agent.link.settings import LinkSettings

SETTINGS = LinkSettings()


def test_the_wait_doubles_up_to_its_limit() -> None:
    backoff = Backoff(SETTINGS, lambda: 1.0)
    waits = [backoff.wait_s(Retry.SOON) for _ in range(7)]
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_healthy_link_starts_anew() -> None:
    backoff = Backoff(SETTINGS, lambda: 1.0)
    for _ in range(5):
        backoff.wait_s(Retry.SOON)
    backoff.reset()
    assert backoff.wait_s(Retry.SOON) == 1


def test_what_needs_a_person_waits_long_at_once() -> None:
    backoff = Backoff(SETTINGS, lambda: 1.0)
    assert backoff.wait_s(Retry.SLOWLY) == SETTINGS.backoff_slow_s


@given(
    st.lists(st.sampled_from(Retry) | st.none(), max_size=200),
    st.floats(0, 1, exclude_max=True),
)
def test_fault_23_every_wait_is_drawn_between_half_and_the_whole(
    endings: list[Retry | None], draw: float
) -> None:
    backoff, longest = Backoff(SETTINGS, lambda: draw), Backoff(SETTINGS, lambda: 1.0)
    for retry in endings:
        if retry is None:
            backoff.reset()
            longest.reset()
            continue
        whole_s = longest.wait_s(retry)
        wait_s = backoff.wait_s(retry)
        assert wait_s == whole_s * (0.5 + draw / 2)
        assert 0.5 <= wait_s <= SETTINGS.backoff_slow_s
