"""A stolen machine token: whatever it sends, the other machines and the disk do not notice."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drink.v1 import machine_link_service_pb2 as pb
from drink.v1.machine_service_pb2 import Slot
from scripts.processes import wait_until
from tests.integration.audited_system import COUPLE, DATABASE, AuditedSystem, outcome
from tests.integration.stolen_token import Message, link, result

PLAN = COUPLE

MESSAGES = 20_000
"""Many times what a machine may send at once."""

LOG_MAX = 200_000
"""Bytes that the whole attack may log: a thousand lines would be more."""

DATABASE_MAX = 10_000_000
"""Bytes by which it may let the database grow: 200 records of each kind with their indexes and
events (2 MB), and the write-ahead log, which is 4 MB before it is used again, or a little more
while somebody reads. Without limits it would be 800 MB."""


def orphans(_: str) -> Iterator[Message]:
    for number in range(MESSAGES):
        yield result(f"{number:026}", 1)


def contradictions(drop: str) -> Iterator[Message]:
    for number in range(MESSAGES):
        yield result(drop, number + 2)


def empty(_: str) -> Iterator[Message]:
    yield from itertools.repeat(Message(), MESSAGES)


def heartbeats(_: str) -> Iterator[Message]:
    for number in range(MESSAGES):
        yield Message(heartbeat=pb.Heartbeat(sequence=number, journal_sequence=number))


def statuses(_: str) -> Iterator[Message]:
    for number in range(MESSAGES):
        sensor = Slot.SENSOR_EMPTY if number % 2 else Slot.SENSOR_STOCKED
        yield Message(
            board_status=pb.BoardStatus(
                ready=bool(number % 3),
                slots=[pb.BoardStatus.SlotSensor(slot=1, sensor=sensor)],
                temperature_celsius=number % 30,
            )
        )


@pytest.mark.parametrize("flood", [orphans, contradictions, empty, heartbeats, statuses])
def test_fault_68_a_machine_token_that_floods_is_ended_and_costs_the_others_nothing(
    system: AuditedSystem, flood: Callable[[str], Iterator[Message]]
) -> None:
    system.agents["ld"].stop()
    sold = system.alice.drop("d/1")
    settled = sold.name.removeprefix("drops/")
    log, database = system.frontend.log, system.folder / DATABASE
    before = (log.stat().st_size, size(database))
    try:
        assert link(system, flood(settled)) == "RATE_LIMITED"
        for _ in range(5):
            assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
        assert log.stat().st_size - before[0] < LOG_MAX
        assert size(database) - before[1] < DATABASE_MAX
        assert system.alice.get(sold.name).state == sold.state
    finally:
        system.start_agent("ld")
    assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")


def test_fault_68_a_machine_token_that_connects_in_a_loop_is_refused(system: AuditedSystem) -> None:
    system.agents["ld"].stop()
    log = system.frontend.log
    before = log.stat().st_size
    try:
        ends = [link(system, ()) for _ in range(200)]
        assert ends.count("RATE_LIMITED") >= 50
        assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
        assert log.stat().st_size - before < LOG_MAX
    finally:
        system.start_agent("ld")
    wait_until(lambda: "LINK_REFUSED" in system.admin("alarms"), "the alarm is kept")


def size(database: Path) -> int:
    """Bytes of the database and its log of changes."""
    return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*"))
