"""Rows about growth: drops beside millions of others, and starts with a long past."""

import hashlib
import statistics
import time
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from benchmarks.buyers import Buyers, buyers
from benchmarks.fill import fill
from benchmarks.measure import Side, alternate
from benchmarks.rows_drops import AT_ONCE, WARM_UP_S
from benchmarks.sizes import FEW_DROPS, Sizes
from benchmarks.systems import MACHINES, Frontend, running_system
from benchmarks.table import Goal, Row
from drink_agent.domain.evidence import Cause, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.journal.disk import Disk
from drink_agent.journal.file import Journal
from drink_frontend.storage.migrations import versions
from scripts.plan import settings_toml
from scripts.processes import Process

START_LIMIT_S = 120
"""Seconds that a start may take."""


DEEPER = "indexes of one level more, whose pages are read from disk where they are not in memory"


async def many_drops(folder: Path, sizes: Sizes) -> list[Row]:
    """One drop at a time, and 64, beside few others and beside many."""
    folders = {
        "few": filled(folder.parent, FEW_DROPS),
        "many": filled(folder.parent, sizes.many_drops),
    }
    async with AsyncExitStack() as undo:
        sides = {}
        for name, each in folders.items():
            _, target = undo.enter_context(running_system(each))
            crowd = await undo.enter_async_context(buyers(target))
            await crowd.buy(AT_ONCE, WARM_UP_S)
            sides[name] = _side(crowd, sizes.drops_s)
        measured = await alternate(sides, sizes.rounds)
    what = f"a drop with {sizes.many_drops:,} drops in the database"
    against = f"the same with {FEW_DROPS:,}"
    few, many = measured["few"], measured["many"]
    return [
        Row(
            f"{what}: p50, one at a time",
            many["p50"],
            "ms",
            few["p50"],
            against,
            Goal.AT_MOST,
            1.2,
            limited_by=DEEPER,
        ),
        Row(
            f"{what}: time of each, 64 at a time",
            many["each_ms"],
            "ms",
            few["each_ms"],
            against,
            Goal.AT_MOST,
            1.2,
            limited_by=DEEPER,
        ),
    ]


async def starts(folder: Path, sizes: Sizes) -> list[Row]:
    """From the start of a process until it serves, with a long past and with none."""
    frontend = _frontend_start_s(filled(folder.parent, sizes.start_drops), sizes.starts)
    bare_frontend = _frontend_start_s(filled(folder.parent, 0), sizes.starts)
    agent = _agent_start_s(folder / "agent", sizes.start_records, sizes.starts)
    bare_agent = _agent_start_s(folder / "new-agent", 0, sizes.starts)
    return [
        Row(
            f"frontend start with {sizes.start_drops:,} drops",
            frontend,
            "s",
            goal=Goal.AT_MOST,
            limit=2,
            note=f"{bare_frontend:.2f} s with none",
            limited_by="imports, and the CPU that the machine has for them",
        ),
        Row(
            f"agent start with {sizes.start_records:,} journal records, until its link is up",
            agent,
            "s",
            goal=Goal.AT_MOST,
            limit=1,
            note=f"{bare_agent:.2f} s with none",
            limited_by="reading and checking each record of the journal, one by one",
        ),
    ]


def filled(data: Path, count: int) -> Path:
    """The folder of an installation with so many drops; made once and kept."""
    folder = data / f"drops-{schema()}-{count}"
    complete = folder / "complete"
    frontend = Frontend(folder)
    if not complete.exists():
        # Of a fill that was interrupted nothing is of use.
        frontend.database.unlink(missing_ok=True)
        frontend.install()
        fill(frontend.database, count)
        complete.touch()
    return folder


def schema() -> str:
    """Names the schema by its migrations, of which an unreleased one may still change."""
    digest = hashlib.sha256()
    for file in sorted(Path(versions.__path__[0]).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def _side(crowd: Buyers, seconds: float) -> Side:
    async def side() -> Mapping[str, float]:
        single = await crowd.buy(1, seconds)
        crowded = await crowd.buy(AT_ONCE, seconds)
        return {"p50": single.ms(0.5), "each_ms": 1000 / crowded.per_second}

    return side


def _frontend_start_s(folder: Path, times: int) -> float:
    """Seconds until a frontend serves; the median of several starts."""
    taken = []
    for _ in range(times):
        frontend = Frontend(folder)
        frontend.install()
        started = time.monotonic()
        frontend.start()
        taken.append(time.monotonic() - started)
        frontend.process.stop()
    return statistics.median(taken)


def _agent_start_s(folder: Path, records: int, times: int) -> float:
    """Seconds until an agent has its link; the median of several starts."""
    frontend = Frontend(folder)
    frontend.install()
    journal = folder / "agent.journal"
    write_journal(journal, records)
    machine = MACHINES[0]
    taken = []
    with ExitStack() as undo:
        undo.callback(frontend.process.kill)
        frontend.start()
        config = folder / "agent.toml"
        sections = {
            "board": 'url = "tcp://127.0.0.1:1"',
            "link": f'addresses = ["{frontend.address}"]\ntoken_file = "{folder}/{machine}.token"',
            "journal": f'path = "{journal}"',
        }
        config.write_text(f'machine = "{machine}"\n' + settings_toml(sections, {}))
        for _ in range(times):
            process = Process("agent", ["drink-machine-agent", f"--config={config}", "run"], folder)
            undo.callback(process.kill)
            started = time.monotonic()
            process.start()
            process.wait_for("link_up", START_LIMIT_S)
            taken.append(time.monotonic() - started)
            process.kill()
    return statistics.median(taken)


class _Hurried(Disk):
    """Does not wait for the disk: a journal for a benchmark may be lost."""

    def sync_data(self, descriptor: int) -> None:
        """See `Disk`."""


def write_journal(path: Path, records: int) -> None:
    """Writes a journal of so many records of settled drops, in the frames that an agent writes."""
    journal, _ = Journal.open(path, _Hurried())

    def append(record: Record) -> None:
        if journal.last_sequence < records:
            journal.append(Entry(journal.last_sequence + 1, record))

    while journal.last_sequence < records:
        drop = uuid.uuid4().hex
        append(Accepted(drop, 1, 10_000, 1_000, "an-earlier-boot"))
        append(Commanded(drop, 1, Sensor.UNSPECIFIED))
        journal.sync()
        append(Result(drop, 1, Cause.BOARD_ACK, Evidence()))
        journal.sync()
        append(Acked(drop, 1))
    journal.sync()
    journal.close()
