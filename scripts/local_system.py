"""A local system in one folder: frontend, agents, emulated boards and the page, as real processes.

The demo runs one; integration, crash, soak and siege tests extend it.
"""

import contextlib
import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client, wait_reach
from scripts.plan import MachinePlan, Plan, UserPlan, import_toml, settings_toml
from scripts.processes import BIN, Process, run, wait_until

CONTROL_LIMIT_S = 20
"""Seconds that an emulated board may take to answer its control socket."""

BOARD_PASSWORD = "open-sesame"  # noqa: S105
"""Password of the boards that dial their agent."""

REDIAL_S = 0.1
"""Seconds until a board that was hung up on dials again; the firmware's 1 would be a long wait."""


class EmulatedBoard:
    """One machine's emulated board: its process, its control socket, its own counts."""

    def __init__(self, plan: MachinePlan, motor_s: float, folder: Path) -> None:
        port = folder.absolute() / f"{plan.name}.tty"
        self.dials = bool(plan.board_port)
        address = f"127.0.0.1:{plan.board_port}"
        self.url = f"listen://{address}" if self.dials else f"serial://{port}"
        """Where its agent finds it."""
        self._control = folder / f"{plan.name}.control"
        self.process = Process(
            f"board-{plan.name}",
            [
                "tini-emulator",
                f"--dial={address}" if self.dials else f"--pty={port}",
                f"--password={BOARD_PASSWORD}",
                f"--redial-seconds={REDIAL_S}",
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


class LocalSystem:
    """Real processes in one folder; a context manager that ends them all.

    Args:
        folder: Where its data, settings and logs are; kept.
        plan: What it consists of.
        frontend_commands: Folder of the frontend's commands; this environment's by default.
        agent_commands: Folder of the agents' commands; likewise.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        *,
        frontend_commands: Path = BIN,
        agent_commands: Path = BIN,
    ) -> None:
        self._frontend_commands = frontend_commands
        self.folder = folder
        self.plan = plan
        self.rpc_port = plan.rpc_port
        self.session_port = plan.session_port
        self.metrics_port = plan.metrics_port
        self.link_port = 0
        """Where the agents that start from now on find the frontend; 0 for where it is."""
        self.authority: Path | None = None
        """PEM file of the authority of the frontend's certificate; None: plain text."""
        self.frontend = Process("frontend", [*self._frontend_command, "serve"], folder)
        self.web_port = plan.web_port or 0
        self.web_metrics_port = plan.web_metrics_port
        self.web = Process("web", ["drink-web", "--config=web.toml", "serve"], folder)
        """The page; it runs where the plan has a port for it."""
        self.boards = {
            machine.name: EmulatedBoard(machine, plan.motor_s, folder) for machine in plan.machines
        }
        self.agents = {
            machine.name: Process(
                f"agent-{machine.name}",
                [
                    str(agent_commands / "drink-machine-agent"),
                    f"--config={machine.name}.toml",
                    "run",
                ],
                folder,
            )
            for machine in plan.machines
        }

    @property
    def _frontend_command(self) -> list[str]:
        command = self._frontend_commands / "drink-frontend"
        return [str(command), f"--config={self.folder / 'frontend.toml'}"]

    @property
    def _has_metrics(self) -> bool:
        # Releases up to 0.1.0 have none, and refuse the setting.
        return self._frontend_commands == BIN

    @property
    def _storage(self) -> str:
        """Where its data is, as its configuration says it."""
        return f'path = "{self.folder.absolute()}/drink.db"'

    @property
    def address(self) -> str:
        """Where its gRPC is, while the frontend runs."""
        return f"127.0.0.1:{self.rpc_port}"

    @property
    def origin(self) -> str:
        """Where the page is, while it runs."""
        return f"http://localhost:{self.web_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes():
            process.kill()

    def install(self) -> None:
        """Creates database, machines, users and tokens, where they are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "board.password").touch(0o600)
        (self.folder / "board.password").write_text(BOARD_PASSWORD, encoding="utf-8")
        if self.plan.web_port is not None:
            self._write_gateway()
        self._write_settings()
        self.migrate()
        plan = self.folder / "plan.toml"
        plan.write_text(import_toml(self.plan), encoding="utf-8")
        plan.chmod(0o600)
        self.admin("import", str(plan))

    def migrate(self) -> None:
        """Brings the database to the schema of the frontend's version."""
        run([*self._frontend_command, "migrate"], self.folder)

    def exchange_frontend(self, commands: Path) -> None:
        """Takes another version of the frontend, which does not run now.

        Args:
            commands: Folder of its commands.
        """
        assert not self.frontend.running
        self._frontend_commands = commands
        self.frontend = Process("frontend", [*self._frontend_command, "serve"], self.folder)
        self._write_settings()

    def start(self) -> None:
        """Starts everything and waits until every machine could drop a can."""
        for board in self.boards.values():
            board.start()
        self.start_frontend()
        for agent in self.agents.values():
            agent.start()
        self.wait_ready(*self.agents)
        if self.plan.web_port is not None:
            self.start_web()

    def start_frontend(self) -> None:
        """Starts the frontend and waits until it serves."""
        self.frontend.start()
        serving = self.frontend.wait_for("serving")
        # The same ports again after a restart, as its agents and clients expect.
        self.rpc_port = serving["rpc_port"]
        self.session_port = serving["session_ports"][0]
        if self._has_metrics:
            self.metrics_port = self.frontend.wait_for("metrics_listening")["port"]
        self._write_settings()

    def start_web(self) -> None:
        """Starts the page and waits until it serves."""
        self._write_web()
        self.web.start()
        # The same port again after a restart, as browsers expect.
        self.web_port = self.web.wait_for("serving")["port"]
        self.web_metrics_port = self.web.wait_for("metrics_listening")["port"]

    def set_up(self) -> None:
        """Installs everything, and starts it."""
        self.install()
        self.start()

    def stop(self) -> None:
        """Ends everything in good order, the page and the agents first."""
        for process in (self.web, *self.agents.values(), self.frontend):
            if process.running:
                process.stop()
        for board in self.boards.values():
            board.process.stop()

    def wait_ready(self, *names: str, limit_s: float = 60) -> None:
        """Waits until the machines' boards can be reached from the frontend."""
        self.wait_reach(machines.Machine.REACH_READY, *names, limit_s=limit_s)

    def wait_reach(
        self, reach: machines.Machine.Reach.ValueType, *names: str, limit_s: float = 60
    ) -> None:
        """Waits until the frontend says that of the machines."""
        wait_reach(self.address, names, self.authority, reach, limit_s)

    def client(self, user: UserPlan) -> Client:
        """A gRPC client, logged in."""
        return Client(self.address, user.name, user.password, self.authority)

    def admin(self, *arguments: str, text: str = "") -> str:
        """Runs `drink-frontend admin` and returns what it printed."""
        return run([*self._frontend_command, "admin", *arguments], self.folder, text)

    def _processes(self) -> Iterator[Process]:
        if self.plan.web_port is not None:
            yield self.web
        yield from self.agents.values()
        yield self.frontend
        yield from (board.process for board in self.boards.values())

    def _write_settings(self) -> None:
        default_machine = self.plan.machines[0].name
        metrics = {"metrics": f'listen = "127.0.0.1:{self.metrics_port}"'}
        text = settings_toml(
            {
                **(metrics if self._has_metrics else {}),
                "storage": self._storage,
                "rpc": f"port = {self.rpc_port}{self._gateways}",
                "log": 'format = "json"',
                "[sessions.listeners]": f"port = {self.session_port}\n"
                f'default_machine = "{default_machine}"',
            },
            self.plan.frontend,
        )
        (self.folder / "frontend.toml").write_text(text, encoding="utf-8")
        for machine in self.plan.machines:
            self.write_agent(machine.name)

    @property
    def _gateways(self) -> str:
        if self.plan.web_port is None:
            return ""
        return f'\ngateways = "{self.folder.absolute()}/gateways"'

    def _write_gateway(self) -> None:
        """The page's token at the frontend."""
        path = self.folder / "gateways"
        if not path.exists():
            path.touch(0o600)
            path.write_text(f"web {secrets.token_hex(32)}\n", encoding="utf-8")

    def _write_web(self) -> None:
        folder = self.folder.absolute()
        text = settings_toml(
            {
                "http": f"port = {self.web_port}",
                "frontend": f'address = "{self.address}"\n'
                f'gateway_token_file = "{folder / "gateways"}"',
                "cookies": f'key_file = "{folder / "cookie.keys"}"',
                "metrics": f'listen = "127.0.0.1:{self.web_metrics_port}"',
                "log": 'format = "json"',
            },
            self.plan.web,
        )
        (self.folder / "web.toml").write_text(text, encoding="utf-8")

    def _link_addresses(self, machine: str) -> list[str]:
        """Where a machine's agent finds frontends."""
        del machine
        return [f"127.0.0.1:{self.link_port or self.rpc_port}"]

    def write_agent(self, machine: str, name: str = "") -> Path:
        """Writes the configuration of a machine's agent.

        Args:
            machine: The machine.
            name: Of the file and the agent's journal, for another agent than the machine's own.
        """
        folder, name = self.folder.absolute(), name or machine
        board = self.boards[machine]
        password = f'\npassword_file = "{folder / "board.password"}"' if board.dials else ""
        text = settings_toml(
            {
                "link": f"addresses = {json.dumps(self._link_addresses(machine))}\n"
                f'token_file = "{folder / machine}.token"\n'
                "backoff_first_s = 0.1\nbackoff_limit_s = 2.0",
                "board": f'url = "{board.url}"{password}\n'
                f"response_limit_s = {float(self.plan.response_limit_s)}",
                "journal": f'path = "{folder / name}.journal"',
            },
            {key: body.replace("{machine}", machine) for key, body in self.plan.agent.items()},
        )
        path = folder / f"{name}.toml"
        path.write_text(f'machine = "{machine}"\n{text}', encoding="utf-8")
        return path
