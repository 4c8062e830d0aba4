"""Processes are stopped, frozen, doubled and put back in time; no can falls twice."""

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from drink.v1.drop_service_pb2 import Drop, WatchDropRequest
from drink.v1.machine_service_pb2 import Machine
from scripts.processes import BIN, wait_until
from tests.integration.audited_system import (
    COUPLE,
    DATABASE,
    AuditedSystem,
    backup,
    id_of,
    outcome,
    refused,
)
from tests.support import programs

STOP_LIMIT_S = 2
"""Seconds that a stopping service waits for a drop."""

PLAN = replace(
    COUPLE,
    frontend={
        "links": "heartbeat_interval_s = 1",
        "shutdown": f"drops_limit_s = {STOP_LIMIT_S}\ncalls_limit_s = 1",
    },
    agent={"agent": f"stop_limit_s = {STOP_LIMIT_S}"},
)

SHORT_S = 0.6
"""Seconds of a motor's run that end within the limit of a stop."""

LONG_S = 5.0
"""Seconds of one that do not."""

EXIT_JOURNAL_LOCKED = 4


@pytest.mark.parametrize("end", [lambda each: each.stop(), lambda each: each.kill()])
def test_fault_21_a_frontend_restarted_with_streams_open_is_found_again(
    system: AuditedSystem, end: Callable[[object], object]
) -> None:
    drop = system.turning(SHORT_S)
    watch = system.alice.call(system.alice.drops.WatchDrop, WatchDropRequest(name=drop.name))
    assert next(watch).drop.state == Drop.STATE_DISPATCHED
    end(system.frontend)
    system.start_frontend()
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_28_a_frontend_told_to_stop_in_mid_drop_answers_first(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.boards["d"].fault("slow", slot=1, seconds=SHORT_S)
    call = system.alice.start("d/1")
    system.wait_for_motor("d", runs + 1)
    system.frontend.send(signal.SIGTERM)
    system.frontend.wait_for("stopping")
    assert outcome(call.result().drop) == ("DISPENSED", "BOARD_ACK")
    assert system.frontend.wait() == 0
    system.start_frontend()


def test_fault_28_a_stopping_frontend_refuses_new_drops(system: AuditedSystem) -> None:
    drop = system.turning(SHORT_S)
    system.frontend.send(signal.SIGTERM)
    system.frontend.wait_for("stopping")
    with refused("SHUTTING_DOWN"):
        system.alice.drop("d/2")
    assert system.frontend.wait() == 0
    system.start_frontend()
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


@pytest.mark.parametrize("times", [1, 2])
def test_fault_28_a_frontend_that_must_not_wait_leaves_the_drop_to_its_next_start(
    system: AuditedSystem, times: int
) -> None:
    drop = system.turning(LONG_S)
    system.frontend.send(signal.SIGTERM)
    system.frontend.wait_for("stopping")
    if times > 1:
        system.frontend.send(signal.SIGTERM)
    assert system.frontend.wait() == (0 if times == 1 else -signal.SIGTERM)
    system.start_frontend()
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_28_an_agent_told_to_stop_in_mid_drop_ends_it_first(system: AuditedSystem) -> None:
    drop = system.turning(SHORT_S)
    assert system.agents["d"].stop() == 0
    assert outcome(system.alice.get(drop.name)) == ("DISPENSED", "BOARD_ACK")
    with refused("MACHINE_OFFLINE"):
        system.alice.drop("d/1")
    system.start_agent("d")


@pytest.mark.parametrize("times", [1, 2])
def test_fault_28_an_agent_that_must_not_wait_reports_the_drop_unknown(
    system: AuditedSystem, times: int
) -> None:
    drop, agent = system.unanswered(), system.agents["d"]
    agent.send(signal.SIGTERM)
    agent.wait_for("stopping")
    if times > 1:
        agent.send(signal.SIGTERM)
    assert agent.wait() == (0 if times == 1 else 128 + signal.SIGTERM)
    system.start_agent("d")
    assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "AGENT_RESTARTED")
    system.resolve(drop)


def test_fault_29_a_frozen_frontend_is_left_and_found_again(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.boards["d"].fault("slow", slot=1, seconds=SHORT_S)
    call = system.alice.start("d/1")
    system.wait_for_motor("d", runs + 1)
    system.frontend.send(signal.SIGSTOP)
    for agent in system.agents.values():
        agent.wait_for("link_lost", reason="SILENT")
    system.frontend.send(signal.SIGCONT)
    assert outcome(call.result().drop) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


def test_fault_29_a_frozen_agent_keeps_nobody_else_waiting(system: AuditedSystem) -> None:
    drop, agent = system.turning(SHORT_S), system.agents["d"]
    agent.send(signal.SIGSTOP)
    system.wait_reach(Machine.REACH_OFFLINE, "d")
    assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    with refused("MACHINE_OFFLINE"):
        system.alice.drop("d/1")
    agent.send(signal.SIGCONT)
    assert outcome(system.alice.settled(drop.name))[0] == "DISPENSED"


def attempt(system: AuditedSystem, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a service that cannot start, to its end."""
    return programs.run(BIN / command[0], *command[1:], cwd=system.folder)


def test_fault_31_a_second_frontend_on_the_database_does_not_start(system: AuditedSystem) -> None:
    done = attempt(system, "drink-frontend", "--config=frontend.toml", "serve")
    assert done.returncode == 1
    assert f"in use by another frontend (process {system.frontend.pid})" in done.stdout
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"


@pytest.mark.parametrize("edge", ["gRPC", "sessions"])
def test_fault_31_a_second_frontend_on_a_port_does_not_start(
    system: AuditedSystem, edge: str
) -> None:
    taken, other = (
        (system.rpc_port, system.session_port)
        if edge == "gRPC"
        else (system.session_port, system.rpc_port)
    )
    text = (system.folder / "frontend.toml").read_text().replace(DATABASE, "second.db")
    text = text.replace(f"port = {other}", "port = 0")
    (system.folder / "second.toml").write_text(text)
    assert attempt(system, "drink-frontend", "--config=second.toml", "migrate").returncode == 0
    done = attempt(system, "drink-frontend", "--config=second.toml", "serve")
    assert done.returncode == 1
    assert str(taken) in done.stdout
    (system.folder / "second.db").unlink()


def test_fault_31_a_second_agent_on_a_journal_does_not_start(system: AuditedSystem) -> None:
    done = attempt(system, "drink-machine-agent", "--config=d.toml", "run")
    assert done.returncode == EXIT_JOURNAL_LOCKED
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_36_after_a_backup_is_put_back_agents_tell_what_it_has_forgotten(
    system: AuditedSystem,
) -> None:
    """One drop was under way at the backup, one was settled and one was under way at its end."""
    copy, database = system.folder / "backup.db", system.folder / DATABASE
    system.root.account()  # its login is in the backup
    known = system.turning(SHORT_S)
    backup(database, copy)
    assert outcome(system.alice.settled(known.name)) == ("DISPENSED", "BOARD_ACK")
    system.alice.drop("d/1")
    forgotten = system.turning(SHORT_S)
    system.frontend.kill()
    system.agents["d"].wait_for("drop_result", drop_id=id_of(forgotten))
    for file in system.folder.glob(f"{DATABASE}-*"):
        file.unlink()
    copy.replace(database)
    system.start_frontend()
    system.frontend.wait_for("drop_reported", verdict="ORPHAN")
    assert outcome(system.alice.settled(known.name)) == ("DISPENSED", "BOARD_ACK")
    with refused("DROP_NOT_FOUND"):
        system.alice.get(forgotten.name)
    assert id_of(forgotten) in system.admin("alarms")
    system.untruths.unpaid["d/1"] += 2


def test_fault_37_a_wiped_journal_proves_nothing(system: AuditedSystem) -> None:
    drop, agent = system.turning(SHORT_S), system.agents["d"]
    agent.kill()
    for file in system.folder.glob("d.journal*"):
        file.unlink()
    system.start_agent("d")
    assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
    alarms = system.admin("alarms")
    assert "JOURNAL_REPLACED" in alarms
    assert id_of(drop) in alarms
    system.resolve(drop)
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_37_a_copy_from_before_the_motor_that_is_put_back_while_it_runs_proves_nothing(
    system: AuditedSystem,
) -> None:
    """The copy has all but the last command, which the agent reports while the motor runs."""
    agent, journal = system.agents["d"], system.folder / "d.journal"
    runs = system.runs("d")
    system.alice.drop("d/1")
    agent.stop()
    old = journal.read_bytes()
    system.start_agent("d")
    before = kept_journal(system)
    drop = system.turning(SHORT_S)
    wait_until(lambda: kept_journal(system) > before, "the frontend knows of the command")
    agent.kill()
    journal.write_bytes(old)
    system.start_agent("d")
    assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
    system.resolve(drop)
    assert system.runs("d") == runs + 2


def kept_journal(system: AuditedSystem) -> int:
    """How far the frontend knows the agent's journal to have come, in its database."""
    with closing(sqlite3.connect(system.folder / DATABASE)) as database:
        query = "SELECT journal_sequence FROM machines WHERE name = 'd'"
        return int(database.execute(query).fetchone()[0])


def test_fault_37_an_old_copy_of_the_journal_proves_nothing(system: AuditedSystem) -> None:
    agent, journal = system.agents["d"], system.folder / "d.journal"
    agent.stop()
    old = journal.read_bytes()
    system.start_agent("d")
    system.alice.drop("d/1")
    drop = system.turning(SHORT_S)
    agent.kill()
    journal.write_bytes(old)
    system.start_agent("d")
    assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
    system.resolve(drop)
    wait_until(lambda: not system.boards["d"].counts()["motor_running"], "the motor stands")
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"
