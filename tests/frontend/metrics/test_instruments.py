"""What is counted while drops pass, on the real use cases and database."""

import pytest

from drink_frontend.domain.drop import Cause, State, Verdict
from drink_frontend.domain.entities import Account
from drink_frontend.metrics import instruments
from drink_frontend.metrics.instruments import OTHER, Metrics
from drink_frontend.usecases.refunds import RefundOrder
from tests.support.bench import Bench
from tests.support.ids import ANN


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample; 0 if there is none."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


def drops(metrics: Metrics, outcome: str, cause: str, machine: str = "d") -> float:
    return value(metrics, "drink_drops_total", machine=machine, outcome=outcome, cause=cause)


def stage(metrics: Metrics, name: str) -> tuple[float, float]:
    """How many drops passed a stage, and the seconds of all of them."""
    count, total = (
        value(metrics, f"drink_drop_seconds_{each}", stage=name) for each in ("count", "sum")
    )
    return count, total


async def test_each_stage_of_a_drop_is_timed_by_the_monotonic_clock(bench: Bench) -> None:
    metrics = bench.metrics
    drop = await bench.place()
    bench.clock.pass_s(2)
    bench.clock.wall_ms -= 3_600_000  # somebody sets the clock back
    await bench.taken()
    bench.clock.pass_s(3)
    await bench.report(drop)
    assert stage(metrics, "queued") == (1, 2)
    assert stage(metrics, "motor") == (1, 3)
    assert stage(metrics, "settling") == (1, 0)
    assert stage(metrics, "total") == (1, 5)
    assert value(metrics, "drink_drops_placed_total", machine="d") == 1
    assert drops(metrics, "dispensed", "board_ack") == 1
    assert value(metrics, "drink_agent_reports_total", verdict="moved") == 1


async def test_a_repeated_result_and_a_refund_are_not_another_drop(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.report(drop)
    await bench.report(drop)
    root = await bench.account("root")
    await bench.drops.refund(
        root, RefundOrder(request_id="back", drop_id=drop.id, reason="it was warm")
    )
    assert drops(bench.metrics, "dispensed", "board_ack") == 1
    assert value(bench.metrics, "drink_agent_reports_total", verdict="repeated") == 1
    assert stage(bench.metrics, "total")[0] == 1


async def test_an_unknown_drop_is_counted_once_and_again_when_it_is_settled(bench: Bench) -> None:
    drop = await bench.unknown()
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_LOST, revision=2)
    assert drops(bench.metrics, "unknown", "board_silent") == 1
    assert drops(bench.metrics, "unknown", "board_lost") == 0
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=3)
    assert drops(bench.metrics, "dispensed", "board_ack_late") == 1
    assert stage(bench.metrics, "total")[0] == 1


async def test_a_returned_drop_is_timed_from_its_last_dispatch(bench: Bench) -> None:
    drop = await bench.dispatched()
    bench.clock.pass_s(5)
    await bench.returned(drop)
    await bench.taken()
    bench.clock.pass_s(1)
    await bench.report(drop)
    assert stage(bench.metrics, "motor") == (1, 1)
    assert value(bench.metrics, "drink_drops_placed_total", machine="d") == 1


async def test_a_scheduled_drop_is_in_the_queue_from_its_time_on(bench: Bench) -> None:
    await bench.place(delay_s=100)
    bench.clock.pass_s(100)
    await bench.deadlines.look()
    bench.clock.pass_s(4)
    await bench.taken()
    assert stage(bench.metrics, "queued") == (1, 4)
    assert value(bench.metrics, "drink_drops_placed_total", machine="d") == 1


async def test_a_report_of_no_drop_is_an_orphan(bench: Bench) -> None:
    await bench.report("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert value(bench.metrics, "drink_agent_reports_total", verdict="orphan") == 1


async def test_turns_are_counted_with_their_size_and_time(bench: Bench) -> None:
    before = value(bench.metrics, "drink_storage_turn_units_count", work="write")
    await bench.place()
    assert value(bench.metrics, "drink_storage_turn_units_count", work="write") == before + 1
    assert value(bench.metrics, "drink_storage_turn_seconds_sum", work="write") > 0


async def test_only_so_many_drops_are_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "OPEN_MAX", 1)
    first = await bench.place("r1", machine="d")
    second = await bench.place("r2", machine="ld")
    bench.clock.pass_s(1)
    for drop in (first, second):
        await bench.taken(drop.machine)
        await bench.report(drop)
    # Each has made the other one forgotten: they are counted and not timed.
    assert drops(bench.metrics, "dispensed", "board_ack", "d") == 1
    assert drops(bench.metrics, "dispensed", "board_ack", "ld") == 1
    assert stage(bench.metrics, "total")[0] == 0


def test_machines_above_the_limit_share_a_label() -> None:
    metrics = Metrics(machines_max=2)
    assert [metrics.machine(name) for name in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_every_verdict_has_a_series_from_the_start() -> None:
    registry = Metrics().registry
    verdicts = [*(verdict.lower() for verdict in Verdict), "orphan"]
    for verdict in verdicts:
        assert registry.get_sample_value("drink_agent_reports_total", {"verdict": verdict}) == 0


def test_calls_are_counted_by_method_and_code() -> None:
    metrics = Metrics()
    drop = metrics.method("/drink.v1.DropService/Drop", timed=True)
    watch = metrics.method("/drink.v1.MachineService/WatchMachines", timed=False)
    drop.ended("OK", 0.2)
    drop.ended("OK", 0.3)
    watch.ended("CANCELLED", 100)
    name = "DropService/Drop"
    assert value(metrics, "drink_rpc_calls_total", method=name, code="OK") == 2
    assert value(metrics, "drink_rpc_seconds_sum", method=name) == pytest.approx(0.5)
    other = "MachineService/WatchMachines"
    assert value(metrics, "drink_rpc_calls_total", method=other, code="CANCELLED") == 1
    assert value(metrics, "drink_rpc_seconds_count", method=other) == 0


def test_a_timer_is_never_early() -> None:
    metrics = Metrics()
    metrics.lag(-1)
    assert value(metrics, "drink_event_loop_lag_seconds_sum") == 0


async def test_nobody_is_named(bench: Bench) -> None:
    account: Account = await bench.account("ann")
    drop = await bench.place(account=ANN)
    samples = [
        str(sample.labels)
        for family in bench.metrics.registry.collect()
        for sample in family.samples
    ]
    for secret in (account.id, "ann", drop.id, drop.request_id):
        assert not any(f"'{secret}'" in labels for labels in samples)
