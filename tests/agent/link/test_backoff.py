from random import Random

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


def test_fault_18_an_agent_that_another_takes_the_link_from_waits_longer_each_time() -> None:
    backoff = Backoff(SETTINGS, lambda: 1.0)
    waits = [backoff.standby_s(10, useful=True) for _ in range(8)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert backoff.superseded == 8
    without = Backoff(SETTINGS, lambda: 1.0)
    assert [without.standby_s(10, useful=False) for _ in range(4)] == [60, 480, 3600, 3600]


def test_a_link_that_was_kept_for_long_starts_anew() -> None:
    backoff = Backoff(SETTINGS, lambda: 1.0)
    for _ in range(3):
        backoff.standby_s(10, useful=True)
    assert backoff.standby_s(5 * 240, useful=True) == 60
    assert backoff.superseded == 1


def test_a_limit_below_the_first_wait_is_that_wait() -> None:
    settings = LinkSettings(superseded_limit_s=1)
    assert Backoff(settings, lambda: 1.0).standby_s(0, useful=True) == settings.backoff_slow_s


def contest(*useful: bool, seed: int, hours: float) -> tuple[list[float], int]:
    """Two agents with one machine's token, for so long.

    Returns:
        What share of the last half of the time each of them had the link, and how often it changed
        hands in that half.
    """
    random = Random(seed)
    agents = [Backoff(SETTINGS, random.random) for _ in useful]
    holder, now, end_s, shares, changes = 0, 0.0, hours * 3600, [0.0, 0.0], 0
    since, wait_s = 0.0, 0.0
    while now < end_s:
        now += wait_s + 1
        if now - 1 > end_s / 2:
            shares[holder] += now - max(since, end_s / 2)
            changes += 1
        other = 1 - holder
        wait_s = agents[holder].standby_s(now - since, useful=useful[holder])
        holder, since = other, now
    return [share / sum(shares) for share in shares], changes


@given(st.integers(0, 2**32))
def test_fault_18_of_two_agents_the_one_with_a_board_has_the_link_nearly_always(seed: int) -> None:
    for useful in ((True, False), (False, True)):
        shares, _ = contest(*useful, seed=seed, hours=24)
        assert shares[useful.index(True)] > 0.9


@given(st.integers(0, 2**32))
def test_fault_18_two_agents_with_a_board_each_leave_each_other_alone(seed: int) -> None:
    _, changes = contest(True, True, seed=seed, hours=24)
    assert changes <= 3 * 12  # a link that lasts for twenty minutes at least, on the average
