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
from tests.integration.house import COUPLE, House, id_of, outcome, refused

LIMIT_S = 30

HEARTBEAT_S = 1
"""Seconds between heartbeats; after three without a word a link is lost."""

PLAN = replace(
    COUPLE,
    frontend={"links": f"heartbeat_interval_s = {HEARTBEAT_S}\ncommand_ttl_s = 1"},
    agent={"link": "backoff_slow_s = 0.5", "log": 'level = "DEBUG"'},
)

REPLACED_S = 6
"""Seconds until a lost link is replaced: the longest wait before a new dial is 2."""

SLOW_S = 0.6
"""Seconds that a motor runs where something is to happen meanwhile."""


def dispatched(house: House) -> Drop:
    """A drop whose command is on its way to the agent of d."""
    drop = house.alice.place("d/1")
    house.frontend.wait_for("drop_dispatched", drop_id=id_of(drop))
    return drop


def assert_dispensed_once(house: House, drop: Drop, runs: int) -> None:
    assert outcome(house.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 1


def test_fault_9_an_agent_finds_its_frontend_again_after_many_refusals(house: House) -> None:
    house.links.refuse()
    house.links.cut()
    house.wait_reach(Machine.REACH_OFFLINE, "d", "ld")
    with refused("MACHINE_OFFLINE"):
        house.alice.drop("d/1")

    def tried() -> bool:
        lost = [each for each in house.agents["d"].events() if each["event"] == "link_lost"]
        return len(lost) >= 4

    wait_until(tried, "the agent of d has dialled in vain")
    house.links.accept()
    house.wait_ready("d", "ld")
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_10_a_command_lost_on_its_way_is_sent_again(house: House) -> None:
    runs = house.runs("d")
    house.links.stall(Way.DOWN)
    drop = dispatched(house)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)
    house.agents["d"].wait_for("drop_not_received", drop_id=id_of(drop))


def test_fault_11_a_cut_after_the_command_arrived_does_not_repeat_it(house: House) -> None:
    runs = house.runs("d")
    house.links.stall(Way.UP)
    drop = dispatched(house)
    house.wait_for_motor("d", runs + 1)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)


def test_fault_12_a_cut_before_the_result_delays_it(house: House) -> None:
    runs = house.runs("d")
    drop = house.turning(SLOW_S)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)


def test_fault_13_a_result_whose_acknowledgement_is_lost_counts_once(house: House) -> None:
    runs = house.runs("d")
    drop = house.turning(SLOW_S)
    house.links.stall(Way.DOWN)
    assert_dispensed_once(house, drop, runs)
    house.links.cut()
    drop_id = id_of(drop)
    house.frontend.wait_for("drop_reported", drop_id=drop_id, verdict="REPEATED")
    house.agents["d"].wait_for("drop_acknowledged", drop_id=drop_id)


def test_fault_14_a_half_open_link_is_noticed_by_both_and_the_drop_is_sent_again(
    house: House,
) -> None:
    runs = house.runs("d")
    house.links.stall()
    drop = dispatched(house)
    house.frontend.wait_for("link_lost", machine="d")
    house.agents["d"].wait_for("link_lost", reason="SILENT")
    assert_dispensed_once(house, drop, runs)


@pytest.mark.parametrize(
    ("way", "who"),
    [
        (Way.UP, lambda house: house.frontend.wait_for("link_lost", machine="d")),
        (Way.DOWN, lambda house: house.agents["d"].wait_for("link_lost", reason="SILENT")),
    ],
)
def test_fault_15_a_link_stalled_in_one_direction_is_replaced(
    house: House, way: Way, who: Callable[[House], object]
) -> None:
    """By one on a connection of its own, for the old one still stands."""
    runs = house.runs("d")
    house.links.stall(way)
    drop = dispatched(house)
    who(house)
    house.alice.answered(drop.name, limit_s=REPLACED_S)
    assert_dispensed_once(house, drop, runs)


def test_fault_16_a_command_delayed_beyond_its_ttl_runs_at_most_once(house: House) -> None:
    runs = house.runs("d")
    house.links.delay(1.5, Way.DOWN)
    drop = dispatched(house)
    assert_dispensed_once(house, drop, runs)
    house.links.cut()


def test_fault_17_of_two_streams_of_one_agent_only_the_newer_gives_commands(house: House) -> None:
    runs = house.runs("d")
    first, second = house.turning(SLOW_S), house.alice.place("d/2")
    house.links.cut(Way.DOWN)  # the agent is told, the frontend is not
    for drop in (first, second):
        assert outcome(house.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 2
    house.frontend.wait_for("link_closed", machine="d")


def test_fault_18_of_two_agents_of_one_machine_one_works_and_nothing_is_dispensed_twice(
    house: House,
) -> None:
    """The second one has another journal, which proves nothing about the first one's drop."""
    runs = house.runs("d")
    house.write_agent("d", "impostor")
    impostor = Process(
        "impostor", ["drink-machine-agent", "--config=impostor.toml", "run"], house.folder
    )
    drop = house.turning(3)
    impostor.start()
    try:
        house.agents["d"].wait_for("link_lost", reason="LINK_SUPERSEDED")
        assert outcome(house.alice.answered(drop.name)) == ("UNKNOWN", "JOURNAL_REPLACED")
        assert outcome(house.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    finally:
        impostor.stop()
    assert house.runs("d") == runs + 1
    assert id_of(drop) in house.admin("alarms")
    house.wait_ready("d")
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"
    alarms = house.admin("alarms")
    assert alarms.count("TWO_AGENTS") == 1
    assert "127.0.0.1" in alarms


def test_fault_19_an_agent_with_another_machines_token_is_turned_away(house: House) -> None:
    config = house.write_agent("ld", "thief")
    config.write_text(config.read_text().replace("/ld.token", "/d.token"))
    thief = Process("thief", ["drink-machine-agent", "--config=thief.toml", "run"], house.folder)
    thief.start()
    try:
        thief.wait_for("link_lost", reason="NOT_OWNER")
        for slot in ("d/1", "ld/1"):
            assert outcome(house.alice.drop(slot)) == ("DISPENSED", "BOARD_ACK")
    finally:
        thief.stop()
    assert not any(event["event"] == "link_up" for event in thief.events())


def test_fault_20_who_pings_without_end_is_cut_off_and_nobody_else(house: House) -> None:
    options = [
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.enable_retries", 0),
    ]
    with grpc.insecure_channel(house.address, options) as channel:
        watch = MachineServiceStub(channel).WatchMachines(WatchMachinesRequest(), timeout=LIMIT_S)
        with pytest.raises(grpc.RpcError, match=r"(?i)too.many.pings"):
            for _ in watch:
                pass
    assert outcome(house.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")


def test_fault_22_an_older_agent_is_told_so_and_a_newer_one_is_served(house: House) -> None:
    token = (house.folder / "ld.token").read_text().strip()
    hello = Hello(machine="machines/ld", boot_id="b", journal_id="j", protocol_version=0)

    def connect() -> ConnectResponse:
        with grpc.insecure_channel(house.address) as channel:
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
    house.agents["ld"].wait_for("link_up")
