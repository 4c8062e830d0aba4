"""A month of a house, as docs/month.md tells it: from its first administrator on, without a shell
on the server."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan
from scripts.processes import BIN, wait_until
from tests.support.console_page import Reader
from tests.support.ports import with_own_ports

PAGE = Path(__file__).parents[2] / "docs/month.md"

PASSWORDS = {
    "ada": "first-of-the-house",
    "alice": "correct-horse",
    "bob": "battery-staple",
    "new:alice": "longer-than-before",
    "new:bob": "battery-staple",
}

PLAN = Plan(
    machines=(MachinePlan("d", "", (SlotPlan(1, "", 0, 99), SlotPlan(2, "", 0, 99))),),
    users=(),
    motor_s=0.3,
    response_limit_s=1.5,
)
"""What the board has in it; the frontend knows nothing of it yet."""


class NewHouse(LocalSystem):
    """A frontend with its first administrator and nothing else; a board, and an agent to come."""

    def install(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        self.migrate()
        self.admin("user", "add", "ada", "--admin", "--password", text=f"{PASSWORDS['ada']}\n")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LocalSystem]:
    with NewHouse(tmp_path / "server", with_own_ports(PLAN)) as house:
        house.install()
        house.start_frontend()
        house.boards["d"].start()
        yield house


def _months() -> tuple[date, date]:
    """The first days of this month and the next, by the clock that the commands read."""
    month = date.today().replace(day=1)  # noqa: DTZ011
    return month, (month + timedelta(days=31)).replace(day=1)


def _is_counted(reader: Reader, month: date) -> bool:
    """Whether the statistics, which follow the books, have every settled drop."""
    lines = reader.typed("ada", "drink admin export drops").splitlines()
    states = [json.loads(line)["state"] for line in lines]
    found = reader.typed("ada", f"drink --json admin stats --by account --month {month:%Y-%m}")
    numbers = ("dispensed", "failed", "cancelled")
    counted: int = sum(row[number] for row in json.loads(found) for number in numbers)
    return counted == sum(state in {"DISPENSED", "NOT_DISPENSED"} for state in states)


def test_every_command_of_the_page_does_what_the_page_says(
    house: LocalSystem, tmp_path: Path
) -> None:
    month, after = _months()

    def do(*words: str) -> None:
        match words:
            case ("agent", machine, token):
                agent = house.agents[machine]
                if agent.running:
                    agent.stop()
                shutil.copy(reader.home("ada") / token, house.folder / f"{machine}.token")
                agent.start()
                house.wait_ready(machine)
            case ("board", machine, fault, slot):
                house.boards[machine].fault(fault, slot=int(slot))
            case ("counted",):
                wait_until(lambda: _is_counted(reader, month), "every drop is counted")
            case _:
                raise AssertionError(f"unknown words on the page: {words}")

    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "COLUMNS": "140",
        "LANG": "C.UTF-8",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", ""),
    }
    names = {
        "--month 2026-11": f"--month {month:%Y-%m}",
        "--since 2026-11-01 --before 2026-12-01": f"--since {month} --before {after}",
        "drink.example.org:50051": f"127.0.0.1:{house.rpc_port}",
        "drink.example.org": f"127.0.0.1:{house.rpc_port}",
    }
    reader = Reader(tmp_path / "homes", environment, PASSWORDS, names, do)
    try:
        reader.read(PAGE.read_text(encoding="utf-8"))
    finally:
        for command, printed in reader.printed:
            print(f"{command.person}$ {command.text}", *printed, sep="\n")
