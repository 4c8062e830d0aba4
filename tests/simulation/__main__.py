"""`python -m tests.simulation --seeds 1000`: many worlds, over all cores, and what they came to."""

import argparse
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.scenario import attempt


def main() -> int:
    """The exit code: 1 if a promise was broken in any world."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many worlds")
    parser.add_argument("--first", type=int, help="the first seed; drawn if not given")
    options = parser.parse_args()
    first = secrets.randbelow(10**9) if options.first is None else options.first
    started, broken = time.monotonic(), 0
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    states: Counter[str] = Counter()
    # Children are worlds of their own: a fork would share what the first one has imported and run.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for report in pool.map(attempt, range(first, first + options.seeds), chunksize=4):
            if isinstance(report, str):
                broken += 1
                print(report, flush=True)
                continue
            total.update(drops=report.drops, cans=report.cans, seconds=round(report.seconds))
            faults.update(report.faults)
            states.update(report.states)
    print(f"seeds {first} to {first + options.seeds - 1}: {broken} broken")
    print(f"{total['drops']} drops, {total['cans']} cans, by state {dict(states.most_common())}")
    print(f"{sum(faults.values())} faults: {dict(faults.most_common())}")
    print(f"{total['seconds']} s simulated in {time.monotonic() - started:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
