import ctypes
import os
import threading
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Side, alternate, cost, percentile, pinned, thread_cpu_s


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_covers_its_share(
    values: list[float], percent: int
) -> None:
    found = percentile(values, percent / 100)
    assert found in values
    covered = sum(value <= found for value in values)
    below = sum(value < found for value in values)
    # In whole hundredths, for a share of floats may be off by a rounding.
    assert covered * 100 >= percent * len(values)
    assert below * 100 < percent * len(values)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1, 100), (0.001, 1)])
def test_percentiles_of_a_hundred(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


def recording(name: str, seen: list[str], values: list[float]) -> Side:
    async def side() -> Mapping[str, float]:
        seen.append(name)
        return {"number": values.pop(0)}

    return side


async def test_sides_take_turns_and_each_begins_every_second_round() -> None:
    seen: list[str] = []
    sides = {
        "a": recording("a", seen, [1, 30, 2]),
        "b": recording("b", seen, [5, 5, 9]),
    }
    medians = await alternate(sides, 3)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert medians == {"a": {"number": 2}, "b": {"number": 5}}


def test_a_process_costs_cpu_and_memory() -> None:
    before = cost(os.getpid())
    ballast = bytearray(64 << 20)
    ballast[::4_096] = b"x" * len(ballast[::4_096])
    while (now := cost(os.getpid())).cpu_s <= before.cpu_s:
        pass
    assert now.memory_kib > before.memory_kib + (32 << 10)


def test_a_pinned_process_has_one_core_and_then_all_again() -> None:
    allowed = os.sched_getaffinity(0)
    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == allowed


def test_threads_of_a_name_cost_cpu() -> None:
    named, told = threading.Event(), threading.Event()

    def work() -> None:
        ctypes.CDLL(None).prctl(15, b"a-busy-thread")
        while thread_cpu_s([os.getpid()], "a-busy-thread") < 0.05:
            pass
        named.set()
        told.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert named.wait(60)
    assert thread_cpu_s([os.getpid()], "a-busy-thread") >= 0.05
    assert thread_cpu_s([os.getpid()], "nobody") == 0
    told.set()
    thread.join()
