"""A system run by Docker Compose, used and broken from outside its containers."""

import json
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import machine_service_pb2 as machines
from drink.v1.drop_service_pb2 import Drop
from scripts.books import Untruths, compare
from scripts.client import Client, wait_reach
from scripts.demo.plan import ADMIN, DEMO
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.support.ports import free_port
from tests.system.engine import (
    AGENT_IMAGE,
    FRONTEND_IMAGE,
    OBSERVABILITY_IMAGE,
    WEB_IMAGE,
    call,
)

UP_LIMIT_S = 300
"""Seconds that a system may take until every machine can sell."""

ONE_SHOTS = ("setup", "setup-postgres", "setup-scale", "postgres-password")
"""Services that end when their work is done."""

PLENTY = 500
"""Cans in each slot while tests buy."""

FLEET = tuple(
    MachinePlan(
        f"m{number}",
        f"Machine {number}",
        (SlotPlan(1, "Coke", 50, 10), SlotPlan(2, "Mountain Dew", 50, 10)),
    )
    for number in range(4, 11)
)
"""The machines that the profile `scale` has more, as deploy/fleet.toml has them."""


@dataclass(frozen=True)
class Profile:
    """What of compose.yaml is started."""

    names: tuple[str, ...]
    """As `--profile` takes them."""
    plan: Plan
    frontends: tuple[str, ...]
    """Services that sell."""
    tls: bool
    agent_suffix: str = ""

    def agent(self, machine: str) -> str:
        """The service that is a machine's agent."""
        old = machine in {each.name for each in DEMO.machines}
        return f"agent-{machine}{self.agent_suffix if old else ''}"

    @property
    def agents(self) -> tuple[str, ...]:
        """All agents' services."""
        return tuple(self.agent(machine.name) for machine in self.plan.machines)


SQLITE = Profile(("sqlite",), DEMO, ("frontend",), tls=False)
POSTGRES = Profile(("postgres",), DEMO, ("frontend-1",), tls=True, agent_suffix="-tls")
on_one_engine = pytest.mark.parametrize(
    "standing",
    [
        pytest.param(SQLITE, id="sqlite"),
        pytest.param(POSTGRES, id="postgres", marks=pytest.mark.slow),
    ],
    indirect=True,
)
"""Of a test that proves nothing about storage: it is slow on the second engine."""

SCALE = Profile(
    ("scale",),
    Plan(machines=(*DEMO.machines, *FLEET), users=DEMO.users),
    ("frontend-1", "frontend-2"),
    tls=True,
    agent_suffix="-tls",
)


@dataclass(frozen=True)
class Ports:
    """Where a frontend's ports are on this computer's loopback address."""

    rpc: int
    session: int
    session_tls: int


class Board:
    """A machine's emulated board, asked in its container."""

    def __init__(self, system: "ComposeSystem", machine: str) -> None:
        self._system = system
        self._service = f"board-{machine}"

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request to its control socket and returns the answer."""
        arguments = ["tini-emulator", "--control=/tmp/board", f"--ask={json.dumps(request)}"]
        answer: dict[str, Any] = json.loads(self._system.run(self._service, *arguments))
        return answer

    def counts(self) -> dict[str, Any]:
        """What the board itself has counted: cans, motor runs, cans that fell."""
        return self.ask(do="counts")

    def fault(self, fault: str, **how: Any) -> None:
        """Makes the next drop of a slot go wrong."""
        self.ask(do="fault", fault=fault, **how)

    def wait_for_motor(self, runs: int) -> None:
        """Waits until its motor was started so many times."""
        self.ask(do="wait", motor_runs=runs, seconds=30)


@dataclass
class ComposeSystem:
    """One project of Docker Compose; a context manager that leaves nothing behind.

    Args:
        project: Its name, of nobody else.
        profile: What is started.
        compose: The command of Compose.
        folder: For files of this system on this computer.
    """

    project: str
    profile: Profile
    compose: Sequence[str]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    """More of what compose.yaml can be told."""
    untruths: Untruths = field(default_factory=Untruths)
    """What boards and operators have said that was not so."""

    def __post_init__(self) -> None:
        self.plan = self.profile.plan
        """What it consists of."""
        self.boards: Mapping[str, Board] = {
            machine.name: Board(self, machine.name) for machine in self.plan.machines
        }
        self.chaos_port = free_port()
        """Where the proxy takes commands, in a profile that has one."""
        self.web_port = free_port()
        """Where the page is, in a profile that has one."""
        self.prometheus_port, self.alertmanager_port = free_port(), free_port()
        """Where these are, in a profile that has them."""
        self.ports = {
            name: Ports(free_port(), free_port(), free_port()) for name in self.profile.frontends
        }
        self.authority: Path | None = None
        """PEM file of the authority of the frontends' certificates; none: plain text."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            (self.folder / f"{self.project}.log").write_text(self.logs())
        self.down()

    def up(self, *services: str) -> None:
        """Starts it, or what of it is not as it should be, and waits until every machine sells."""
        self.do("up", "--detach", "--no-build", *services, limit_s=UP_LIMIT_S)
        if self.profile.tls:
            self.authority = self.folder / "ca.pem"
            source = f"{self.container(self.profile.frontends[0])}:/etc/drink-tls/ca.pem"
            call(["docker", "cp", source, str(self.authority)])
        self.wait_ready()

    def down(self) -> None:
        """Ends it, and takes its containers, networks and volumes away."""
        self.do("down", "--volumes", "--remove-orphans", "--timeout=1", limit_s=UP_LIMIT_S)

    def do(self, *arguments: str, limit_s: float = 60) -> str:
        """Runs Compose and returns what it printed."""
        environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_PROFILES": ",".join(self.profile.names),
            "FRONTEND_IMAGE": FRONTEND_IMAGE,
            "AGENT_IMAGE": AGENT_IMAGE,
            "WEB_IMAGE": WEB_IMAGE,
            "OBSERVABILITY_IMAGE": OBSERVABILITY_IMAGE,
            # Longer than a loaded computer needs to break something while a motor turns.
            "RESPONSE_LIMIT_S": "10",
            **dict(self._port_variables()),
            **self.variables,
        }
        return call([*self.compose, *arguments], limit_s, environment=environment)

    def container(self, service: str) -> str:
        """The id of a service's container, which runs or not."""
        labels = (f"project={self.project}", f"service={service}")
        filters = [f"--filter=label=com.docker.compose.{label}" for label in labels]
        found = call(["docker", "ps", "--all", "--quiet", *filters]).split()
        assert len(found) == 1, f"{service} has {len(found)} containers"
        return found[0]

    def image(self, service: str) -> str:
        """The image that a service's container was made of."""
        form = "--format={{.Config.Image}}"
        return call(["docker", "inspect", form, self.container(service)]).strip()

    def docker(self, action: str, *services: str) -> None:
        """Does something to services' containers at once: kill, start, pause, unpause, restart."""

        def act(service: str) -> None:
            call(["docker", action, self.container(service)], limit_s=120)

        with ThreadPoolExecutor(len(services)) as threads:
            list(threads.map(act, services))

    def restore(self) -> None:
        """Starts what a test has left stopped or paused; waits until every machine sells."""
        filters = [f"--filter=label=com.docker.compose.project={self.project}"]
        form = '{{.ID}} {{.State}} {{.Label "com.docker.compose.service"}}'
        for line in call(["docker", "ps", "--all", f"--format={form}", *filters]).splitlines():
            container, state, service = line.split()
            if state == "paused":
                call(["docker", "unpause", container])
            elif state != "running" and service not in ONE_SHOTS:
                call(["docker", "start", container])
        self.wait_ready()

    def disconnect(self, service: str, network: str = "house") -> None:
        """Pulls a service's cable."""
        call(
            [
                "docker",
                "network",
                "disconnect",
                f"{self.project}_{network}",
                self.container(service),
            ]
        )

    def connect(self, service: str, network: str = "house") -> None:
        """Plugs it in again."""
        call(["docker", "network", "connect", f"{self.project}_{network}", self.container(service)])

    def run(self, service: str, *command: str) -> str:
        """Runs a command in a service's container and returns what it printed."""
        return call(["docker", "exec", self.container(service), *command])

    def admin(self, *arguments: str) -> str:
        """Runs `drink-frontend admin` beside the first frontend and returns what it printed."""
        return self.run(self.profile.frontends[0], "drink-frontend", "admin", *arguments)

    def chaos(self, command: str) -> str:
        """Tells the proxy between agents and frontends what to do; returns its answer."""
        with (
            socket.create_connection(("127.0.0.1", self.chaos_port), timeout=10) as connection,
            connection.makefile("rw") as lines,
        ):
            lines.write(f"{command}\n")
            lines.flush()
            return lines.readline().strip()

    def logs(self, *services: str) -> str:
        """What services have logged, all by default."""
        if not services:
            return self.do("logs", "--no-color")
        return "".join(
            call(["docker", "logs", self.container(each)], both=True) for each in services
        )

    def client(self, user: UserPlan, frontend: int = 0) -> Client:
        """A gRPC client of one frontend, logged in."""
        return Client(self.address(frontend), user.name, user.password, self.authority)

    def address(self, frontend: int = 0) -> str:
        """Where a frontend's gRPC is."""
        return f"localhost:{self.ports[self.profile.frontends[frontend]].rpc}"

    def session_port(self, frontend: int = 0) -> int:
        """Where a frontend's sessions are."""
        return self.ports[self.profile.frontends[frontend]].session

    def wait_ready(self, *names: str, frontend: int = 0, limit_s: float = 60) -> None:
        """Waits until a frontend can sell from machines, all by default."""
        address = self.address(frontend)
        wait_reach(address, names or self.boards, self.authority, limit_s=limit_s)

    def decide(self, drop: Drop, *, dispensed: bool) -> None:
        """Decides as an operator what became of a drop."""
        fell = "--dispensed" if dispensed else "--not-dispensed"
        identity = drop.name.removeprefix("drops/")
        self.admin("drops", "resolve", identity, fell, "--why=a person has looked")

    def turning(
        self, buyer: Client, slot: str, seconds: float = 3.0, *, answers: bool = True
    ) -> Drop:
        """A drop whose motor turns now, and will for about `seconds` more if the board answers."""
        machine, _, number = slot.partition("/")
        board = self.boards[machine]
        board.fault("slow" if answers else "silent", slot=int(number), seconds=seconds)
        runs = board.counts()["motor_runs"]
        drop = buyer.place(slot)
        board.wait_for_motor(runs + 1)
        return drop

    def stock(self, *slots: str, cans: int = PLENTY) -> None:
        """Fills slots such as `d/1`, from which nobody buys meanwhile, and tells the frontend."""
        admin = self.client(ADMIN)
        for slot in slots:
            machine, _, number = slot.partition("/")
            self.boards[machine].ask(do="refill", slot=int(number), cans=cans)
            request = machines.UpdateSlotRequest(
                name=f"machines/{machine}/slots/{number}", available=cans
            )
            admin.call(admin.machines.UpdateSlot, request)
        admin.close()

    def fund(self, user: UserPlan, credits_: int) -> None:
        """Gives a user more credits."""
        admin = self.client(ADMIN)
        request = accounts.AddCreditsRequest(
            request_id=str(uuid.uuid4()), account=f"accounts/{user.name}", credits=credits_
        )
        admin.call(admin.accounts.AddCredits, request)
        admin.close()
        users = tuple(
            replace(each, credits=each.credits + credits_) if each.name == user.name else each
            for each in self.plan.users
        )
        self.plan = replace(self.plan, users=users)

    def audit(self) -> None:
        """Holds the books against the cans."""
        with ExitStack() as stack:
            admin = self.client(ADMIN)
            stack.callback(admin.close)
            books = compare(self, admin, self.untruths)
        assert not books.problems, f"{books.problems}\n{books.text}"

    def verify(self) -> None:
        """Holds the ledger against itself."""
        assert self.admin("verify").strip() == "The books agree."

    def _port_variables(self) -> Iterator[tuple[str, str]]:
        for ports, suffix in zip(self.ports.values(), ("", "_2"), strict=False):
            yield f"RPC_PORT{suffix}", str(ports.rpc)
            yield f"SESSION_PORT{suffix}", str(ports.session)
            yield f"SESSION_TLS_PORT{suffix}", str(ports.session_tls)
        yield "CHAOS_PORT", str(self.chaos_port)
        yield "WEB_PORT", str(self.web_port)
        yield "PROMETHEUS_PORT", str(self.prometheus_port)
        yield "ALERTMANAGER_PORT", str(self.alertmanager_port)
