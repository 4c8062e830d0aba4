import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.link.reasons import Retry
from drink_agent.link.route import Route
from drink_agent.link.settings import LinkSettings

THREE = LinkSettings(addresses=("a:1", "b:1", "c:1"))
HEALTHY_S = THREE.healthy_after_s


HIGHEST = math.nextafter(1, 0)


def drawing(*numbers: float) -> Callable[[], float]:
    """The numbers, then the highest for ever, with which nothing changes its place."""
    return itertools.chain(numbers, itertools.repeat(HIGHEST)).__next__


def route() -> Route:
    return Route(THREE, drawing())


@pytest.mark.parametrize(
    ("numbers", "order"),
    [
        ((HIGHEST, HIGHEST), ["a:1", "b:1", "c:1"]),
        ((0.0, HIGHEST), ["c:1", "b:1", "a:1"]),
        ((0.0, 0.0), ["b:1", "c:1", "a:1"]),
    ],
)
def test_each_agent_has_an_order_of_its_own(numbers: tuple[float, ...], order: list[str]) -> None:
    going = Route(THREE, drawing(*numbers))
    seen = []
    for _ in range(3):
        seen.append(going.address)
        going.ended(Retry.SOON, 0)
    assert seen == order
    assert going.address == order[0]


def test_all_are_tried_at_once_and_then_it_waits_ever_longer() -> None:
    going = route()
    waits = [going.ended(Retry.SOON, 0) for _ in range(9)]
    assert waits == pytest.approx([0, 0, 1, 0, 0, 2, 0, 0, 4])


def test_with_one_address_every_failure_waits() -> None:
    going = Route(LinkSettings(addresses=("a:1",)), drawing())
    assert [going.ended(Retry.SOON, 0) for _ in range(3)] == pytest.approx([1, 2, 4])
    assert going.ended(Retry.ELSEWHERE, HEALTHY_S) == pytest.approx(1)


def test_what_needs_a_person_waits_long_at_once_and_goes_on_to_the_next() -> None:
    going = route()
    assert going.ended(Retry.SLOWLY, 0) == pytest.approx(THREE.backoff_slow_s)
    assert going.address == "b:1"


def test_a_healthy_link_begins_a_new_round() -> None:
    going = route()
    for _ in range(5):
        going.ended(Retry.SOON, 0)
    assert [going.ended(Retry.SOON, up_s) for up_s in (HEALTHY_S, 0, 0)] == pytest.approx([0, 0, 1])


def test_links_that_do_not_last_use_up_the_round() -> None:
    going = route()
    waits = [going.ended(Retry.SOON, HEALTHY_S - 1) for _ in range(6)]
    assert waits == pytest.approx([0, 0, 1, 0, 0, 2])


def test_fault_21_a_goodbye_begins_a_new_round_unless_it_comes_at_once() -> None:
    going = route()
    assert [going.ended(Retry.ELSEWHERE, 5) for _ in range(9)] == [0] * 9
    waits = [going.ended(Retry.ELSEWHERE, 0.1) for _ in range(3)]
    assert waits.count(0) == 2


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(Retry), st.floats(0, 100)), min_size=20, max_size=100),
)
def test_fault_23_no_order_of_endings_makes_it_dial_without_end(
    count: int, endings: list[tuple[Retry, float]]
) -> None:
    settings = LinkSettings(addresses=tuple(f"{number}:1" for number in range(count)))
    going = Route(settings, lambda: 0.0)
    passed_s = 0.0
    for dials, (retry, up_s) in enumerate(endings, 1):
        passed_s += up_s + going.ended(retry, up_s)
        # A round is as many dials; each costs half a first wait, or a link that lasted longer.
        assert dials <= count * (passed_s / (settings.backoff_first_s / 2) + 1)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=10))
def test_whatever_is_drawn_every_address_has_its_turn(numbers: list[float]) -> None:
    settings = LinkSettings(addresses=tuple(f"{number}:1" for number in range(10)))
    going, seen = Route(settings, drawing(*numbers)), set()
    for _ in range(10):
        seen.add(going.address)
        going.ended(Retry.SOON, 0)
    assert seen == set(settings.addresses)
