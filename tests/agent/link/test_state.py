import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.link.settings import LinkSettings
from drink_agent.link.state import INTERVAL_S_MAX, SILENT_INTERVALS, LinkState, LinkViolationError

SETTINGS = LinkSettings()


def greeted(now: float = 105.0, interval_s: int = 10) -> LinkState:
    state = LinkState(SETTINGS, 100.0)
    state.record_welcome(interval_s, 0, now)
    return state


def test_a_link_that_is_not_welcomed_has_a_deadline() -> None:
    state = LinkState(SETTINGS, 100.0)
    assert not state.is_up
    assert state.silent_at == 100.0 + SETTINGS.welcome_limit_s
    assert state.heartbeat_at is None
    assert state.up_s(105.0) == 0


def test_a_message_before_welcome_is_a_violation() -> None:
    with pytest.raises(LinkViolationError):
        LinkState(SETTINGS, 100.0).record_message(101.0)


def test_a_welcome_starts_the_heartbeat_at_once() -> None:
    state = greeted()
    assert state.is_up
    assert state.heartbeat_at == 105.0
    assert [state.next_heartbeat(105.0), state.next_heartbeat(115.0)] == [1, 2]
    assert state.heartbeat_at == 125.0
    assert state.up_s(107.0) == 2.0


def test_three_silent_intervals_lose_the_link() -> None:
    state = greeted()
    assert state.silent_at == 105.0 + SILENT_INTERVALS * 10
    state.record_message(120.0)
    assert state.silent_at == 120.0 + SILENT_INTERVALS * 10


def test_a_second_welcome_breaks_the_protocol() -> None:
    with pytest.raises(LinkViolationError):
        greeted().record_welcome(10, 0, 106.0)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 10_000))
def test_a_welcome_is_accepted_within_its_limits_only(interval_s: int, wanted: int) -> None:
    state = LinkState(SETTINGS, 100.0)
    if 1 <= interval_s <= INTERVAL_S_MAX and wanted <= SETTINGS.wanted_limit:
        state.record_welcome(interval_s, wanted, 101.0)
        assert state.is_up
    else:
        with pytest.raises(LinkViolationError):
            state.record_welcome(interval_s, wanted, 101.0)
        assert not state.is_up
