"""`make siege`: attacks a system that sells in every way there is, and shows who notices.

Exit code 1 if a promise of docs/security.md did not hold.
"""

import argparse
import dataclasses
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.table import BEGIN, END, facts, write_into
from tests.siege.confine import FILES_MAX
from tests.siege.every import ATTACKS
from tests.siege.run import FULL, QUICK, Options, Report, besiege, chosen
from tests.siege.table import as_markdown, as_text, merged, verdicts
from tests.siege.verdict import Row

PAGE = Path("docs/security.md")


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege", description=__doc__)
    parser.add_argument(
        "--attack",
        action="append",
        default=[],
        metavar="NAME",
        help="one attack, or name@same for one from the honest clients' address; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list the attacks, and do nothing")
    parser.add_argument("--seconds", type=float, help="how long each attack lasts")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--quick", action="store_true", help="shorter")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--files", type=int, default=FILES_MAX, help="the frontend's open files")
    parser.add_argument("--keep", action="store_true", help="keep the files of the system")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help=f"write the table into {PAGE}; other attacks keep the rows that they have there",
    )
    return parser.parse_args(arguments)


def main() -> int:
    """The exit code."""
    # So that the system ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asked = options(sys.argv[1:])
    if asked.list:
        for attack in ATTACKS.values():
            print(f"{attack.name:26} {', '.join(attack.origins):14} {attack.who}: {attack.what}")
        return 0
    try:
        attacks = chosen(asked.attack)
    except (KeyError, ValueError) as error:
        print(f"no attack of that name: {error}; --list lists them", file=sys.stderr)
        return 2
    sizes = QUICK if asked.quick else FULL
    if asked.seconds:
        sizes = dataclasses.replace(sizes, during_s=asked.seconds)
    folder = Path(tempfile.mkdtemp(prefix="drink-siege-"))
    print(f"seed {asked.seed}, {asked.engine}, {len(attacks)} attacks, in {folder}", flush=True)
    about = machine.describe(folder)
    started = time.monotonic()
    report = besiege(
        folder, Options(attacks, sizes, asked.seed, asked.engine, asked.files, tell=_tell)
    )
    print(f"limits: {report.limits}, {asked.files} open files")
    print(*verdicts(report.rows), *report.books, sep="\n")
    print(f"{time.monotonic() - started:.0f} s")
    if asked.markdown:
        write_into(PAGE, _page(report, asked, about, sizes.during_s), _by(asked))
    broken = bool(report.books) or any(row.broken() for row in report.rows)
    if not (broken or asked.keep):
        shutil.rmtree(folder, ignore_errors=True)
    return int(broken)


def _tell(row: Row) -> None:
    print(as_text(row), flush=True)


def _by(asked: argparse.Namespace) -> str:
    """What writes the engine's table, as the markers of the page name it."""
    return "make siege" if asked.engine == "sqlite" else f"make siege --engine {asked.engine}"


def _page(report: Report, asked: argparse.Namespace, about: dict[str, str], seconds: float) -> str:
    run = {
        "each attack": f"{seconds:g} s, seed {asked.seed}, {asked.engine}",
        "the frontend's limits": f"{report.limits}, {asked.files} open files",
    }
    page = PAGE.read_text(encoding="utf-8")
    begin, end = (mark.replace("make bench", _by(asked)) for mark in (BEGIN, END))
    page = page.partition(begin)[2].partition(end)[0]
    return f"{facts(about | run)}\n{merged(page, as_markdown(report.rows))}"


if __name__ == "__main__":
    sys.exit(main())
