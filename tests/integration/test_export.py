"""Exports of many rows need no more memory than those of few, neither here nor at the frontend."""

import contextlib
import csv
import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from benchmarks.fill import fill
from benchmarks.systems import Frontend, PostgresFrontend
from drink_frontend.storage.tables import metadata
from scripts.processes import BIN, POLL_S, run
from tests.support.postgres import fresh_postgres

PASSWORD = "hunter2-not"

UNPACED = {"rpc.responses": "rows_per_account_per_s = 1_000_000"}
"""So that a test does not wait for the pace at which an account may read."""

GROWTH_MAX_KIB = 16 * 1024
"""Memory by which a process may grow over an export: some pages of rows, and what Python keeps."""


@dataclass(frozen=True)
class Export:
    """What an export took: rows, seconds, and memory in KiB: the command's peak, and the
    frontend's before, at its peak, and after."""

    rows: int
    seconds: float
    command: int
    before: int
    peak: int
    after: int


def _memory(pid: int, what: str) -> int:
    """A number of a process's memory in KiB: VmRSS, now, or VmHWM, at its highest."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what))


def _administrator(frontend: Frontend) -> dict[str, str]:
    """The environment of an administrator who is logged in."""
    config = frontend.folder / f"{frontend.process.name}.toml"
    command = ["drink-frontend", f"--config={config}", "admin", "user", "add", "root"]
    run([*command, "--admin", "--password"], frontend.folder, f"{PASSWORD}\n")
    home = frontend.folder / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        environment.pop(variable, None)
    subprocess.run(
        [BIN / "drink", "login", "root", "--server", frontend.address],
        env=environment,
        input=PASSWORD,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return environment


def _export(frontend: Frontend, environment: dict[str, str], *options: str) -> Export:
    """Exports all drops into `drops` in the frontend's folder."""
    pid = frontend.process.pid
    # Its peak so far is that of starting.
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")
    before, began = _memory(pid, "VmRSS"), time.monotonic()
    path = frontend.folder / "drops"
    with (
        path.open("wb") as file,
        subprocess.Popen(
            [BIN / "drink", "admin", "export", "drops", *options], env=environment, stdout=file
        ) as command,
    ):
        peak_here = 0
        while command.poll() is None:
            # Its peak so far; getrusage has that of this process before it became the command.
            with contextlib.suppress(OSError, StopIteration):
                peak_here = _memory(command.pid, "VmHWM")
            time.sleep(POLL_S)
    seconds = time.monotonic() - began
    assert command.returncode == 0
    with path.open(encoding="utf-8") as lines:
        rows = sum(1 for _ in lines) - ("--csv" in options)
    after, peak = _memory(pid, "VmRSS"), _memory(pid, "VmHWM")
    return Export(rows, seconds, peak_here, before, peak, after)


def _to_postgres(database: Path, url: str) -> None:
    """Copies a filled SQLite database into a PostgreSQL one of the same schema."""
    with closing(sqlite3.connect(database)) as source, psycopg.connect(url) as target:
        target.execute("SET session_replication_role = replica")
        for table in metadata.sorted_tables:
            columns = [column.name for column in table.columns]
            name, fields = (
                sql.Identifier(table.name),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
            target.execute(sql.SQL("TRUNCATE {} CASCADE").format(name))
            types = [column.type.python_type for column in table.columns]
            rows = source.execute(f"SELECT {', '.join(columns)} FROM {table.name}")
            copy = sql.SQL("COPY {} ({}) FROM STDIN").format(name, fields)
            with target.cursor().copy(copy) as stream:
                for row in rows:
                    stream.write_row(
                        [_as(kind, value) for kind, value in zip(types, row, strict=True)]
                    )
            if "sequence" in columns:
                target.execute(
                    sql.SQL(
                        "SELECT setval(pg_get_serial_sequence({}, 'sequence'),"
                        " coalesce(max(sequence), 1)) FROM {}"
                    ).format(sql.Literal(table.name), name)
                )
        target.commit()


def _as(kind: type[Any], value: Any) -> Any:
    return bool(value) if kind is bool and value is not None else value


def test_an_export_of_many_rows_takes_the_memory_of_one_of_few(tmp_path: Path) -> None:
    frontend = Frontend(tmp_path, UNPACED)
    frontend.install()
    fill(frontend.database, 2_000)
    try:
        frontend.start()
        environment = _administrator(frontend)
        few = _export(frontend, environment)
        frontend.process.stop()
        fill(frontend.database, 28_000)
        frontend.start()
        _login_again(frontend, environment)
        many = _export(frontend, environment, "--csv")
    finally:
        frontend.process.kill()

    assert (few.rows, many.rows) == (2_000, 30_000)
    assert many.command - few.command < GROWTH_MAX_KIB
    assert many.peak - few.peak < GROWTH_MAX_KIB
    with (tmp_path / "drops").open(encoding="utf-8", newline="") as file:
        assert len({row["drop"] for row in csv.DictReader(file)}) == 30_000


def _login_again(frontend: Frontend, environment: dict[str, str]) -> None:
    """The same login at the frontend's new port."""
    config = Path(environment["HOME"]) / ".config/drink/config.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    changed = [
        f'server = "{frontend.address}"' if each.startswith("server") else each for each in lines
    ]
    config.write_text("\n".join(changed) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_hundred_thousand_drops_are_exported_in_constant_memory(
    engine: str, tmp_path: Path
) -> None:
    frontend = Frontend(tmp_path, UNPACED)
    frontend.install()
    fill(frontend.database, 100_000)
    if engine == "postgres":
        url = fresh_postgres().url
        assert url is not None
        _to_postgres(frontend.database, url)
        frontend = PostgresFrontend(tmp_path, url, "on-postgres", UNPACED)
        frontend.configure()
    try:
        frontend.start()
        environment = _administrator(frontend)
        few = _export(frontend, environment, "--before", "2023-11-14T23:00:00")
        first = _export(frontend, environment)
        second = _export(frontend, environment, "--csv")
    finally:
        frontend.process.kill()

    for export in (few, first, second):
        print(f"\n{engine}: {json.dumps(vars(export))}", end="")
    assert (first.rows, second.rows) == (100_000, 100_000)
    assert max(first.command, second.command) - few.command < GROWTH_MAX_KIB
    assert max(first.peak, second.peak) - few.peak < GROWTH_MAX_KIB
