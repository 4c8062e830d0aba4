"""What the network does between agents and frontend, and what becomes of the drops meanwhile."""

from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse, Hello
from drink.v1.machine_link_service_pb2_grpc import MachineLinkServiceStub
from drink.v1.machine_service_pb2 import Machine, WatchMachinesRequest
from drink.v1.machine_service_pb2_grpc import MachineServiceStub
from scripts.processes import Process, wait_until
from scripts.proxy import Way
from tests.integration.audited_system import COUPLE, AuditedSystem, id_of, outcome, refused

LIMIT_S = 30

HEARTBEAT_S = 1
"""Seconds between heartbeats; after three without a word a link is lost."""

ALL_LINES = "repeats_per_minute_max = 10_000"
"""Keeps every log line: these tests lose more links in a minute than the default limit logs."""

PLAN = replace(
    COUPLE,
    frontend={
        "links": f"heartbeat_interval_s = {HEARTBEAT_S}\ncommand_ttl_s = 1",
        "log": f'level = "debug"\n{ALL_LINES}',
    },
    agent={"link": "backoff_slow_s = 0.5", "log": f'level = "DEBUG"\n{ALL_LINES}'},
)

REPLACED_S = 6
"""Seconds until a lost link is replaced: the longest wait before a new dial is 2."""

SLOW_S = 0.6
"""Seconds that a motor runs where something is to happen meanwhile."""


def dispatched(system: AuditedSystem) -> Drop:
    """A drop whose command is on its way to the agent of d."""
    drop = system.alice.place("d/1")
    system.frontend.wait_for("drop_dispatched", drop_id=id_of(drop))
    return drop


def assert_dispensed_once(system: AuditedSystem, drop: Drop, runs: int) -> None:
    assert outcome(system.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


def test_fault_9_an_agent_finds_its_frontend_again_after_many_refusals(
    system: AuditedSystem,
) -> None:
    system.links.refuse()
    system.links.cut()
    system.wait_reach(Machine.REACH_OFFLINE, "d", "ld")
    with refused("MACHINE_OFFLINE"):
        system.alice.drop("d/1")

    def tried() -> bool:
        lost = [each for each in system.agents["d"].events() if each["event"] == "link_lost"]
        return len(lost) >= 4

    wait_until(tried, "the agent of d has dialled in vain")
    system.links.accept()
    system.wait_ready("d", "ld")
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_10_a_command_lost_on_its_way_is_sent_again(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.links.stall(Way.DOWN)
    drop = dispatched(system)
    system.links.cut()
    assert_dispensed_once(system, drop, runs)
    system.agents["d"].wait_for("drop_not_received", drop_id=id_of(drop))


def test_fault_11_a_cut_after_the_command_arrived_does_not_repeat_it(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.links.stall(Way.UP)
    drop = dispatched(system)
    system.wait_for_motor("d", runs + 1)
    system.links.cut()
    assert_dispensed_once(system, drop, runs)


def test_fault_12_a_cut_before_the_result_delays_it(system: AuditedSystem) -> None:
    runs = system.runs("d")
    drop = system.turning(SLOW_S)
    system.links.cut()
    assert_dispensed_once(system, drop, runs)


def test_fault_13_a_result_whose_acknowledgement_is_lost_counts_once(system: AuditedSystem) -> None:
    runs = system.runs("d")
    drop = system.turning(SLOW_S)
    system.links.stall(Way.DOWN)
    assert_dispensed_once(system, drop, runs)
    system.links.cut()
    drop_id = id_of(drop)
    system.frontend.wait_for("drop_reported", drop_id=drop_id, verdict="REPEATED")
    system.agents["d"].wait_for("drop_acknowledged", drop_id=drop_id)


def test_fault_14_a_half_open_link_is_noticed_by_both_and_the_drop_is_sent_again(
    system: AuditedSystem,
) -> None:
    runs = system.runs("d")
    system.links.stall()
    drop = dispatched(system)
    system.frontend.wait_for("link_lost", machine="d")
    system.agents["d"].wait_for("link_lost", reason="SILENT")
    assert_dispensed_once(system, drop, runs)


@pytest.mark.parametrize(
    ("way", "who"),
    [
        (Way.UP, lambda system: system.frontend.wait_for("link_lost", machine="d")),
        (Way.DOWN, lambda system: system.agents["d"].wait_for("link_lost", reason="SILENT")),
    ],
)
def test_fault_15_a_link_stalled_in_one_direction_is_replaced(
    system: AuditedSystem, way: Way, who: Callable[[AuditedSystem], object]
) -> None:
    """By one on a connection of its own, for the old one still stands."""
    runs = system.runs("d")
    system.links.stall(way)
    drop = dispatched(system)
    who(system)
    system.alice.answered(drop.name, limit_s=REPLACED_S)
    assert_dispensed_once(system, drop, runs)


def test_fault_16_a_command_delayed_beyond_its_ttl_runs_at_most_once(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.links.delay(1.5, Way.DOWN)
    drop = dispatched(system)
    assert_dispensed_once(system, drop, runs)
    system.links.cut()


def test_fault_17_of_two_streams_of_one_agent_only_the_newer_gives_commands(
    system: AuditedSystem,
) -> None:
    runs = system.runs("d")
    first, second = system.turning(SLOW_S), system.alice.place("d/2")
    system.links.cut(Way.DOWN)  # the agent is told, the frontend is not
    for drop in (first, second):
        assert outcome(system.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 2
    system.frontend.wait_for("link_closed", machine="d")


def test_fault_18_of_two_agents_of_one_machine_one_works_and_nothing_is_dispensed_twice(
    system: AuditedSystem,
) -> None:
    """The second one has another journal, which proves nothing about the first one's drop."""
    runs = system.runs("d")
    system.write_agent("d", "impostor")
    impostor = Process(
        "impostor", ["drink-machine-agent", "--config=impostor.toml", "run"], system.folder
    )
    drop = system.turning(3)
    impostor.start()
    try:
        system.agents["d"].wait_for("link_lost", reason="LINK_SUPERSEDED")
        assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
        assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    finally:
        impostor.stop()
    assert system.runs("d") == runs + 1
    assert id_of(drop) in system.admin("alarms", "--closed")
    system.wait_ready("d")
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"
    alarms = system.admin("alarms")
    assert alarms.count("TWO_AGENTS") == 1
    assert "127.0.0.1" in alarms


def test_fault_19_an_agent_with_another_machines_token_is_turned_away(
    system: AuditedSystem,
) -> None:
    config = system.write_agent("ld", "thief")
    config.write_text(config.read_text().replace("/ld.token", "/d.token"))
    thief = Process("thief", ["drink-machine-agent", "--config=thief.toml", "run"], system.folder)
    thief.start()
    try:
        thief.wait_for("link_lost", reason="NOT_OWNER")
        for slot in ("d/1", "ld/1"):
            assert outcome(system.alice.drop(slot)) == ("DISPENSED", "BOARD_ACK")
    finally:
        thief.stop()
    assert not any(event["event"] == "link_up" for event in thief.events())


def test_fault_20_who_pings_without_end_is_cut_off_and_nobody_else(system: AuditedSystem) -> None:
    options = [
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.enable_retries", 0),
    ]
    with grpc.insecure_channel(system.address, options) as channel:
        watch = MachineServiceStub(channel).WatchMachines(WatchMachinesRequest(), timeout=LIMIT_S)
        with pytest.raises(grpc.RpcError, match=r"(?i)too.many.pings"):
            for _ in watch:
                pass
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")


def test_fault_22_an_older_agent_is_told_so_and_a_newer_one_is_served(
    system: AuditedSystem,
) -> None:
    token = (system.folder / "ld.token").read_text().strip()
    hello = Hello(machine="machines/ld", boot_id="b", journal_id="j", protocol_version=0)

    def connect() -> ConnectResponse:
        with grpc.insecure_channel(system.address) as channel:
            return next(
                MachineLinkServiceStub(channel).Connect(
                    iter([ConnectRequest(hello=hello)]),
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=LIMIT_S,
                )
            )

    with refused("AGENT_TOO_OLD"):
        connect()
    hello.protocol_version = 99
    assert connect().welcome.epoch
    system.agents["ld"].wait_for("link_up")
