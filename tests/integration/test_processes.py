"""Processes are stopped, frozen, doubled and put back in time; no can falls twice."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from drink.v1.drop_service_pb2 import Drop, WatchDropRequest
from drink.v1.machine_service_pb2 import Machine
from scripts.processes import BIN, wait_until
from tests.integration.house import COUPLE, DATABASE, House, backup, id_of, outcome, refused

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


def restart_agent(house: House) -> None:
    house.agents["d"].start()
    house.wait_ready("d")


@pytest.mark.parametrize("end", [lambda each: each.stop(), lambda each: each.kill()])
def test_fault_21_a_frontend_restarted_with_streams_open_is_found_again(
    house: House, end: Callable[[object], object]
) -> None:
    drop = house.turning(SHORT_S)
    watch = house.alice.drops.WatchDrop(
        WatchDropRequest(name=drop.name), metadata=house.alice.metadata, timeout=30
    )
    assert next(watch).drop.state == Drop.STATE_DISPATCHED
    end(house.frontend)
    house.start_frontend()
    assert outcome(house.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_28_a_frontend_told_to_stop_in_mid_drop_answers_first(house: House) -> None:
    runs = house.runs("d")
    house.boards["d"].fault("slow", slot=1, seconds=SHORT_S)
    call = house.alice.start("d/1")
    house.wait_for_motor("d", runs + 1)
    house.frontend.send(signal.SIGTERM)
    house.frontend.wait_for("stopping")
    assert outcome(call.result().drop) == ("DISPENSED", "BOARD_ACK")
    assert house.frontend.wait() == 0
    house.start_frontend()


def test_fault_28_a_stopping_frontend_refuses_new_drops(house: House) -> None:
    drop = house.turning(SHORT_S)
    house.frontend.send(signal.SIGTERM)
    house.frontend.wait_for("stopping")
    with refused("SHUTTING_DOWN"):
        house.alice.drop("d/2")
    assert house.frontend.wait() == 0
    house.start_frontend()
    assert outcome(house.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


@pytest.mark.parametrize("times", [1, 2])
def test_fault_28_a_frontend_that_must_not_wait_leaves_the_drop_to_its_next_start(
    house: House, times: int
) -> None:
    drop = house.turning(LONG_S)
    house.frontend.send(signal.SIGTERM)
    house.frontend.wait_for("stopping")
    if times > 1:
        house.frontend.send(signal.SIGTERM)
    assert house.frontend.wait() == (0 if times == 1 else -signal.SIGTERM)
    house.start_frontend()
    assert outcome(house.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_28_an_agent_told_to_stop_in_mid_drop_ends_it_first(house: House) -> None:
    drop = house.turning(SHORT_S)
    assert house.agents["d"].stop() == 0
    assert outcome(house.alice.get(drop.name)) == ("DISPENSED", "BOARD_ACK")
    with refused("MACHINE_OFFLINE"):
        house.alice.drop("d/1")
    restart_agent(house)


@pytest.mark.parametrize("times", [1, 2])
def test_fault_28_an_agent_that_must_not_wait_reports_the_drop_unknown(
    house: House, times: int
) -> None:
    drop, agent = house.unanswered(), house.agents["d"]
    agent.send(signal.SIGTERM)
    agent.wait_for("stopping")
    if times > 1:
        agent.send(signal.SIGTERM)
    assert agent.wait() == (0 if times == 1 else 128 + signal.SIGTERM)
    restart_agent(house)
    assert outcome(house.alice.answered(drop.name)) == ("UNKNOWN", "AGENT_RESTARTED")
    house.resolve(drop)


def test_fault_29_a_frozen_frontend_is_left_and_found_again(house: House) -> None:
    runs = house.runs("d")
    house.boards["d"].fault("slow", slot=1, seconds=SHORT_S)
    call = house.alice.start("d/1")
    house.wait_for_motor("d", runs + 1)
    house.frontend.send(signal.SIGSTOP)
    for agent in house.agents.values():
        agent.wait_for("link_lost", reason="SILENT")
    house.frontend.send(signal.SIGCONT)
    assert outcome(call.result().drop) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 1


def test_fault_29_a_frozen_agent_keeps_nobody_else_waiting(house: House) -> None:
    drop, agent = house.turning(SHORT_S), house.agents["d"]
    agent.send(signal.SIGSTOP)
    house.wait_reach(Machine.REACH_OFFLINE, "d")
    assert outcome(house.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    with refused("MACHINE_OFFLINE"):
        house.alice.drop("d/1")
    agent.send(signal.SIGCONT)
    assert outcome(house.alice.settled(drop.name))[0] == "DISPENSED"


def attempt(house: House, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a service that cannot start, to its end."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=house.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_fault_31_a_second_frontend_on_the_database_does_not_start(house: House) -> None:
    done = attempt(house, "drink-frontend", "--config=frontend.toml", "serve")
    assert done.returncode == 1
    assert f"in use by another frontend (process {house.frontend.pid})" in done.stdout
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"


@pytest.mark.parametrize("edge", ["gRPC", "sessions"])
def test_fault_31_a_second_frontend_on_a_port_does_not_start(house: House, edge: str) -> None:
    taken, other = (
        (house.rpc_port, house.session_port)
        if edge == "gRPC"
        else (house.session_port, house.rpc_port)
    )
    text = (house.folder / "frontend.toml").read_text().replace(DATABASE, "second.db")
    text = text.replace(f"port = {other}", "port = 0")
    (house.folder / "second.toml").write_text(text)
    assert attempt(house, "drink-frontend", "--config=second.toml", "migrate").returncode == 0
    done = attempt(house, "drink-frontend", "--config=second.toml", "serve")
    assert done.returncode == 1
    assert str(taken) in done.stdout
    (house.folder / "second.db").unlink()


def test_fault_31_a_second_agent_on_a_journal_does_not_start(house: House) -> None:
    done = attempt(house, "drink-machine-agent", "--config=d.toml", "run")
    assert done.returncode == EXIT_JOURNAL_LOCKED
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_36_after_a_backup_is_put_back_agents_tell_what_it_has_forgotten(
    house: House,
) -> None:
    """One drop was under way at the backup, one was settled and one was under way at its end."""
    copy, database = house.folder / "backup.db", house.folder / DATABASE
    house.root.account()  # its login is in the backup
    known = house.turning(SHORT_S)
    backup(database, copy)
    assert outcome(house.alice.settled(known.name)) == ("DISPENSED", "BOARD_ACK")
    house.alice.drop("d/1")
    forgotten = house.turning(SHORT_S)
    house.frontend.kill()
    house.agents["d"].wait_for("drop_result", drop_id=id_of(forgotten))
    for file in house.folder.glob(f"{DATABASE}-*"):
        file.unlink()
    copy.replace(database)
    house.start_frontend()
    house.frontend.wait_for("drop_reported", verdict="ORPHAN")
    assert outcome(house.alice.settled(known.name)) == ("DISPENSED", "BOARD_ACK")
    with refused("DROP_NOT_FOUND"):
        house.alice.get(forgotten.name)
    assert id_of(forgotten) in house.admin("alarms")
    house.untruths.unpaid["d/1"] += 2


def test_fault_37_a_wiped_journal_proves_nothing(house: House) -> None:
    drop, agent = house.turning(SHORT_S), house.agents["d"]
    agent.kill()
    for file in house.folder.glob("d.journal*"):
        file.unlink()
    restart_agent(house)
    assert outcome(house.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
    alarms = house.admin("alarms")
    assert "JOURNAL_REPLACED" in alarms
    assert id_of(drop) in alarms
    house.resolve(drop)
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_37_an_old_copy_of_the_journal_proves_nothing(house: House) -> None:
    agent, journal = house.agents["d"], house.folder / "d.journal"
    agent.stop()
    old = journal.read_bytes()
    restart_agent(house)
    house.alice.drop("d/1")
    drop = house.turning(SHORT_S)
    agent.kill()
    journal.write_bytes(old)
    restart_agent(house)
    assert outcome(house.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
    house.resolve(drop)
    wait_until(lambda: not house.boards["d"].counts()["motor_running"], "the motor stands")
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"
