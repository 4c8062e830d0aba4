"""What is measured, as running processes: the real services, and the relays beside them."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from benchmarks.link_messages import Messages
from benchmarks.measure import cpu_s
from benchmarks.proxy import Control, Counter
from scripts.client import Client
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan, import_toml, settings_toml
from scripts.processes import Process, run, wait_until

ROOT = Path(__file__).resolve().parent.parent
"""Where this repository is."""

MACHINES = tuple(f"m{number:02}" for number in range(50))
SLOTS = 10
"""Slots of each machine; a snack machine's."""
DATABASE = "drink.db"
BUYERS = 8
"""Buyers, each with a connection and an account of its own."""
AGENT_PROCESSES = 2
"""Processes that the agents of the machines share, the real ones and the references' alike."""
CANS = 10_000
"""Cans in each slot, the most that a slot may have."""
CREDITS = 1_000_000
"""Credits of each buyer, the most that one transfer may move; a can costs one."""
IBUTTON = "00000000DEADBEEF"
"""Logs sessions in without the cost of a password's hash."""

LINKS_LIMIT_S = 60
"""Seconds until all agents have their links."""

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where drops are bought.

    Attributes:
        addresses: `host:port` of gRPC of each server; buyers share them.
        buyers: Metadata of each buyer's calls.
        servers: Process ids of what serves.
        agents: Process ids of what the agents run in.
    """

    addresses: tuple[str, ...]
    buyers: tuple[Metadata, ...]
    servers: tuple[int, ...]
    agents: tuple[int, ...] = ()

    def cpu_s(self) -> tuple[float, float]:
        """Seconds of CPU so far, of the servers and of the agents."""
        return cpu_s(self.servers), cpu_s(self.agents)


def python(*arguments: str) -> list[str]:
    """A command that runs a module of this repository."""
    return [sys.executable, "-m", *arguments]


class Frontend:
    """A real frontend and its SQLite database in a folder.

    Args:
        folder: Where its files are; kept.
        settings: More of its configuration, TOML by section name.
        name: Of its configuration and log in the folder.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, name: str = "frontend"
    ) -> None:
        self.folder = folder
        self.database = folder / DATABASE
        self._settings = settings or {}
        self._config = folder.absolute() / f"{name}.toml"
        self.process = Process(name, self._command(), folder, {"PYTHONPATH": str(ROOT)})
        self.address = ""
        self.session_port = 0

    def install(self) -> None:
        """Makes the database with its machines and buyers, unless it is there."""
        self.configure()
        if not self.database.exists():
            shutil.copytree(_installed().name, self.folder, dirs_exist_ok=True)

    def configure(self) -> None:
        """Writes its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sections = {
            "storage": self._storage(),
            "rpc": "port = 0",
            # Eight accounts buy here what thousands do elsewhere.
            "rpc.pace": "account_calls_per_s = 100_000\naccount_calls_burst = 100_000",
            "log": 'format = "json"',
            "metrics": 'listen = "127.0.0.1:0"',
            "[sessions.listeners]": f'port = 0\ndefault_machine = "{MACHINES[0]}"',
        }
        self._config.write_text(settings_toml(sections, self._settings), encoding="utf-8")

    def add_machines(self, names: Sequence[str]) -> dict[str, str]:
        """Adds machines without slots, before it is started; returns their agents' tokens."""
        plan = Plan(tuple(MachinePlan(name, name, ()) for name in names), ())
        _import(self._config, import_toml(plan))
        return {name: (self.folder / f"{name}.token").read_text().strip() for name in names}

    def start(self) -> None:
        """Starts it and waits until it serves."""
        self.process.start()
        serving = self.process.wait_for("serving", limit_s=120)
        self.address = f"127.0.0.1:{serving['rpc_port']}"
        self.session_port = serving["session_ports"][0]

    def buyers(self) -> tuple[Metadata, ...]:
        """Logs every buyer in."""
        clients = [Client(self.address, name, f"{name}-password") for name in _buyers()]
        for client in clients:
            client.close()
        return tuple(client.metadata for client in clients)

    def _storage(self) -> str:
        """Where the database is, as a setting."""
        return f'path = "{self.database.absolute()}"'

    def _command(self) -> list[str]:
        """What runs it."""
        return ["drink-frontend", f"--config={self._config}", "serve"]


class PostgresFrontend(Frontend):
    """A real frontend on PostgreSQL, whose threads have names.

    Args:
        folder: Where its files are; kept.
        url: Of the database.
        name: Of its configuration and log in the folder.
        settings: More of its configuration, TOML by section name.
    """

    def __init__(
        self, folder: Path, url: str, name: str, settings: dict[str, str] | None = None
    ) -> None:
        self._url = url
        super().__init__(folder, settings, name)

    def install(self) -> None:
        """Makes the tables with machines and buyers."""
        self.configure()
        _install(self._config)

    def _storage(self) -> str:
        return f'url = "{self._url}"'

    def _command(self) -> list[str]:
        return python("benchmarks.named_threads", f"--config={self._config}", "serve")


@cache
def _installed() -> "tempfile.TemporaryDirectory[str]":
    """Database and tokens of a new installation, made once in this process and gone with it."""
    made = tempfile.TemporaryDirectory(prefix="drink-bench-")
    folder = Path(made.name)
    config = folder / "frontend.toml"
    config.write_text(f'[storage]\npath = "{folder}/{DATABASE}"\n', encoding="utf-8")
    _install(config)
    config.unlink()
    return made


def _install(config: Path) -> None:
    """Fills an empty database; the tokens of its machines go to the configuration's folder."""
    run(["drink-frontend", f"--config={config}", "migrate"], config.parent)
    kiosk = f'[[users]]\nname = "kiosk"\nibutton = "{IBUTTON}"\ncredits = {CREDITS}\n'
    _import(config, import_toml(_plan()) + kiosk)


def _import(config: Path, text: str) -> None:
    plan = config.with_name("plan.toml")
    plan.write_text(text, encoding="utf-8")
    subprocess.run(python("benchmarks.install", str(config), str(plan)), cwd=ROOT, check=True)
    plan.unlink()


@contextlib.contextmanager
def running_system(
    folder: Path, settings: dict[str, str] | None = None, agents: Sequence[str] = ()
) -> Iterator[tuple[Frontend, Target]]:
    """A frontend and fifty agents, all real but for their boards.

    Args:
        folder: Where its files are; kept.
        settings: More of the frontend's configuration, TOML by section name.
        agents: More arguments of `benchmarks.agents`.
    """
    frontend = Frontend(folder, settings)
    frontend.install()
    with _running([frontend], agents) as target:
        yield frontend, target


@contextlib.contextmanager
def counted_system(folder: Path, motor_s: float) -> Iterator[tuple[Control, Target]]:
    """A frontend and fifty agents through a proxy that counts the messages of their links.

    Args:
        folder: Where its files are; kept.
        motor_s: Seconds that a motor runs.
    """
    frontend = Frontend(folder)
    frontend.install()
    with contextlib.ExitStack() as undo:
        undo.callback(frontend.process.kill)
        frontend.start()
        server_port = int(frontend.address.rpartition(":")[2])
        port, control = undo.enter_context(counting_proxy(folder, Messages, server_port))
        arguments = [str(folder.absolute()), f"--motor-s={motor_s}"]
        agents = _start_agents(
            undo,
            folder,
            [f"127.0.0.1:{port}"],
            lambda address: ["benchmarks.agents", address, *arguments],
        )
        pid = frontend.process.pid
        yield control, Target((frontend.address,), frontend.buyers(), (pid,), agents)


@contextlib.contextmanager
def postgres_system(folder: Path, url: str, frontends: int) -> Iterator[Target]:
    """So many frontends on one PostgreSQL database that is empty, and fifty agents at them.

    Args:
        folder: Where their files are; kept.
        url: Of the database.
        frontends: At most as many as there are processes of agents.
    """
    several = [PostgresFrontend(folder, url, f"frontend-{n}") for n in range(frontends)]
    several[0].install()
    for frontend in several[1:]:
        frontend.configure()
    with _running(several) as target:
        yield target


@contextlib.contextmanager
def _running(frontends: Sequence[Frontend], more: Sequence[str] = ()) -> Iterator[Target]:
    """Frontends that share a folder and a database, and fifty agents at them in turn."""
    folder = frontends[0].folder
    with contextlib.ExitStack() as undo:
        for frontend in frontends:
            undo.callback(frontend.process.kill)
            frontend.start()
        addresses = [frontend.address for frontend in frontends]
        agents = _start_agents(
            undo,
            folder,
            addresses,
            lambda address: ["benchmarks.agents", address, str(folder.absolute()), *more],
        )
        yield Target(
            tuple(addresses),
            frontends[0].buyers(),
            tuple(frontend.process.pid for frontend in frontends),
            agents,
        )


@contextlib.contextmanager
def relay(kind: str, folder: Path) -> Iterator[Target]:
    """A relay of `benchmarks.references` and fifty agents of its kind."""
    folder.mkdir(parents=True, exist_ok=True)
    module = f"benchmarks.references.{kind}"
    files = [str(folder.absolute())] if kind == "durable_relay" else []
    with contextlib.ExitStack() as undo:
        process = _reference(
            kind, [module, "serve", *(f"{file}/relay.db" for file in files)], folder
        )
        undo.callback(process.kill)
        port = process.wait_for("serving")["rpc_port"]
        address = f"127.0.0.1:{port}"
        agents = _start_agents(
            undo, folder, [address], lambda address: [module, "echo", address, *files]
        )
        yield Target((address,), ((),) * BUYERS, (process.pid,), agents)


@contextlib.contextmanager
def relay_alone(kind: str, folder: Path) -> Iterator[Target]:
    """A relay without agents."""
    process = _reference(kind, [f"benchmarks.references.{kind}", "serve"], folder)
    try:
        port = process.wait_for("serving")["rpc_port"]
        yield Target((f"127.0.0.1:{port}",), (), (process.pid,))
    finally:
        process.kill()


@contextlib.contextmanager
def session_reference(
    folder: Path, greeting: bytes, replies: dict[bytes, bytes]
) -> Iterator[tuple[int, int]]:
    """The bare asyncio server: its port and its process id."""
    codes = [each.hex() for pair in replies.items() for each in pair]
    command = ["benchmarks.references.bare_asyncio", greeting.hex(), *codes]
    process = _reference("bare_asyncio", command, folder)
    try:
        yield process.wait_for("serving")["session_ports"][0], process.pid
    finally:
        process.kill()


@contextlib.contextmanager
def counting_proxy(
    folder: Path, counter: type[Counter], server_port: int
) -> Iterator[tuple[int, Control]]:
    """A proxy before a server: its port, and what controls it."""
    name = f"{counter.__module__}:{counter.__name__}"
    process = _reference("proxy", ["benchmarks.proxy", name, str(server_port)], folder)
    try:
        serving = process.wait_for("serving")
        with Control(serving["control_port"]) as control:
            yield serving["port"], control
    finally:
        process.kill()


def _reference(name: str, arguments: Sequence[str], folder: Path) -> Process:
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(name, python(*arguments), folder, {"PYTHONPATH": str(ROOT)})
    process.start()
    return process


def _start_agents(
    undo: contextlib.ExitStack,
    folder: Path,
    addresses: Sequence[str],
    command: Callable[[str], Sequence[str]],
) -> tuple[int, ...]:
    """Starts the processes of the agents, and waits until all have their links.

    Args:
        undo: Ends them.
        folder: Where their logs are.
        addresses: Of frontends, which the processes share.
        command: The module and its arguments before the machines, for an address.
    """
    processes = []
    for number in range(AGENT_PROCESSES):
        machines = MACHINES[number::AGENT_PROCESSES]
        arguments = [*command(addresses[number % len(addresses)]), *machines]
        process = _reference(f"agents-{number}", arguments, folder)
        undo.callback(process.kill)
        processes.append((process, len(machines)))
    for process, count in processes:
        wait_until(
            partial(_all_linked, process, count), f"the links of {process.name}", LINKS_LIMIT_S
        )
    return tuple(process.pid for process, _ in processes)


def _all_linked(process: Process, count: int) -> bool:
    # It fails, with the log's end, if the process has ended.
    process.wait_for("link_up", LINKS_LIMIT_S)
    links = [line for line in process.events() if line["event"] == "link_up"]
    return len(links) >= count


def _buyers() -> list[str]:
    return [f"buyer{number}" for number in range(BUYERS)]


def _plan() -> Plan:
    slots = tuple(SlotPlan(number, f"Can {number}", 1, CANS) for number in range(1, SLOTS + 1))
    return Plan(
        machines=tuple(MachinePlan(name, name.upper(), slots) for name in MACHINES),
        users=tuple(UserPlan(name, f"{name}-password", CREDITS) for name in _buyers()),
    )
