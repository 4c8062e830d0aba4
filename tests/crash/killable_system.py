"""The system of the crash tests: one machine, and services that are killed at named points."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading
from drink_frontend.storage.verify import verify_books
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan, import_toml
from tests.crash.forked_process import ForkedProcess, ForkServerClient
from tests.support.ports import with_own_ports

ALICE = UserPlan("alice", "correct-horse", 5000, admin=True)
"""Buys, and looks at everything: one login does for both."""

MACHINE = "d"

PLAN = Plan(
    machines=(
        MachinePlan(
            MACHINE,
            "Big Drink",
            # Slots 6 and 61 are what a torn motor command becomes when a status request follows it.
            tuple(SlotPlan(number, f"Item {number}", 50, 50) for number in (1, 2, 6, 61, 16)),
        ),
    ),
    users=(ALICE,),
    motor_s=0.05,
    # An agent that was killed in mid-drop waits twice as long before it commands the next motor.
    response_limit_s=2,
    frontend={"links": "retry_interval_s = 0.1"},
    agent={
        "board": "probe_interval_s = 0.2",
        "agent": "upkeep_interval_s = 0.1",
    },
)
"""Intervals and waits are shortened; the board still answers well within its limit."""


@dataclass(frozen=True)
class ForkServers:
    """The fork servers of the services."""

    frontend: ForkServerClient
    agent: ForkServerClient


@dataclass(frozen=True)
class Tweaks:
    """What a test changes of `PLAN`: more keys by section."""

    frontend: Mapping[str, str] = field(default_factory=dict)
    agent: Mapping[str, str] = field(default_factory=dict)
    response_limit_s: float = PLAN.response_limit_s


class KillableSystem(LocalSystem):
    """A local system whose services are killed at named points.

    Args:
        folder: For its files.
        fork_servers: What forks its services.
        tweaks: Changes of `PLAN`.
    """

    frontend: ForkedProcess

    def __init__(
        self, folder: Path, fork_servers: ForkServers, tweaks: Tweaks | None = None
    ) -> None:
        tweaks = tweaks or Tweaks()
        plan = replace(
            PLAN,
            frontend=_joined(PLAN.frontend, tweaks.frontend),
            agent=_joined(PLAN.agent, tweaks.agent),
            response_limit_s=tweaks.response_limit_s,
        )
        super().__init__(folder, with_own_ports(plan))
        self._fork_servers = fork_servers
        self.frontend = self._frontend_process("frontend", "serve")
        self.agent = ForkedProcess(
            fork_servers.agent,
            "agent",
            ["drink-machine-agent", f"--config={MACHINE}.toml", "run"],
            folder,
        )
        self.agents = {MACHINE: self.agent}
        self.board = self.boards[MACHINE]
        self.journal = folder / f"{MACHINE}.journal"
        self.database = folder / "drink.db"

    def install(self) -> None:
        """Makes database, machine, users and tokens."""
        self.folder.mkdir(parents=True)
        self._write_settings()
        self.command("migrate")
        plan = self.folder / "plan.toml"
        plan.write_text(import_toml(self.plan), encoding="utf-8")
        plan.chmod(0o600)
        self.command("admin", "import", str(plan))

    def install_copy(self, prepared: Path) -> None:
        """Copies what another system has installed."""
        shutil.copytree(prepared, self.folder, ignore=shutil.ignore_patterns("*.log", "*.toml"))
        self._write_settings()

    def command(self, *arguments: str) -> str:
        """Runs a command of the frontend and returns what it printed."""
        return self._frontend_process("command", *arguments).run()

    def administer(self, *arguments: str) -> ForkedProcess:
        """A command of an administrator, not yet started."""
        return self._frontend_process("admin", "admin", *arguments)

    def problems_of_books(self) -> list[str]:
        """What the frontend's own auditor finds."""
        with reading(StorageSettings(path=self.database)) as database:
            return verify_books(database.execute)

    def _frontend_process(self, name: str, *arguments: str) -> ForkedProcess:
        settings = f"--config={self.folder / 'frontend.toml'}"
        return ForkedProcess(
            self._fork_servers.frontend, name, ["drink-frontend", settings, *arguments], self.folder
        )


def _joined(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Both sections' keys; those of `other` come after."""
    names = dict.fromkeys([*one, *other])
    return {name: "\n".join(filter(None, (one.get(name), other.get(name)))) for name in names}
