"""A whole installation in one folder: frontend, agents and emulated boards, as real processes.

The demo shows one to people; the integration and crash tests break others.
"""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from drink.v1 import (
    account_service_pb2 as accounts,
)
from drink.v1 import (
    account_service_pb2_grpc,
    drop_service_pb2_grpc,
    machine_service_pb2_grpc,
)
from drink.v1 import (
    machine_service_pb2 as machines,
)
from scripts.processes import Process, run, wait_until

CONTROL_LIMIT_S = 10
"""Seconds that an emulated board may take to answer its control socket."""


@dataclass(frozen=True)
class SlotPlan:
    """A slot: its number, item, price in credits, and items."""

    number: int
    item: str
    price: int
    cans: int


@dataclass(frozen=True)
class MachinePlan:
    """A machine and its slots."""

    name: str
    display_name: str
    slots: tuple[SlotPlan, ...]


@dataclass(frozen=True)
class UserPlan:
    """A user, the password, and the credits to begin with."""

    name: str
    password: str
    credits: int
    admin: bool = False


@dataclass(frozen=True)
class Plan:
    """What an installation consists of.

    Attributes:
        machines: Its machines.
        users: Its users.
        rpc_port: gRPC port; 0 takes any free one.
        session_port: Session port; 0 takes any free one.
        motor_s: Seconds that an emulated motor runs.
        response_limit_s: Seconds that an agent waits for its board's answer.
        frontend: More of the frontend's configuration, TOML by section name.
    """

    machines: tuple[MachinePlan, ...]
    users: tuple[UserPlan, ...]
    rpc_port: int = 0
    session_port: int = 0
    motor_s: float = 0.05
    response_limit_s: float = 10
    frontend: dict[str, str] = field(default_factory=dict)


class EmulatedBoard:
    """One machine's emulated board: its process, its control socket, its own counts."""

    def __init__(self, plan: MachinePlan, motor_s: float, folder: Path) -> None:
        self.port = folder / f"{plan.name}.tty"
        self._control = folder / f"{plan.name}.control"
        self.process = Process(
            f"board-{plan.name}",
            [
                "tini-emulator",
                f"--pty={self.port}",
                f"--control={self._control}",
                f"--state={folder / plan.name}.cans",
                f"--motor-seconds={motor_s}",
                f"--cans={','.join(f'{slot.number}:{slot.cans}' for slot in plan.slots)}",
            ],
            folder,
        )

    def start(self) -> None:
        """Starts it and waits until it can be reached."""
        self.process.start()
        wait_until(self._answers, f"{self.process.name} answers")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request to its control socket and returns the answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(CONTROL_LIMIT_S)
            control.connect(str(self._control))
            with control.makefile("rwb") as lines:
                lines.write(json.dumps(request).encode() + b"\n")
                lines.flush()
                answer: dict[str, Any] = json.loads(lines.readline())
        assert "error" not in answer, answer
        return answer

    def counts(self) -> dict[str, Any]:
        """What the board itself has counted: cans, motor runs, cans that fell."""
        return self.ask(do="counts")

    def fault(self, fault: str, **how: Any) -> None:
        """Makes the next drop of a slot go wrong."""
        self.ask(do="fault", fault=fault, **how)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            self.counts()
            return True
        return False


class Client:
    """A gRPC client that is logged in.

    Args:
        address: `host:port` of the frontend.
        user: Who logs in.
        password: The user's password.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self.user = user
        self._channel = grpc.insecure_channel(address)
        self.drops = drop_service_pb2_grpc.DropServiceStub(self._channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(self._channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self._channel)
        credentials = accounts.PasswordCredentials(account=f"accounts/{user}", password=password)
        login = self.accounts.Login(
            accounts.LoginRequest(password=credentials), timeout=30, wait_for_ready=True
        )
        self.metadata = (("authorization", f"Bearer {login.token}"),)

    def account(self) -> accounts.Account:
        """The user's account as it stands."""
        request = accounts.GetAccountRequest()
        return self.accounts.GetAccount(request, metadata=self.metadata, timeout=30).account

    def close(self) -> None:
        """Ends its connection."""
        self._channel.close()


class Installation:
    """Real processes in one folder; a context manager that ends them all.

    Args:
        folder: Where its data, settings and logs are; kept.
        plan: What it consists of.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.rpc_port = plan.rpc_port
        self.session_port = plan.session_port
        self.frontend = Process("frontend", [*self._frontend_command, "serve"], folder)
        self.boards = {
            machine.name: EmulatedBoard(machine, plan.motor_s, folder) for machine in plan.machines
        }
        self.agents = {
            machine.name: Process(
                f"agent-{machine.name}",
                ["drink-machine-agent", f"--config={machine.name}.toml", "run"],
                folder,
            )
            for machine in plan.machines
        }

    @property
    def _frontend_command(self) -> list[str]:
        return ["drink-frontend", f"--config={self.folder / 'frontend.toml'}"]

    @property
    def address(self) -> str:
        """Where its gRPC is, while the frontend runs."""
        return f"127.0.0.1:{self.rpc_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes():
            process.kill()

    def install(self) -> None:
        """Makes database, machines, users and tokens; what is there already stays as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        run([*self._frontend_command, "migrate"], self.folder)
        plan = self.folder / "plan.toml"
        plan.write_text(_plan_toml(self.plan), encoding="utf-8")
        plan.chmod(0o600)
        self.admin("import", str(plan))

    def start(self) -> None:
        """Starts everything and waits until every machine could drop a can."""
        for board in self.boards.values():
            board.start()
        self.start_frontend()
        for agent in self.agents.values():
            agent.start()
        self.wait_ready(*self.agents)

    def start_frontend(self) -> None:
        """Starts the frontend and waits until it serves."""
        self.frontend.start()
        serving = self.frontend.wait_for("serving")
        # The same ports again after a restart, as its agents and clients expect.
        self.rpc_port = serving["rpc_port"]
        self.session_port = serving["session_ports"][0]
        self._write_settings()

    def stop(self) -> None:
        """Ends everything in good order, agents first."""
        for process in (*self.agents.values(), self.frontend):
            if process.running:
                process.stop()
        for board in self.boards.values():
            board.process.stop()

    def wait_ready(self, *names: str, limit_s: float = 60) -> None:
        """Waits until the machines' boards can be reached from the frontend."""
        with grpc.insecure_channel(self.address) as channel:
            stub = machine_service_pb2_grpc.MachineServiceStub(channel)

            def ready() -> bool:
                found = stub.ListMachines(
                    machines.ListMachinesRequest(), timeout=30, wait_for_ready=True
                ).machines
                reached = {
                    machine.name.removeprefix("machines/")
                    for machine in found
                    if machine.reach == machines.Machine.REACH_READY
                }
                return reached.issuperset(names)

            wait_until(ready, f"{', '.join(names)} ready", limit_s)

    def client(self, user: UserPlan) -> Client:
        """A gRPC client, logged in."""
        return Client(self.address, user.name, user.password)

    def admin(self, *arguments: str, text: str = "") -> str:
        """Runs `drink-frontend admin` and returns what it printed."""
        return run([*self._frontend_command, "admin", *arguments], self.folder, text)

    def _processes(self) -> Iterator[Process]:
        yield from self.agents.values()
        yield self.frontend
        yield from (board.process for board in self.boards.values())

    def _write_settings(self) -> None:
        sections = {
            "storage": 'path = "drink.db"',
            "rpc": f"port = {self.rpc_port}",
            "log": 'format = "json"',
            **self.plan.frontend,
        }
        listener = f"[[sessions.listeners]]\nport = {self.session_port}\n"
        default = f'default_machine = "{self.plan.machines[0].name}"\n'
        text = "".join(f"[{name}]\n{body}\n" for name, body in sections.items())
        (self.folder / "frontend.toml").write_text(text + listener + default, encoding="utf-8")
        for machine in self.plan.machines:
            agent = _agent_toml(machine, self)
            (self.folder / f"{machine.name}.toml").write_text(agent, encoding="utf-8")


def _agent_toml(machine: MachinePlan, installation: Installation) -> str:
    folder = installation.folder.absolute()
    return f"""\
machine = "{machine.name}"
[link]
address = "{installation.address}"
token_file = "{folder / machine.name}.token"
backoff_first_s = 0.1
backoff_limit_s = 2.0
[board]
url = "serial://{installation.boards[machine.name].port.absolute()}"
response_limit_s = {float(installation.plan.response_limit_s)}
[journal]
path = "{folder / machine.name}.journal"
"""


def _plan_toml(plan: Plan) -> str:
    lines: list[str] = []
    for machine in plan.machines:
        lines += [
            "[[machines]]",
            f"name = {json.dumps(machine.name)}",
            f"display_name = {json.dumps(machine.display_name)}",
            f'token_file = "{machine.name}.token"',
        ]
        for slot in machine.slots:
            lines += [
                "[[machines.slots]]",
                f"number = {slot.number}",
                f"item = {json.dumps(slot.item)}",
                f"price = {slot.price}",
                f"available = {slot.cans}",
            ]
    for user in plan.users:
        lines += [
            "[[users]]",
            f"name = {json.dumps(user.name)}",
            f"password = {json.dumps(user.password)}",
            f"credits = {user.credits}",
            f"admin = {str(user.admin).lower()}",
        ]
    return "\n".join(lines) + "\n"


def session(port: int, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Types lines into a TCP session, and yields each with its reply; the greeting comes first."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        connection.makefile("r", newline="\n", encoding="utf-8") as replies,
    ):
        yield "", replies.readline().rstrip()
        for line in lines:
            connection.sendall(f"{line}\n".encode())
            reply = [replies.readline().rstrip()]
            # STAT answers a line a slot, then its trailer.
            while line.upper().startswith("STAT") and not reply[-1].startswith(("OK", "ERR")):
                reply.append(replies.readline().rstrip())
            yield line, "\n".join(reply)
