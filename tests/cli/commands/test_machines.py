import json
import os
import subprocess
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_cli.commands.machines import slot_state
from drink_cli.errors import Exit
from drink_cli.text import local_time
from scripts.client import wait_reach
from scripts.local_system import LocalSystem
from scripts.processes import BIN
from tests.cli.conftest import Drink


def _machine(reach: str, *, enabled: bool = True) -> pb.Machine:
    return pb.Machine(enabled=enabled, reach=pb.Machine.Reach.Value(f"REACH_{reach}"))


@pytest.mark.parametrize(
    ("machine", "slot", "word"),
    [
        (_machine("READY"), pb.Slot(enabled=True, available=1), "ready"),
        (_machine("READY"), pb.Slot(enabled=True), "sold out"),
        (_machine("READY"), pb.Slot(available=1), "out of service"),
        (_machine("READY", enabled=False), pb.Slot(enabled=True), "out of service"),
        (_machine("OFFLINE"), pb.Slot(enabled=True, available=1), "offline"),
        (_machine("BOARD_DOWN"), pb.Slot(enabled=True, available=1), "board down"),
    ],
)
def test_a_slot_says_why_nothing_can_be_bought(
    machine: pb.Machine, slot: pb.Slot, word: str
) -> None:
    assert slot_state(machine, slot) == word


def test_machines_are_shown_without_a_login(drink: Drink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRINK_SERVER", drink.server)

    table = drink("machines").output
    rows = json.loads(drink("--json", "machines").output)

    assert "Big Drink" in table
    assert "sold out" in table
    # Other tests make machines of their own.
    assert [row["slot"] for row in rows if row["slot"][0] in "dl"] == ["d/1", "d/2", "ld/1"]
    assert json.loads(drink("--json", "machines", "ld").output)[0]["item"] == "Jolt"


def test_machines_that_cannot_sell_say_since_when(
    system: LocalSystem, drink: Drink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_SERVER", drink.server)
    assert "SINCE" not in drink("machines", "ld").output
    system.agents["ld"].stop()
    try:
        wait_reach(drink.server, ["ld"], reach=pb.Machine.REACH_OFFLINE)
        shown = drink("machines", "ld").output
        since = json.loads(drink("--json", "machines", "ld").output)[0]["reach_time"]
    finally:
        system.agents["ld"].start()
        system.wait_ready("ld")
    stamp = Timestamp()
    stamp.FromJsonString(since)
    assert "NOT READY SINCE" in shown
    assert local_time(stamp) in shown


def test_a_machine_that_is_not_there_is_told(drink: Drink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRINK_SERVER", drink.server)

    assert drink("machines", "x").exit_code == Exit.NOT_FOUND


def test_changes_are_shown_as_they_come(
    system: LocalSystem, administrator: Drink, folders: Path
) -> None:
    with subprocess.Popen(
        [BIN / "drink", "--json", "watch", "ld"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DRINK_SERVER": system.address},
    ) as watch:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["price"] == 60

        assert administrator("admin", "slot", "change", "ld/1", "--price", "61").exit_code == 0

        assert json.loads(watch.stdout.readline())["price"] == 61
        watch.terminate()
    administrator("admin", "slot", "change", "ld/1", "--price", "60")
