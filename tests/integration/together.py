"""Drops on many machines at once: how many of them share a commit, and a disk sync."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drink.v1.drop_service_pb2 import Drop
from scripts.plan import MachinePlan, Plan, SlotPlan
from tests.integration.audited_system import (
    ADMIN,
    ALICE,
    COUPLE,
    DATABASE,
    PRICE,
    AuditedSystem,
    outcome,
)

STEPS = 4
"""What the frontend makes durable of each drop: its reservation, its dispatch, how far its agent's
journal has come when the motor starts, its outcome."""

AGENT_SYNCS = 2
"""Disk syncs of a drop at its agent: before the motor, and before the report."""

MOTOR_S = 0.5


def plan(machines: int) -> Plan:
    """This many machines, and a buyer who can empty them."""
    return replace(
        COUPLE,
        machines=tuple(
            MachinePlan(f"m{number:02}", f"Machine {number}", (SlotPlan(1, "Coke", PRICE, 20),))
            for number in range(machines)
        ),
        users=(replace(ALICE, credits=machines * 20 * PRICE), ADMIN),
        motor_s=MOTOR_S,
    )


@dataclass(frozen=True)
class Measured:
    """What some drops cost."""

    drops: int
    commits: int

    def __str__(self) -> str:
        return (
            f"{self.drops} drops at once: {self.commits} commits for {STEPS * self.drops} steps,"
            f" {self.commits / self.drops:.2f} a drop"
        )


def drop_everywhere(system: AuditedSystem) -> Measured:
    """One drop on each machine, all at the same time."""
    wal = system.folder / f"{DATABASE}-wal"
    before = commits(wal)
    calls = [system.alice.start(f"{machine}/1") for machine in system.boards]
    drops: list[Drop] = [call.result().drop for call in calls]
    assert [outcome(drop) for drop in drops] == [("DISPENSED", "BOARD_ACK")] * len(drops)
    return Measured(len(drops), commits(wal) - before)


def commits(wal: Path) -> int:
    """Commits in SQLite's write-ahead log since it was begun; each was synced to disk at its end.

    https://www.sqlite.org/fileformat2.html#walformat: a frame that ends a commit says how large
    the database is after it, every other one says zero.
    """
    return sum(size > 0 for size in _sizes_after_commit(wal.read_bytes()))


def _sizes_after_commit(wal: bytes) -> Iterator[int]:
    page_bytes, _, *salts = struct.unpack_from(">IIII", wal, 8)
    for at in range(32, len(wal), 24 + page_bytes):
        _, size, *frame_salts = struct.unpack_from(">IIII", wal, at)
        if frame_salts != salts:
            return  # left over from before the log was begun anew
        yield size
