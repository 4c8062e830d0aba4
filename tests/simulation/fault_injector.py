"""Injects faults at random times: kills, power cuts, cables, clocks, backups."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_link_service_pb2 import ConnectRequest, Heartbeat, Result
from tests.simulation import journals
from tests.simulation.faults import RARE, TALKS
from tests.simulation.hosts import AgentHost
from tests.simulation.simulated_system import LINK, SLOTS, SimulatedSystem
from tests.simulation.world import Process

DAY_S = 86_400
FREEZES_S = (1, 15, 120)
"""Longest that a process is stopped, of three kinds: a pause, a busy host, a suspended one."""


class FaultInjector:
    """Brings the plan's events to a system.

    Args:
        system: The system.
    """

    def __init__(self, system: SimulatedSystem) -> None:
        self._system = system
        self._world = system.world
        self._rng = system.world.stream("chaos")
        self._over = False
        self._tokens: dict[str, str] = {}
        self._happen: dict[str, Callable[[], None]] = {
            "agent.kill": self._agent_kill,
            "agent.power": self._agent_power,
            "agent.stop": self._agent_stop,
            "agent.freeze": self._agent_freeze,
            "frontend.kill": self._frontend_kill,
            "frontend.stop": self._frontend_stop,
            "frontend.freeze": self._frontend_freeze,
            "frontend.clock": self._frontend_clock,
            "network.partition": self._partition,
            "wire.unplugged": self._unplug,
            "wire.says": self._board_says,
            "board.power": self._board_power,
            "board.sensor": self._sensor_lies,
            "journal.wiped": self._journal_wiped,
            "journal.restored": self._journal_restored,
            "journal.damaged": self._journal_damaged,
            "database.restored": self._database_restored,
            TALKS: self._agent_talks,
        }

    def begin(self) -> None:
        """Schedules the first event of each kind, after its mean time on average."""
        for kind, mean_s in self._system.plan.events_s.items():
            self._schedule(kind, mean_s)

    def end(self) -> None:
        """Injects no more faults."""
        self._over = True

    def _schedule(self, kind: str, mean_s: float) -> None:
        def happen() -> None:
            if not self._over:
                self._happen[kind]()
                if kind not in RARE:
                    self._schedule(kind, mean_s)

        self._world.after(self._rng.expovariate(1 / mean_s), happen)

    def _agent(self) -> AgentHost:
        return self._rng.choice(list(self._system.agents.values()))

    def _agent_kill(self) -> None:
        agent = self._agent()
        if agent.process is not None:
            self._world.fault("agent.kill", agent.machine, 60)
            agent.process.kill()

    def _agent_power(self) -> None:
        agent = self._agent()
        self._world.fault("agent.power", agent.machine, 60)
        agent.lose_power()

    def _agent_stop(self) -> None:
        agent = self._agent()
        self._world.fault("agent.stop", agent.machine, 90)
        agent.stop()

    def _agent_freeze(self) -> None:
        agent = self._agent()
        self._freeze(agent.process, "agent.freeze", agent.machine)

    def _frontend_freeze(self) -> None:
        self._freeze(self._system.frontend.process, "frontend.freeze")

    def _freeze(self, process: Process | None, kind: str, where: str = "*") -> None:
        seconds = self._rng.choice(FREEZES_S) * self._rng.random()
        if process is not None and not process.is_frozen:
            self._world.fault(kind, where, seconds + 90)
            process.freeze(seconds)

    def _frontend_kill(self) -> None:
        if self._system.frontend.process is not None:
            self._world.fault("frontend.kill", lasts_s=60)
            self._system.frontend.process.kill()

    def _frontend_stop(self) -> None:
        self._world.fault("frontend.stop", lasts_s=90)
        self._system.frontend.stop()

    def _frontend_clock(self) -> None:
        offset_s = self._rng.choice([3600, DAY_S, 10]) * self._rng.uniform(-1, 1)
        self._world.fault("clock.jump", what=f"{offset_s:.0f} s")
        clock = self._system.frontend.clock
        clock.offset_s = max(-5 * DAY_S, min(5 * DAY_S, clock.offset_s + offset_s))

    def _partition(self) -> None:
        agent, seconds = self._agent(), self._rng.choice([5, 40, 120]) * self._rng.random()
        self._world.fault("network.partition", agent.machine, seconds + 90)
        self._system.network.partition(agent.name, seconds)

    def _unplug(self) -> None:
        name, seconds = self._agent().machine, self._rng.choice([0.01, 2, 20]) * self._rng.random()
        self._world.fault("wire.unplugged", name, seconds + 2)
        self._system.wires[name].unplug(seconds)

    def _board_says(self) -> None:
        """Sends junk and unasked answers while no command is under way."""
        name = self._agent().machine
        wire, now = self._system.wires[name], self._world.now
        if wire.is_idle and not self._system.truths[name].owes_answer:
            said = self._rng.choice([b"9\n", b"garbage\xff\x00\n", b"71 1\n", b"8abc\n", b"4\n"])
            self._world.fault("wire.says", name, 0, repr(said))
            wire.tell(wire.board.send(said, now))

    def _board_power(self) -> None:
        name, seconds = self._agent().machine, self._rng.uniform(0.1, 20)
        self._world.fault("board.power_cut", name, seconds + 30)
        self._system.wires[name].cut_power(seconds)

    def _sensor_lies(self) -> None:
        name = self._agent().machine
        wire, slot = self._system.wires[name], self._rng.choice(SLOTS)
        lie = self._rng.choice([True, False, None])
        self._world.fault("board.sensor", name, 0)
        self._system.truths[name].sensor_lies.append(self._world.now)
        wire.tell(wire.board.override_sensor(slot, lie, self._world.now))

    def _agent_talks(self) -> None:
        """Sends hundreds of pointless messages from an agent; its link may be ended."""
        agent = self._agent()
        for stream in self._system.network.streams_of(agent.name):
            if stream.method == LINK and stream.said:
                self._world.fault(TALKS, agent.machine, 90)
                for _ in range(self._rng.randint(20, 400)):
                    stream.up.send(pointless(self._rng, list(stream.said)))

    def _journal_wiped(self) -> None:
        agent = self._agent()
        self._world.fault("journal.wiped", agent.machine)
        self._exempt_forgotten(agent)
        agent.wipe_journal()

    def _journal_restored(self) -> None:
        """Copies the journal now and restores the copy later."""
        agent = self._agent()
        copy = agent.disk.content(agent.journal)

        def restore() -> None:
            if not self._over:
                self._world.fault("journal.restored", agent.machine)
                self._exempt_unseen(agent, copy)
                self._exempt_forgotten(agent)
                agent.restore_journal(copy)

        self._world.after(self._rng.uniform(1, 60), restore)

    def _exempt_forgotten(self, agent: AgentHost) -> None:
        """Exempts drops that only the lost journal recorded, after the database was restored."""
        checker = self._system.checker
        if checker.was_restored:
            lost = {record["drop"] for record in journals.records(agent.seen_journal)}
            at_machine = ("DISPATCHED", "UNKNOWN", "DISPENSED", "NOT_DISPENSED")
            suspected = {key for key, drop in checker.drops.items() if drop.state in at_machine}
            self._system.truths[agent.machine].exempt |= lost - suspected

    def _exempt_unseen(self, agent: AgentHost, copy: bytes) -> None:
        """Exempts drops that a restored copy lacks and that were never reported to the frontend."""
        (known,) = self._system.checker.rows(
            "SELECT journal_id, journal_sequence FROM machines WHERE name = ?", agent.machine
        )
        kept, lost = journals.records(copy), journals.records(agent.disk.content(agent.journal))
        last = max((record["n"] for record in kept), default=0)
        last = max(last, journals.header(copy).get("through", 0))
        if known == (journals.header(copy).get("journal"), known[1]) and known[1] <= last:
            forgotten = {record["drop"] for record in lost if record["n"] > last}
            self._system.truths[agent.machine].exempt |= forgotten
            if forgotten:
                self._world.fault("journal.restored_unseen", agent.machine)

    def _journal_damaged(self) -> None:
        agent = self._agent()
        if agent.damage_journal():
            self._world.fault("journal.damaged", agent.machine)

    def _database_restored(self) -> None:
        """Backs the database up now and restores it later."""
        path = self._system.settings.storage.path
        copy = path.with_name("backup.db")
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        self._tokens = {name: agent.token for name, agent in self._system.agents.items()}
        self._world.after(self._rng.uniform(1, 90), partial(self._restore_database))

    def _restore_database(self) -> None:
        if self._over:
            return
        system = self._system
        self._world.fault("database.restored", lasts_s=1e9)
        if system.frontend.process is not None:
            system.frontend.process.kill()
        system.end_commands()
        path = system.settings.storage.path
        system.checker.release()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(path.with_name("backup.db"), path)
        for name, token in self._tokens.items():
            system.agents[name].token = token
        system.checker.restored()
        for name, truth in system.truths.items():
            # Of what a journal has lost the books alone had known, and they have forgotten it too.
            agent = system.agents[name]
            known = {record["drop"] for record in journals.records(agent.seen_journal)}
            truth.exempt |= truth.commands.keys() - known


def pointless(rng: random.Random, said: list[bytes]) -> bytes:
    """A message of an agent that changes nothing: a repeated or an unknown one."""
    messages = [ConnectRequest.FromString(data) for data in said]
    results = [each for each in messages if each.HasField("result")]
    statuses = [each for each in messages if each.HasField("board_status")]
    orphan = Result(
        drop=f"drops/{rng.getrandbits(60):026}",
        revision=1,
        outcome=Drop.STATE_UNKNOWN,
        cause=Drop.CAUSE_BOARD_SILENT,
    )
    choices = [
        ConnectRequest(),
        ConnectRequest(heartbeat=Heartbeat(sequence=rng.getrandbits(30))),
        ConnectRequest(result=orphan),
        *results,
    ]
    if statuses:
        warm = ConnectRequest.FromString(statuses[-1].SerializeToString())
        warm.board_status.temperature_celsius = rng.uniform(-5, 30)
        choices.append(warm)
    return rng.choice(choices).SerializeToString()
