"""Runs the benchmarks and prints their table. `python -m benchmarks --help` says how."""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

# Before grpc is loaded: processes are started while channels are open.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop

from benchmarks import (
    machine,
    rows_drops,
    rows_growth,
    rows_links,
    rows_postgres,
    rows_sessions,
    rows_statistics,
    rows_web,
    stages,
    table,
)
from benchmarks.sizes import FULL, QUICK, Sizes
from drink_frontend.system.descriptors import raise_file_limit

Measure = Callable[[Path, Sizes], Awaitable[list[table.Row]]]

MEASURES: dict[str, Measure] = {
    "drops": rows_drops.throughput_and_latency,
    "postgres": rows_postgres.turns,
    "commands": rows_sessions.commands,
    "idle": rows_sessions.idle,
    "links": rows_links.idle,
    "messages": rows_links.messages,
    "growth": rows_growth.many_drops,
    "starts": rows_growth.starts,
    "statistics": rows_statistics.questions,
    "syncs": rows_drops.syncs,
    "silent": rows_drops.silent_board,
    "web": rows_web.page,
}
"""Groups of rows by name, in the table's order."""

PROFILE = "stages"
"""Where the time of one drop goes, which is no row."""

PAGE = Path("docs/performance.md")


def options(arguments: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", choices=[*MEASURES, PROFILE, []], help="all, if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="smaller, fewer, in two minutes")
    parser.add_argument("--rounds", type=int, help="rounds of each row")
    parser.add_argument("--data", type=Path, default=Path("run/bench"), help="where files are made")
    parser.add_argument("--json", type=Path, help="where the results go, as JSON")
    parser.add_argument("--page", action="store_true", help=f"write the table into {PAGE}")
    return parser.parse_args(arguments)


async def run(
    chosen: argparse.Namespace, sizes: Sizes
) -> tuple[list[table.Row], list[stages.Stage], list[str]]:
    """Measures what was chosen, and says how it goes on standard error.

    Returns:
        The rows, the stages of a drop, and the groups that failed, whose rows are missing.
    """
    task = asyncio.current_task()
    assert task is not None
    # What was started is ended too when this is.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    rows: list[table.Row] = []
    profile: list[stages.Stage] = []
    failed: list[str] = []
    for name in chosen.rows or [*MEASURES, PROFILE]:
        started = time.monotonic()
        try:
            with _folder(chosen.data) as folder:
                if name == PROFILE:
                    profile = await stages.measure(folder, sizes)
                else:
                    rows += await MEASURES[name](folder, sizes)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return rows, profile, failed


def main() -> None:
    """Runs what the command line says."""
    chosen = options(sys.argv[1:])
    sizes = QUICK if chosen.quick else FULL
    if chosen.rounds:
        sizes = dataclasses.replace(sizes, rounds=chosen.rounds, postgres_rounds=chosen.rounds)
    chosen.data = chosen.data.resolve()
    chosen.data.mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    facts = machine.describe(chosen.data)
    rows, profile, failed = uvloop.run(run(chosen, sizes))
    kind = (
        "A quick run: fewer and shorter rounds, smaller sizes." if chosen.quick else "A full run."
    )
    text = f"{kind}\n\n{table.facts(facts)}\n{table.as_markdown(rows)}"
    if profile:
        text += f"\n{stages.as_markdown(profile)}"
    print(text)
    result = chosen.json or chosen.data / f"results-{time.strftime('%Y%m%d-%H%M%S')}.json"
    stages_ms = {stage.what: stage.ms for stage in profile}
    told = table.as_json(rows, facts, dataclasses.asdict(sizes), stages_ms)
    result.write_text(told, encoding="utf-8")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the results are without them")
    if chosen.page:
        table.write_into(PAGE, text)


@contextlib.contextmanager
def _folder(data: Path) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rows-", dir=data))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
