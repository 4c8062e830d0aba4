"""`python -m tests.soak --minutes 15`: exit code 1 if a credit or a can went astray."""

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import run_soak

PROBLEMS_SHOWN = 50


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--pause", type=float, default=6, help="seconds between faults of a kind")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="drink-soak-"))
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {folder}", flush=True)
    report = run_soak(folder, options.seed, options.minutes * 60, options.pause)
    print(report.table)
    for problem in report.problems[:PROBLEMS_SHOWN]:
        print(f"{problem.kind}: {problem.text}")
    if report.problems:
        print(f"{len(report.problems)} problems; everything is kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
