"""What counts as a log line about an attack, and what is seen of a process."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.siege.watch import Logged, own_memory_kib, read_log


def line(**facts: Any) -> str:
    return json.dumps(facts)


@pytest.mark.parametrize(
    "honest",
    [
        line(event="drop_reserved", account="caller-a", machine="a"),
        line(event="drop_reserved", account="typist-c", machine="c"),
        line(event="drop_reported", machine="a", verdict="MOVED"),
    ],
)
def test_lines_about_honest_drops_are_not_about_an_attack(honest: str) -> None:
    logged = Logged()
    logged.add(honest, ())
    assert (logged.lines, sum(logged.attack.values())) == (1, 0)


@pytest.mark.parametrize(
    "about",
    [
        line(event="drop_reserved", account="mallory", machine="x"),
        line(event="drop_reported", machine="x", verdict="MOVED"),
        line(event="drop_reported", machine="a", verdict="ORPHAN"),
        line(event="login_failed", origin="127.0.0.2"),
    ],
)
def test_every_other_line_is(about: str) -> None:
    logged = Logged()
    logged.add(about, ())
    assert sum(logged.attack.values()) == 1
    assert not logged.raw


def test_a_line_that_is_no_json_or_tells_too_much_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        line(event="before"),
        "E1129 06:29:56.722727 Illegal header value: Bearer sesame",
        "3",
        line(event="failed", exception="Traceback"),
    ]
    log.write_text("\n".join(lines) + "\n")
    start = len(lines[0]) + 1
    logged = read_log(log, start, log.stat().st_size, ["sesame"])
    assert (logged.lines, len(logged.raw), len(logged.secret), len(logged.mistakes)) == (3, 2, 1, 1)
    assert logged.attack == {"(no JSON)": 2, "failed": 1}


def test_memory_of_its_own_is_what_a_process_has_written() -> None:
    before = own_memory_kib(os.getpid())
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    grown = own_memory_kib(os.getpid()) - before
    assert grown > 48 << 10
