"""A system with two frontends on one PostgreSQL, and a way from each agent to each of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg

from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from scripts.client import Client
from scripts.local_system import LocalSystem
from scripts.plan import Plan, UserPlan
from scripts.processes import BIN, Process, wait_until
from scripts.proxy import FaultProxy
from tests.integration.audited_system import AuditedSystem
from tests.support.ports import with_own_ports
from tests.support.postgres import empty_postgres, fresh_postgres

BEAT_S = 0.5
"""Seconds between a frontend's beats."""


class SecondFrontend(LocalSystem):
    """The other frontend, without boards and agents of its own.

    Args:
        folder: Where its files are.
        plan: That of the system.
        storage: The database.
        frontend_commands: Folder of the frontend's commands.
    """

    def __init__(self, folder: Path, plan: Plan, storage: str, frontend_commands: Path) -> None:
        super().__init__(folder, with_own_ports(plan), frontend_commands=frontend_commands)
        self._database = storage

    @property
    def _storage(self) -> str:
        return self._database


class TwoFrontendSystem(AuditedSystem):
    """An installation with two frontends, `self` and `other`.

    Args:
        folder: Where its files are.
        plan: What it consists of.
        frontend_commands: Folder of the frontends' commands; this environment's by default.
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
        is_present = frontend_commands == BIN
        self.settings: StorageSettings = fresh_postgres() if is_present else empty_postgres()
        plan = replace(
            plan,
            frontend={**plan.frontend, "presence": f"beat_interval_s = {BEAT_S}"},
        )
        super().__init__(
            folder,
            plan,
            folder,
            frontend_commands=frontend_commands,
            agent_commands=agent_commands,
        )
        server = urlsplit(str(self.settings.url))
        assert server.port is not None
        self.to_database = FaultProxy(server.port)
        """Between the first frontend and the database."""
        self.other = SecondFrontend(
            folder / "other", plan, f'url = "{self.settings.url}"', frontend_commands
        )
        self.ways = {
            machine.name: {each.rpc_port: FaultProxy(each.rpc_port) for each in self.both}
            for machine in plan.machines
        }
        """Between each agent and each frontend, by the frontend's port."""

    @property
    def both(self) -> tuple[LocalSystem, LocalSystem]:
        """The two frontends."""
        return self, self.other

    @property
    def _storage(self) -> str:
        server = urlsplit(str(self.settings.url))
        proxied = server.netloc.replace(f":{server.port}", f":{self.to_database.port}")
        return f'url = "{server._replace(netloc=proxied).geturl()}"'

    def _link_addresses(self, machine: str) -> list[str]:
        return [f"127.0.0.1:{way.port}" for way in self.ways[machine].values()]

    def __enter__(self) -> Self:
        super().__enter__()
        for proxy in self._proxies():
            proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for proxy in self._proxies():
            proxy.__exit__()

    def _proxies(self) -> Iterator[FaultProxy]:
        yield self.to_database
        yield from self._ways()

    def _ways(self) -> Iterator[FaultProxy]:
        for ways in self.ways.values():
            yield from ways.values()

    def _services(self) -> Iterator[Process]:
        yield from super()._services()
        yield self.other.frontend

    def _processes(self) -> Iterator[Process]:
        yield from super()._processes()
        yield self.other.frontend

    def install(self) -> None:
        """Makes what is kept, and the other frontend's settings."""
        LocalSystem.install(self)
        self.other.folder.mkdir()
        self.other._write_settings()

    def start(self) -> None:
        """Starts everything and waits until every machine could drop a can."""
        self.other.start_frontend()
        super().start()

    def revive(self) -> None:
        """Starts the frontends that do not run."""
        for each in self.both:
            if not each.frontend.running:
                each.start_frontend()

    def open_ways(self, *machines: str) -> None:
        """Lets the machines' agents, by default all, go to either frontend."""
        for machine in machines or self.ways:
            for way in self.ways[machine].values():
                way.accept()

    def linked(self, machine: str) -> int:
        """The port of the frontend that has the machine's link; 0 if none has."""
        query = """SELECT frontends.name FROM machines
            JOIN frontends ON frontends.id = machines.frontend WHERE machines.name = %s"""
        with psycopg.connect(str(self.settings.url), autocommit=True) as connection:
            row = connection.execute(query, (machine,)).fetchone()
        return int(row[0].rpartition(":")[2]) if row else 0

    def link(self, machine: str, frontend: LocalSystem) -> None:
        """Brings a machine's agent to one of the frontends and waits until it is there."""
        for port, way in self.ways[machine].items():
            if port == frontend.rpc_port:
                way.accept()
            else:
                way.refuse()
                way.cut()
        self.wait_linked(machine, frontend)
        for each in self.both:
            each.wait_ready(machine)

    def wait_linked(self, machine: str, frontend: LocalSystem) -> None:
        """Waits until a frontend has the machine's link."""
        wait_until(
            lambda: self.linked(machine) == frontend.rpc_port,
            f"{machine} is linked to {frontend.rpc_port}",
        )

    def at_both(self, user: UserPlan) -> tuple[Client, Client]:
        """The user's clients, one of each frontend."""
        return self.client(user), self.other.client(user)

    def _verify(self) -> list[str]:
        async def verify() -> list[str]:
            async with Database.open(self.settings, beside=True) as storage:
                return list(await storage.verify())

        return asyncio.run(verify())
