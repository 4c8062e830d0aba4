"""What is measured of calls and processes: percentiles, memory, CPU, and who runs on which core."""

import os
import statistics
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed: nearest rank, never interpolated.

    Args:
        values: At least one.
        share: Above 0 and at most 1.
    """
    assert values
    assert 0 < share <= 1
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[rank - 1]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has cost so far.

    Attributes:
        cpu_s: Seconds of CPU, its own and the system's for it.
        memory_kib: KiB of memory that it holds now.
    """

    cpu_s: float
    memory_kib: int


def cost(pid: int) -> Cost:
    """What a running process has cost so far."""
    proc = Path(f"/proc/{pid}")
    # The name in brackets may hold blanks.
    fields = proc.joinpath("stat").read_text().rpartition(")")[2].split()
    status = proc.joinpath("status").read_text().splitlines()
    memory_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return Cost((int(fields[11]) + int(fields[12])) / _TICKS_PER_S, memory_kib)


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of CPU that processes have cost so far, together."""
    return sum(cost(pid).cpu_s for pid in pids)


def thread_cpu_s(pids: Sequence[int], name: str) -> float:
    """Seconds of CPU that running threads of a name have cost so far, together."""
    nanoseconds = 0
    for thread in [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]:
        # Another one may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            if thread.joinpath("comm").read_text().strip() == name:
                nanoseconds += int(thread.joinpath("schedstat").read_text().split()[0])
    return nanoseconds / 1e9


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Runs this process, and what it starts meanwhile, on one core; on any if there is only one."""
    allowed = os.sched_getaffinity(0)
    cores = sorted(allowed)
    os.sched_setaffinity(0, {cores[core % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


Side = Callable[[], Coroutine[None, None, Mapping[str, float]]]
"""Measures one side once; what it returns has the same keys each time."""


async def alternate(sides: Mapping[str, Side], rounds: int) -> dict[str, dict[str, float]]:
    """Measures sides in turn, A B A B, so that what else the machine does hits all alike.

    Every second round begins with the other end, since who follows whom may matter too.

    Returns:
        For each side the median of each number over all rounds.
    """
    measured: dict[str, list[Mapping[str, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)
        for name in names if number % 2 == 0 else reversed(names):
            measured[name].append(await sides[name]())
    return {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in measured.items()
    }
