"""The use cases of one frontend's links, in memory; implements `links.desk.Desk`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AlarmKind, Drop, Reach
from drink_frontend.domain.errors import (
    LinkSupersededError,
    MachineDisabledError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.domain.stock import Sensor


@dataclass(frozen=True)
class Opening:
    """What a link starts with."""

    epoch: int
    wanted: tuple[str, ...]


def reserved(drop_id: str, machine: str = "d", slot: int = 1) -> Drop:
    """A drop that waits for its turn."""
    return Drop(
        id=drop_id,
        sequence=1,
        account="ann",
        request_id=drop_id,
        fingerprint="",
        machine=machine,
        slot=slot,
        item="Coke",
        price=50,
        hold_id=f"hold-{drop_id}",
        state=State.RESERVED,
        cause=Cause.NONE,
        decided_by=None,
        epoch=None,
        journal_id=None,
        revision=0,
        created_ms=1,
        not_before_ms=None,
        dispatched_ms=None,
        settled_ms=None,
    )


@dataclass
class MemoryDesk:
    """Keeps drops in a dictionary and knows the newest epoch of each machine.

    Attributes:
        drops: Every drop, oldest first.
        epochs: Newest link of each machine.
        kept: Sensors and temperature, as often as they were kept.
        complete: Whether the board had listed all its slots, each time.
        journals: Highest journal record seen of each machine and journal.
        agents: What each opened link's agent said of itself.
        disabled: Machines out of service.
        unavailable: Whether the database refuses everything.
        in_doubt: Whether the database is lost at the commit of each dispatch.
        alarms: Machine and kind of each alarm.
        ended: How many links have ended.
        changed: Set by everything that a link writes.
    """

    drops: dict[str, Drop] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    kept: list[tuple[str, Mapping[int, Sensor], float | None]] = field(default_factory=list)
    complete: list[bool] = field(default_factory=list)
    journals: dict[tuple[str, str], int] = field(default_factory=dict)
    agents: list[Mapping[str, str]] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)
    unavailable: bool = False
    in_doubt: bool = False
    ended: int = 0
    alarms: list[tuple[str, AlarmKind]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def reserve(self, drop: Drop) -> None:
        self.drops[drop.id] = drop

    def state(self, drop_id: str) -> State:
        return self.drops[drop_id].state

    def _of(self, machine: str, state: State) -> list[Drop]:
        return [
            drop for drop in self.drops.values() if drop.machine == machine and drop.state is state
        ]

    def _write(self) -> None:
        self.changed.set()
        if self.unavailable:
            raise StorageUnavailableError("the database does not answer")

    async def open_link(
        self, machine: str, journal: tuple[str, int], reach: Reach, agent: Mapping[str, str]
    ) -> Opening:
        self._write()
        if machine in self.disabled:
            raise MachineDisabledError("the machine is out of service")
        self.epochs[machine] = self.epochs.get(machine, 0) + 1
        self.agents.append(agent)
        self.journal(machine, journal)
        wanted = tuple(drop.id for drop in self._of(machine, State.DISPATCHED))
        return Opening(self.epochs[machine], wanted)

    async def take(self, machine: str, epoch: int) -> Drop | None:
        self._write()
        if self.epochs[machine] != epoch:
            raise LinkSupersededError("a newer link has taken over")
        return self._next(machine)

    def _next(self, machine: str) -> Drop | None:
        waiting = self._of(machine, State.RESERVED)
        if not waiting or self._of(machine, State.DISPATCHED):
            return None
        taken = replace(waiting[0], state=State.DISPATCHED, epoch=self.epochs[machine])
        self.drops[taken.id] = taken
        if self.in_doubt:
            raise OutcomeUnknownError("nobody knows whether the database took the change")
        return taken

    async def not_received(self, machine: str, epoch: int, drop_id: str) -> None:
        self._write()
        if self.epochs[machine] != epoch:
            raise LinkSupersededError("a newer link has taken over")
        self.drops[drop_id] = replace(self.drops[drop_id], state=State.RESERVED)

    async def result(
        self,
        machine: str,
        drop_id: str,
        *,
        revision: int,
        outcome: State,
        cause: Cause,
        evidence: dict[str, Any],
        journal: tuple[str, int],
        epoch: int | None,
    ) -> Drop | None:
        self._write()
        self.journal(machine, journal)
        drop = self.drops[drop_id]
        if revision > drop.revision and not drop.state.final:
            self.drops[drop_id] = replace(drop, state=outcome, cause=cause, revision=revision)
        return self._next(machine) if self.epochs[machine] == epoch else None

    def alarm(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        self.alarms.append((machine, kind))

    def link_ended(self) -> None:
        self.ended += 1

    def journal(self, machine: str, journal: tuple[str, int]) -> None:
        journal_id, sequence = journal
        highest = self.journals.get((machine, journal_id), 0)
        self.journals[machine, journal_id] = max(highest, sequence)

    async def status(
        self,
        machine: str,
        epoch: int,
        sensors: Mapping[int, Sensor],
        temperature_celsius: float | None,
        *,
        complete: bool,
    ) -> None:
        self._write()
        if self.epochs[machine] != epoch:
            raise LinkSupersededError("a newer link has taken over")
        self.kept.append((machine, sensors, temperature_celsius))
        self.complete.append(complete)
