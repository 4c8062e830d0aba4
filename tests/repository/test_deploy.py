"""What compose.yaml sets up is what the demo runs, and its boards hold what its frontend sells."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.demo.plan import DEMO
from scripts.plan import import_toml
from tests.system.compose_system import FLEET

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def plan_in(name: str) -> dict[str, Any]:
    return tomllib.loads((DEPLOY / name).read_text())


def test_compose_runs_the_machines_of_the_demo() -> None:
    assert plan_in("house.toml") == tomllib.loads(import_toml(DEMO))


def test_the_fleet_is_the_one_of_the_system_tests() -> None:
    told = {
        machine["name"]: {slot["number"]: slot["available"] for slot in machine["slots"]}
        for machine in plan_in("fleet.toml")["machines"]
    }
    assert told == {
        machine.name: {slot.number: slot.cans for slot in machine.slots} for machine in FLEET
    }


def test_each_board_holds_what_its_machine_sells() -> None:
    text = (ROOT / "compose.yaml").read_text()
    machines = [*plan_in("house.toml")["machines"], *plan_in("fleet.toml")["machines"]]
    cans = Counter(
        ",".join(f"{slot['number']}:{slot['available']}" for slot in machine["slots"])
        for machine in machines
    )
    for machine in machines:
        assert f"  board-{machine['name']}:\n" in text
    # The fleet's boards have the one that all boards have unless they say otherwise.
    assert all(text.count(f'"--cans={each}"') == 1 for each in cans)
