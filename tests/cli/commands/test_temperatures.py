import json
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_cli.commands.temperatures import graph
from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan
from tests.cli.conftest import Drink

HOUR_S = 3_600


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A frontend that knows what a thermometer showed in the last days, and one machine without."""
    machines = tuple(
        MachinePlan(name, name.upper(), (SlotPlan(1, "Coke", 50, 1),)) for name in ("d", "ld")
    )
    folder = tmp_path_factory.mktemp("warm")
    with LocalSystem(folder, Plan(machines=machines, users=())) as house:
        house.install()
        now_ms = int(time.time()) // HOUR_S * HOUR_S * 1000
        rows = [
            ("d", HOUR_S * 1000, now_ms - hour * HOUR_S * 1000, 4, 5 + hour % 3, 8, HOUR_S * 1000)
            for hour in range(1, 60)
        ]
        with closing(sqlite3.connect(folder / "drink.db")) as books, books:
            books.executemany("INSERT INTO temperatures VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        house.start_frontend()
        yield house


@pytest.fixture
def warm(house: LocalSystem, monkeypatch: pytest.MonkeyPatch) -> Drink:
    monkeypatch.setenv("DRINK_SERVER", house.address)
    return Drink(house.address)


def test_a_day_is_drawn_without_a_login(warm: Drink) -> None:
    lines = warm("temperatures", "d").output.splitlines()
    assert lines[0] == "6.0 °C on average, 4.0 °C at least, 8.0 °C at most"
    assert lines[1].startswith("8.0 │")
    assert lines[6].startswith("4.0 │")
    assert "└" in lines[7]
    assert "█" in "".join(lines)
    assert max(map(len, lines)) <= 80


def test_another_time_and_all_numbers(warm: Drink) -> None:
    day = json.loads(warm("--json", "temperatures", "d").output)
    # An hour may have begun since the rows were written.
    assert len(day) in (23, 24, 25)
    assert day[0]["step_seconds"] == HOUR_S
    assert set(day[0]) == {
        "machine",
        "start_time",
        "step_seconds",
        "min_celsius",
        "mean_celsius",
        "max_celsius",
        "known_seconds",
    }
    week = json.loads(warm("--json", "temperatures", "d", "--hours", "168").output)
    assert sum(row["known_seconds"] for row in week) == 59 * HOUR_S
    assert week[0]["step_seconds"] == 3 * HOUR_S


def test_nothing_known_is_said(warm: Drink) -> None:
    assert warm("temperatures", "ld").output == "no temperature is known of that time\n"
    assert json.loads(warm("--json", "temperatures", "ld").output) == []


def test_wrong_arguments_are_refused(warm: Drink) -> None:
    assert warm("temperatures", "nowhere").exit_code == Exit.NOT_FOUND
    assert warm("temperatures", "D d").exit_code == Exit.USAGE
    assert warm("temperatures", "d", "--hours", "0").exit_code == Exit.USAGE


def _row(start_s: int, mean: float, step_s: int = 300) -> pb.Temperature:
    return pb.Temperature(
        start_time=Timestamp(seconds=start_s),
        step=Duration(seconds=step_s),
        known_duration=Duration(seconds=step_s),
        min_celsius=mean,
        mean_celsius=mean,
        max_celsius=mean,
    )


def test_time_without_a_temperature_stays_empty() -> None:
    rows = [_row(0, 2.0), _row(600, 4.0)]
    lines = graph(rows, 0, 1_500, 300)
    assert lines[1] == "4.0 │  █"
    assert lines[6] == "2.0 │▁ █"
    assert math.isclose(float(lines[0].split()[0]), 3.0)


def test_a_thermometer_that_stands_still_is_a_line_in_the_middle() -> None:
    lines = graph([_row(0, 4.5)], 0, 300, 300)
    assert [line[:5].strip(" │") for line in (lines[1], lines[6])] == ["5.5", "3.5"]
    assert [line[5:].strip() for line in lines[1:7]] == ["", "", "", "█", "█", "█"]


def test_what_is_kept_by_the_hour_stands_for_its_hour() -> None:
    lines = graph([_row(0, 4.5, HOUR_S), _row(HOUR_S, 4.5)], 0, HOUR_S + 300, 300)
    assert lines[6].endswith("█" * 13)
