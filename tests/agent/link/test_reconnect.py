import itertools
import math
from collections.abc import Callable
from random import Random

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink.v1.error_reason_pb2 import ErrorReason
from drink_agent.link.reconnect import (
    RETRY_BY_CODE,
    RETRY_BY_REASON,
    ReconnectPolicy,
    Retry,
    retry_for,
)
from drink_agent.link.settings import LinkSettings

THREE = LinkSettings(addresses=("a:1", "b:1", "c:1"))
HEALTHY_S = THREE.healthy_after_s


HIGHEST = math.nextafter(1, 0)


def drawing(*numbers: float) -> Callable[[], float]:
    """Returns the numbers, then always the highest, which keeps the order of the addresses."""
    return itertools.chain(numbers, itertools.repeat(HIGHEST)).__next__


def route() -> ReconnectPolicy:
    return ReconnectPolicy(THREE, drawing())


@pytest.mark.parametrize(
    ("numbers", "order"),
    [
        ((HIGHEST, HIGHEST), ["a:1", "b:1", "c:1"]),
        ((0.0, HIGHEST), ["c:1", "b:1", "a:1"]),
        ((0.0, 0.0), ["b:1", "c:1", "a:1"]),
    ],
)
def test_each_agent_has_an_order_of_its_own(numbers: tuple[float, ...], order: list[str]) -> None:
    going = ReconnectPolicy(THREE, drawing(*numbers))
    seen = []
    for _ in range(3):
        seen.append(going.address)
        going.next_wait_s(Retry.BACKOFF, 0)
    assert seen == order
    assert going.address == order[0]


def test_all_addresses_are_tried_before_each_growing_wait() -> None:
    going = route()
    waits = [going.next_wait_s(Retry.BACKOFF, 0) for _ in range(9)]
    assert waits == pytest.approx([0, 0, 1, 0, 0, 2, 0, 0, 4])


def test_with_one_address_every_failure_waits() -> None:
    going = ReconnectPolicy(LinkSettings(addresses=("a:1",)), drawing())
    assert [going.next_wait_s(Retry.BACKOFF, 0) for _ in range(3)] == pytest.approx([1, 2, 4])
    assert going.next_wait_s(Retry.IMMEDIATE, HEALTHY_S) == pytest.approx(1)


def test_a_refusal_that_needs_a_person_waits_long_and_selects_the_next_address() -> None:
    going = route()
    assert going.next_wait_s(Retry.SLOW, 0) == pytest.approx(THREE.backoff_slow_s)
    assert going.address == "b:1"


def test_a_healthy_link_begins_a_new_round() -> None:
    going = route()
    for _ in range(5):
        going.next_wait_s(Retry.BACKOFF, 0)
    assert [going.next_wait_s(Retry.BACKOFF, up_s) for up_s in (HEALTHY_S, 0, 0)] == pytest.approx(
        [0, 0, 1]
    )


def test_links_that_do_not_last_use_up_the_round() -> None:
    going = route()
    waits = [going.next_wait_s(Retry.BACKOFF, HEALTHY_S - 1) for _ in range(6)]
    assert waits == pytest.approx([0, 0, 1, 0, 0, 2])


def test_fault_21_a_goodbye_begins_a_new_round_unless_it_comes_at_once() -> None:
    going = route()
    assert [going.next_wait_s(Retry.IMMEDIATE, 5) for _ in range(9)] == [0] * 9
    waits = [going.next_wait_s(Retry.IMMEDIATE, 0.1) for _ in range(3)]
    assert waits.count(0) == 2


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(Retry), st.floats(0, 100)), min_size=20, max_size=100),
)
def test_fault_23_no_order_of_endings_causes_a_dialling_loop(
    count: int, endings: list[tuple[Retry, float]]
) -> None:
    settings = LinkSettings(addresses=tuple(f"{number}:1" for number in range(count)))
    going = ReconnectPolicy(settings, lambda: 0.0)
    passed_s = 0.0
    for dials, (retry, up_s) in enumerate(endings, 1):
        passed_s += up_s + going.next_wait_s(retry, up_s)
        # A round has `count` dials and costs half a first wait, or a link that lasted longer.
        assert dials <= count * (passed_s / (settings.backoff_first_s / 2) + 1)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=10))
def test_every_order_contains_every_address(numbers: list[float]) -> None:
    settings = LinkSettings(addresses=tuple(f"{number}:1" for number in range(10)))
    going, seen = ReconnectPolicy(settings, drawing(*numbers)), set()
    for _ in range(10):
        seen.add(going.address)
        going.next_wait_s(Retry.BACKOFF, 0)
    assert seen == set(settings.addresses)


def test_fault_18_an_agent_that_another_takes_the_link_from_waits_longer_each_time() -> None:
    contested = ReconnectPolicy(LinkSettings(), lambda: 1.0)
    waits = [contested.next_wait_s(Retry.STANDBY, 10, board_ready=True) for _ in range(8)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert contested.superseded == 8
    without = ReconnectPolicy(LinkSettings(), lambda: 1.0)
    expected = [60, 480, 3600, 3600]
    assert [without.next_wait_s(Retry.STANDBY, 10, board_ready=False) for _ in range(4)] == expected


def test_a_link_that_was_kept_for_long_starts_anew() -> None:
    contested = ReconnectPolicy(LinkSettings(), lambda: 1.0)
    for _ in range(3):
        contested.next_wait_s(Retry.STANDBY, 10, board_ready=True)
    assert contested.next_wait_s(Retry.STANDBY, 5 * 240, board_ready=True) == 60
    assert contested.superseded == 1


def test_a_limit_below_the_first_wait_is_that_wait() -> None:
    settings = LinkSettings(superseded_limit_s=1)
    assert (
        ReconnectPolicy(settings, lambda: 1.0).next_wait_s(Retry.STANDBY, 0, board_ready=True)
        == settings.backoff_slow_s
    )


def contest(*ready: bool, seed: int, hours: float) -> tuple[list[float], int]:
    """Simulates two agents with the token of one machine.

    Returns:
        For the second half of the time: the share in which each agent had the link, and the number
        of changes between them.
    """
    random = Random(seed)
    agents = [ReconnectPolicy(LinkSettings(), random.random) for _ in ready]
    holder, now, end_s, shares, changes = 0, 0.0, hours * 3600, [0.0, 0.0], 0
    since, wait_s = 0.0, 0.0
    while now < end_s:
        now += wait_s + 1
        if now - 1 > end_s / 2:
            shares[holder] += now - max(since, end_s / 2)
            changes += 1
        other = 1 - holder
        wait_s = agents[holder].next_wait_s(Retry.STANDBY, now - since, board_ready=ready[holder])
        holder, since = other, now
    return [share / sum(shares) for share in shares], changes


@given(st.integers(0, 2**32))
def test_fault_18_of_two_agents_the_one_with_a_board_has_the_link_nearly_always(seed: int) -> None:
    for ready in ((True, False), (False, True)):
        shares, _ = contest(*ready, seed=seed, hours=24)
        assert shares[ready.index(True)] > 0.9


@given(st.integers(0, 2**32))
def test_fault_18_two_agents_with_boards_rarely_supersede_each_other(seed: int) -> None:
    _, changes = contest(True, True, seed=seed, hours=24)
    assert changes <= 3 * 12  # a link that lasts for twenty minutes at least, on the average


def test_the_tables_name_real_reasons_and_codes() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118  # no mapping
    assert set(RETRY_BY_REASON) <= reasons
    assert set(RETRY_BY_CODE) <= {code.name for code in grpc.StatusCode}


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [
        ("UNAVAILABLE", "", Retry.BACKOFF),
        ("UNKNOWN", "", Retry.BACKOFF),
        ("CANCELLED", "", Retry.BACKOFF),
        ("UNAVAILABLE", "SHUTTING_DOWN", Retry.BACKOFF),
        ("UNAUTHENTICATED", "", Retry.SLOW),
        ("UNAUTHENTICATED", "TOKEN_INVALID", Retry.SLOW),
        ("ABORTED", "LINK_SUPERSEDED", Retry.STANDBY),
        ("FAILED_PRECONDITION", "STORAGE_UNAVAILABLE", Retry.BACKOFF),
        ("UNAVAILABLE", "SOMETHING_NEW", Retry.BACKOFF),
        ("PERMISSION_DENIED", "SOMETHING_NEW", Retry.SLOW),
    ],
)
def test_the_reason_counts_before_the_code(code: str, reason: str, retry: Retry) -> None:
    assert retry_for(code, reason) is retry
