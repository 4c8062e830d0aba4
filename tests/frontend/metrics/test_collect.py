"""The samples of a scrape, from what was measured."""

import pytest
from prometheus_client.core import Metric

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.house import House, OpenDrops
from drink_frontend.domain.stock import Sensor
from drink_frontend.metrics.collect import SLICE, LinkFacts, Snapshot, families
from drink_frontend.metrics.specs import SECTIONS
from tests.support.entities import make_machine, make_slot

NOW = 1_800_000_000_000
STATS = AgentStats(
    uptime_s=61,
    links_lost=1,
    board_losses=2,
    board_connects=3,
    board_timeouts=4,
    motor_times=(5, 6, 0, 0, 0, 0, 0, 0, 1),
    motor_seconds=20.5,
    journal_bytes=7,
    disk_free_bytes=8,
    disk_bytes=9,
    memory_bytes=10,
)


def samples(snapshot: Snapshot) -> dict[tuple[str, tuple[str, ...]], float]:
    """The value of each sample, by its name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families(snapshot)
        for sample in family.samples
    }


def test_a_house() -> None:
    slots = [
        make_slot("d", 1, "Coke", 50, 3, low_stock_mark=5),
        make_slot("d", 2, "Tea", 30, 4, sensor=Sensor.EMPTY, enabled=False),
    ]
    house = House(
        machines=[
            make_machine("d", "D", slots, reach=Reach.READY, temperature_celsius=4.5),
            make_machine("ld", "LD", [], reach=Reach.BOARD_DOWN, temperature_celsius=20.0),
            make_machine("s", "S", [], enabled=False),
        ],
        machines_total=7,
        drops={
            State.UNKNOWN: OpenDrops(2, 110, NOW - 90_000),
            State.RESERVED: OpenDrops(1, 50, NOW + 5_000),
        },
    )
    found = samples(Snapshot("1.2.3", NOW, house=house))
    assert found["drink_machines", ()] == 7
    assert found["drink_machines_unlisted", ()] == 4
    assert found["drink_machine_linked", ("d",)] == found["drink_machine_linked", ("ld",)] == 1
    assert found["drink_machine_linked", ("s",)] == found["drink_machine_enabled", ("s",)] == 0
    assert found["drink_machine_ready", ("d",)] == 1
    assert found["drink_machine_ready", ("ld",)] == 0
    assert found["drink_machine_temperature_celsius", ("d",)] == 4.5
    # What a thermometer said that can no longer be read is not its temperature.
    assert ("drink_machine_temperature_celsius", ("ld",)) not in found
    assert found["drink_slot_available_items", ("d", "1")] == 3
    assert found["drink_slot_available_items", ("d", "2")] == 0
    assert found["drink_slot_enabled", ("d", "2")] == 0
    assert found["drink_slot_low_stock_mark_items", ("d", "1")] == 5
    assert ("drink_slot_low_stock_mark_items", ("d", "2")) not in found
    assert found["drink_drops_open", ("unknown",)] == 2
    assert found["drink_drops_open", ("dispatched",)] == 0
    assert found["drink_credits_held", ("unknown",)] == 110
    assert found["drink_drops_unknown_oldest_seconds", ()] == 90
    # A clock that was set back makes no negative age.
    assert found["drink_drops_waiting_oldest_seconds", ()] == 0
    assert found["drink_house_read_success", ()] == 1


def test_without_the_database_the_rest_is_there() -> None:
    found = samples(Snapshot("1.2.3", NOW, links_total=1, commits=5, serving=True))
    assert found["drink_house_read_success", ()] == 0
    assert found["drink_storage_commits_total", ()] == 5
    assert found["drink_links", ()] == found["drink_serving", ()] == 1
    assert not any(name.startswith(("drink_machine", "drink_slot")) for name, _ in found)


def test_an_agent() -> None:
    links = [LinkFacts("d", True, "0.2.0.dev0", STATS), LinkFacts("ld", False, "0.1.0", None)]
    found = samples(Snapshot("1.2.3", NOW, links=links, links_total=2))
    assert found["drink_link_board_ready", ("d",)] == 1
    assert found["drink_link_board_ready", ("ld",)] == 0
    assert found["drink_agent_info", ("d", "0.2.0.dev0")] == 1
    assert found["drink_agent_uptime_seconds", ("d",)] == 61
    assert found["drink_agent_links_lost_total", ("d",)] == 1
    assert found["drink_agent_board_losses_total", ("d",)] == 2
    assert found["drink_agent_board_connects_total", ("d",)] == 3
    assert found["drink_agent_board_timeouts_total", ("d",)] == 4
    assert found["drink_agent_motor_seconds_bucket", ("d", "0.5")] == 5
    assert found["drink_agent_motor_seconds_bucket", ("d", "10.0")] == 11
    assert found["drink_agent_motor_seconds_bucket", ("d", "+Inf")] == 12
    assert found["drink_agent_motor_seconds_count", ("d",)] == 12
    assert found["drink_agent_motor_seconds_sum", ("d",)] == 20.5
    assert found["drink_agent_journal_bytes", ("d",)] == 7
    assert found["drink_agent_disk_free_bytes", ("d",)] == 8
    assert found["drink_agent_disk_bytes", ("d",)] == 9
    assert found["drink_agent_memory_bytes", ("d",)] == 10
    # An agent that tells nothing, as those before 0.2.0, has none of these.
    assert ("drink_agent_uptime_seconds", ("ld",)) not in found


@pytest.mark.parametrize("version", ['"}\nx 1', "", "v" * 64, "ünïcode", "0" * 33])
def test_what_an_agent_says_is_no_label_unless_it_is_a_version(version: str) -> None:
    found = samples(Snapshot("1.2.3", NOW, links=[LinkFacts("d", True, version, None)]))
    assert found["drink_agent_info", ("d", "unknown")] == 1


def test_ten_thousand_machines_come_in_small_parts() -> None:
    machines = [
        make_machine(f"m{number}", "M", [make_slot(f"m{number}", 1, "Coke", 50, 3)])
        for number in range(10_000)
    ]
    links = [LinkFacts(machine.name, True, "1.0", STATS) for machine in machines]
    house = House(machines, len(machines), {})
    parts = list(families(Snapshot("1.2.3", NOW, links=links, house=house)))
    assert max(len(part.samples) for part in parts) <= SLICE + SLICE // 9 * 2
    assert sum(len(part.samples) for part in parts) > 150_000


def test_round_trips_are_there_where_a_server_is() -> None:
    found = samples(Snapshot("1", NOW, round_trips={"write": 7, "read": 2}))
    assert found["drink_storage_round_trips_total", ("write",)] == 7
    assert found["drink_storage_round_trips_total", ("read",)] == 2
    assert not any("round_trips" in name for name, _ in samples(Snapshot("1", NOW)))


def test_each_measured_metric_is_in_the_list_of_metrics() -> None:
    house = House([make_machine("d", "D", [], reach=Reach.READY)], 1, {})
    snapshot = Snapshot("1", NOW, [LinkFacts("d", True, "1", STATS)], 1, house)
    listed = {spec.name.removesuffix("_total"): spec for _, section in SECTIONS for spec in section}
    parts: list[Metric] = list(families(snapshot))
    assert {part.name for part in parts} <= listed.keys()
    assert all(part.documentation == listed[part.name].help for part in parts)
