"""A running system for the commands, and `drink` with files of its own."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drink_cli.errors import Exit
from drink_cli.main import main
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.support.ports import with_own_ports
from tests.support.session_servers import serve, template, world

__all__ = ["serve", "template", "world"]

ALICE = UserPlan("alice", "correct-horse", 2_000)
BOB = UserPlan("bob", "battery-staple", 100)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

PLAN = Plan(
    machines=(
        MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 40), SlotPlan(2, "Dew", 50, 40))),
        MachinePlan("ld", "Little Drink", (SlotPlan(1, "Jolt", 60, 0),)),
    ),
    users=(ALICE, BOB, ADMIN),
    motor_s=0.3,
    response_limit_s=3,
)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A frontend, agents and emulated boards, as real processes."""
    folder = tmp_path_factory.mktemp("system")
    key = folder / "card.key"
    key.write_text("a key for cards of 32 characters", encoding="utf-8")
    frontend = {"accounts": f'card_key_file = "{key}"', "statistics": "interval_s = 0.05"}
    plan = replace(PLAN, frontend=frontend)
    with LocalSystem(folder, with_own_ports(plan)) as system:
        system.set_up()
        yield system


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands keep their files."""
    for variable in ("DRINK_SERVER", "DRINK_PROFILE", "DRINK_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    # Nobody's own keyring.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return tmp_path


class Drink:
    """`drink` in this process, at one system."""

    def __init__(self, server: str) -> None:
        self.server = server

    def __call__(self, *arguments: str, typed: str = "") -> Result:
        """Runs a command with something typed into it."""
        result = CliRunner().invoke(main, arguments, input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def login(self, user: UserPlan, *options: str) -> Result:
        """Logs a user in."""
        result = self(*options, "login", user.name, "--server", self.server, typed=user.password)
        assert result.exit_code == 0, result.output
        return result


@pytest.fixture
def drink(system: LocalSystem) -> Drink:
    """`drink`, before anybody has logged in."""
    # After a silent motor the agent asks the board again, and sells nothing meanwhile.
    system.wait_ready("d")
    return Drink(system.address)


@pytest.fixture
def alice(drink: Drink) -> Drink:
    """`drink` with Alice logged in."""
    drink.login(ALICE)
    return drink


@pytest.fixture
def administrator(drink: Drink) -> Drink:
    """`drink` with the administrator logged in."""
    drink.login(ADMIN)
    return drink


@pytest.fixture
def unknown(administrator: Drink, system: LocalSystem) -> str:
    """A drop of Alice's whose outcome nobody can tell."""
    administrator.login(ALICE, "--profile", "alice")
    system.boards["d"].fault("silent", slot=1)
    lost = administrator("--json", "--profile", "alice", "drop", "d/1")
    assert lost.exit_code == Exit.UNKNOWN
    drop: str = json.loads(lost.output)["drop"]
    return drop
