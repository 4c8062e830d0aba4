"""The system of the integration tests: real processes, whose books are checked after each test."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from drink.v1.drop_service_pb2 import Drop
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading
from drink_frontend.storage.verify import verify_books
from scripts.books import Untruths, compare
from scripts.client import Client
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import BIN, Process, wait_until
from scripts.proxy import FaultProxy
from tests.support.ports import with_own_ports

ALICE = UserPlan("alice", "correct-horse", 5_000)
BOB = UserPlan("bob", "battery-staple", 500)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

PRICE = 50

COUPLE = Plan(
    machines=(
        MachinePlan(
            "d", "Big Drink", (SlotPlan(1, "Coke", PRICE, 60), SlotPlan(2, "Dew", PRICE, 60))
        ),
        MachinePlan("ld", "Little Drink", (SlotPlan(1, "Jolt", PRICE, 60),)),
    ),
    users=(ALICE, BOB, ADMIN),
)
"""Two machines, two buyers, and their administrator."""

DATABASE = "drink.db"


class AuditedSystem(LocalSystem):
    """A local system whose agents reach the frontend through a proxy.

    Args:
        folder: Where its files are.
        plan: What it consists of.
        templates: Where the databases of systems are kept that others can start with.
        frontend_commands: Folder of the frontend's commands; this environment's by default.
        agent_commands: Folder of the agents' commands; likewise.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        templates: Path,
        *,
        frontend_commands: Path = BIN,
        agent_commands: Path = BIN,
    ) -> None:
        super().__init__(
            folder,
            with_own_ports(plan),
            frontend_commands=frontend_commands,
            agent_commands=agent_commands,
        )
        self.links = FaultProxy()
        """Between the agents and the frontend."""
        self.untruths = Untruths()
        """Wrong statements of boards and operators."""
        self._templates = templates
        self._looked_at: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self.links.__enter__()
        self.link_port = self.links.port
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.links.__exit__()
        for part in vars(self).values():
            if isinstance(part, Client):
                part.close()

    @cached_property
    def alice(self) -> Client:
        """A buyer."""
        return self.client(ALICE)

    @cached_property
    def bob(self) -> Client:
        """Another buyer."""
        return self.client(BOB)

    @cached_property
    def root(self) -> Client:
        """The administrator."""
        return self.client(ADMIN)

    def install(self) -> None:
        """Makes the database, or copies that of an earlier system with the same plan."""
        template = self._templates / f"{abs(hash((self.plan.machines, self.plan.users)))}"
        if not template.exists():
            super().install()
            template.mkdir()
            for file in self._installed():
                shutil.copy2(file, template)
        else:
            self.folder.mkdir(exist_ok=True)
            for file in template.iterdir():
                shutil.copy2(file, self.folder)
            if self.plan.web_port is not None:
                self._write_gateway()
            self._write_settings()

    def _installed(self) -> Iterator[Path]:
        yield self.folder / DATABASE
        yield self.folder / "plan.toml"
        yield from self.folder.glob("*.token")
        yield from self.folder.glob("*.password")

    def start_frontend(self) -> None:
        """Starts the frontend and waits until it serves."""
        super().start_frontend()
        self.links.server_port = self.rpc_port

    def start_agent(self, name: str) -> None:
        """Starts an agent and waits until its machine is ready over the agent's own link.

        Just after another agent's end, its machine may still be called ready.
        """
        self.agents[name].start()
        self.agents[name].wait_for("link_up", limit_s=60)
        self.wait_ready(name)

    def begin(self) -> None:
        """Restores the state in which each test starts: all up, no faults, logs marked."""
        for board in self.boards.values():
            if board.process.running:
                board.ask(do="clear")
        self.wait_ready(*(name for name, agent in self.agents.items() if agent.running))
        for process in self._services():
            if process.running:
                process.mark()

    def turning(self, seconds: float, slot: str = "d/1", buyer: Client | None = None) -> Drop:
        """A drop whose motor runs now, this many seconds longer than others."""
        return self._started("slow", seconds, slot, buyer)

    def unanswered(self, slot: str = "d/1", buyer: Client | None = None) -> Drop:
        """A drop whose motor has run and whose board will never answer."""
        return self._started("silent", 0, slot, buyer)

    def _started(self, fault: str, seconds: float, slot: str, buyer: Client | None) -> Drop:
        machine, number = slot.split("/")
        runs = self.runs(machine)
        self.boards[machine].fault(fault, slot=int(number), seconds=seconds)
        drop = (buyer or self.alice).place(slot)
        self.wait_for_motor(machine, runs + 1)
        return drop

    def resolve(self, drop: Drop, *, dispensed: bool = True) -> str:
        """Resolves a drop as an operator."""
        decision = "--dispensed" if dispensed else "--not-dispensed"
        return self.admin("drops", "resolve", id_of(drop), decision, "--why=looked inside")

    def runs(self, machine: str) -> int:
        """Motor runs of the machine."""
        runs: int = self.boards[machine].counts()["motor_runs"]
        return runs

    def wait_for_motor(self, machine: str, runs: int) -> None:
        """Waits until the machine's motor has been started so often."""
        wait_until(lambda: self.runs(machine) >= runs, f"{machine}'s motor runs")

    def audit(self) -> None:
        """Fails unless every drop is settled and the books agree with the cans.

        The books' own auditor and the boards' counts hold invariants 1, 2, 3, 5, 8, 9, 10, 11, 12,
        14 and 21.
        """
        problems = list(compare(self, self.root, self.untruths).problems)
        problems += self._verify()
        problems += self._faults()
        problems += self._leaks()
        assert not problems, "\n".join(problems)

    def _verify(self) -> list[str]:
        """What the frontend's own auditor finds."""
        return verify(self.folder / DATABASE)

    def _services(self) -> Iterator[Process]:
        """The processes whose logs are checked."""
        yield self.frontend
        yield from self.agents.values()

    def _faults(self) -> Iterator[str]:
        """Errors that the services have logged since the last look and that no peer can cause."""
        for process in self._services():
            with process.log.open(encoding="utf-8") as log:
                log.seek(self._looked_at[process.name])
                for line in log.readlines():
                    if '"exception"' in line or '"critical"' in line.lower():
                        yield f"{process.name}: {line}"
                self._looked_at[process.name] = log.tell()

    def _leaks(self) -> Iterator[str]:
        """Secrets in the processes' logs."""
        secrets = [user.password for user in self.plan.users]
        secrets += [file.read_text().strip() for file in self.folder.glob("*.token")]
        for log in self.folder.glob("*.log"):
            text = log.read_text(errors="replace")
            yield from (f"{log.name} tells a secret" for secret in secrets if secret in text)


def verify(database: Path) -> list[str]:
    """The findings of `drink-frontend admin verify`, without a new process."""
    with reading(StorageSettings(path=database)) as connection:
        return list(verify_books(connection.execute))


def backup(database: Path, copy: Path) -> None:
    """Copies a database that is in use, as an operator's backup does."""
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def id_of(drop: Drop) -> str:
    """The id of a drop, as in logs and commands."""
    return drop.name.removeprefix("drops/")


def outcome(drop: Drop) -> tuple[str, str]:
    """State and cause of a drop, without prefixes."""
    state = Drop.State.Name(drop.state).removeprefix("STATE_")
    return state, Drop.Cause.Name(drop.cause).removeprefix("CAUSE_")


def reason(error: grpc.RpcError) -> str:
    """The reason of a refused call, such as SLOT_EMPTY; its gRPC code if it has none."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return error.code().name


@contextmanager
def refused(expected: str) -> Iterator[None]:
    """Expects that a call is refused with this reason."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert reason(caught.value) == expected
