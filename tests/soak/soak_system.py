"""The system under soak: every process, network and board of it can fail at any time."""

import contextlib
import threading
from pathlib import Path
from typing import Any, Self

from scripts.local_system import LocalSystem
from scripts.processes import Process
from scripts.proxy import FaultProxy
from tests.soak.plan import soak_plan
from tests.support.ports import with_own_ports

RUNS_POLL_S = 5
"""Seconds between two looks at what a board's motor did; the board lists its last 1,000 runs."""


class SoakSystem(LocalSystem):
    """An installation with a proxy on each of its networks.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, with_own_ports(soak_plan()))
        self.links = {machine.name: FaultProxy() for machine in self.plan.machines}
        """Between each agent and the frontend."""
        self.rpc = FaultProxy()
        """Between the callers and the frontend."""
        self.sessions = FaultProxy()
        """Between the typists and the frontend."""
        self.locks: dict[str, threading.Lock] = {
            process.name: threading.Lock() for process in self._processes()
        }
        """Held by the thread that acts on a process."""

    @property
    def proxies(self) -> list[FaultProxy]:
        """All of them."""
        return [*self.links.values(), self.rpc, self.sessions]

    def __enter__(self) -> Self:
        for proxy in self.proxies:
            proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for proxy in self.proxies:
            proxy.__exit__()

    def write_agent(self, machine: str, name: str = "") -> Path:
        """Writes the configuration of a machine's agent, which dials its own proxy."""
        self.link_port = self.links[machine].port
        return super().write_agent(machine, name)

    def start_frontend(self) -> None:
        """Starts the frontend and waits until it serves."""
        super().start_frontend()
        for proxy in (*self.links.values(), self.rpc):
            proxy.server_port = self.rpc_port
        self.sessions.server_port = self.session_port

    def mend(self) -> None:
        """Ends every fault, and starts what does not run."""
        for proxy in self.proxies:
            proxy.accept()
            proxy.flow()
            # What a fault did to a connection stays with it; the next one is sound.
            proxy.cut()
        for name, board in self.boards.items():
            if not board.process.running:
                board.start()
            board.ask(do="clear")
            for slot in self.boards[name].counts()["cans"]:
                board.ask(do="sensor", slot=int(slot), stocked=None)
        if not self.frontend.running:
            self.start_frontend()
        for agent in self.agents.values():
            if not agent.running:
                agent.start()

    def all_processes(self) -> list[Process]:
        """All of them."""
        return list(self._processes())


class MotorLog:
    """Every motor start of every board, collected while they happen.

    Args:
        system: Whose boards.
    """

    def __init__(self, system: SoakSystem) -> None:
        self.runs: dict[str, list[dict[str, Any]]] = {name: [] for name in system.boards}
        """By machine: `time` in seconds since 1970, and `slot`."""
        self._system = system
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="motor-log", daemon=True)

    def start(self) -> None:
        """Begins to collect."""
        self._thread.start()

    def stop(self) -> None:
        """Collects for the last time, from boards that all run."""
        self._stop.set()
        self._thread.join()
        for name in self.runs:
            self._collect(name)

    def _run(self) -> None:
        while not self._stop.wait(RUNS_POLL_S):
            for name in self.runs:
                # A board that is down keeps what it has run in its state file.
                with contextlib.suppress(OSError, ValueError):
                    self._collect(name)

    def _collect(self, name: str) -> None:
        board, known = self._system.boards[name], self.runs[name]
        listed = board.ask(do="runs")["runs"]
        total = board.counts()["motor_runs"]
        # A run between the two questions is counted and not listed: it is taken next time.
        if known:
            places = [n for n, run in enumerate(listed) if run == known[-1]]
            assert places, f"{name}'s motor ran more than {len(listed)} times since the last look"
            known += listed[places[-1] + 1 :]
        else:
            known += listed
        assert len(known) <= total, f"{name} lists {len(known)} runs and counts {total}"
