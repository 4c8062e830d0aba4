"""Rows about frontends on PostgreSQL: what a turn of writing costs where the server is far away."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.buyers import Buyers, buyers
from benchmarks.measure import Side, alternate, percentile, thread_cpu_s
from benchmarks.postgres_turns import TurnCounts, Turns
from benchmarks.proxy import Control
from benchmarks.rows_drops import AT_ONCE, WARM_UP_S
from benchmarks.sizes import Sizes
from benchmarks.systems import Target, counting_proxy, postgres_system
from benchmarks.table import Goal, Row
from tests.support.postgres import PostgresServer, why_missing

DELAYS_MS = (0, 1, 5)
"""Milliseconds that a round trip to the server takes longer than on one machine."""

COUNTED_MS = 1
"""The delay at which round trips are counted: an answer never overtakes what follows a question."""

WRITER = "storage-writer"
"""The thread of a frontend that does the work of its turns, and nothing else."""

MOST_TURNS = 0.95
"""The share of turns that the row of round trips is about: some do more besides drops."""

Numbers = dict[str, dict[str, float]]
"""By side, as `alternate` returns them."""


@dataclass(frozen=True, slots=True)
class Load:
    """What buyers do in a round.

    Attributes:
        at_once: Drops that are under way at the same time.
        delay_ms: Milliseconds that a round trip to the server takes longer.
    """

    at_once: int
    delay_ms: int


async def turns(folder: Path, sizes: Sizes) -> list[Row]:
    """Drops on PostgreSQL through a proxy that delays; no rows where PostgreSQL is missing."""
    if reason := why_missing():
        print(f"postgres: not measured, {reason}", file=sys.stderr, flush=True)
        return []
    measured: dict[int, Numbers] = {}
    with (
        PostgresServer(durable=True, shared_buffers="128MB") as server,
        counting_proxy(folder, Turns, server.port) as (port, control),
    ):
        for frontends in sizes.frontends:
            database = f"drink{frontends}"
            server.create(database)
            url = f"{server.url_of(database, port)}?sslmode=disable&gssencmode=disable"
            control.delay(0)
            with postgres_system(folder / database, url, frontends) as target:
                measured[frontends] = await _measure(target, control, sizes)
    first, *others = sizes.frontends
    rows = list(_turn_rows(measured[first]))
    rows += _delay_rows(measured[first])
    for frontends in others:
        rows += _frontends_rows(frontends, measured[first], measured[frontends])
    return rows


async def _measure(target: Target, control: Control, sizes: Sizes) -> Numbers:
    """One side for each delay with many drops at once, and one with one at a time."""
    async with AsyncExitStack() as undo:
        crowd = await undo.enter_async_context(buyers(target))
        await crowd.buy(AT_ONCE, WARM_UP_S)
        loads = {f"{delay_ms} ms": Load(AT_ONCE, delay_ms) for delay_ms in DELAYS_MS}
        loads["single"] = Load(1, COUNTED_MS)
        sides = {
            name: _side(crowd, target, control, load, sizes.drops_s) for name, load in loads.items()
        }
        return await alternate(sides, sizes.postgres_rounds)


def _side(crowd: Buyers, target: Target, control: Control, load: Load, seconds: float) -> Side:
    async def side() -> Mapping[str, float]:
        control.delay(load.delay_ms / 1000)
        turn_before, (cpu_before, _) = thread_cpu_s(target.servers, WRITER), target.cpu_s()
        bought = await crowd.buy(load.at_once, seconds)
        turn_after, (cpu_after, _) = thread_cpu_s(target.servers, WRITER), target.cpu_s()
        counts = TurnCounts(**control.delay(0))
        count = len(bought.latencies_s)
        return {
            "per_second": bought.per_second,
            "p50": bought.ms(0.5),
            "turns": len(counts.round_trips) / count,
            "round_trips": percentile(counts.round_trips, MOST_TURNS),
            "most_round_trips": max(counts.round_trips),
            "round_trips_of_drop": sum(counts.round_trips) / count,
            "held_us": counts.held_s / count * 1e6,
            "turn_cpu_us": (turn_after - turn_before) / count * 1e6,
            "cpu_us": (cpu_after - cpu_before) / count * 1e6,
        }

    return side


def _turn_rows(measured: Numbers) -> Iterator[Row]:
    many, single = measured[f"{COUNTED_MS} ms"], measured["single"]
    for what, numbers in (("one drop at a time", single), (f"{AT_ONCE} drops at a time", many)):
        yield Row(
            f"round trips of a turn on PostgreSQL, {what}",
            numbers["round_trips"],
            "",
            goal=Goal.AT_MOST,
            limit=5,
            note=f"of 19 turns in 20; at most {numbers['most_round_trips']:.0f};"
            f" {numbers['round_trips_of_drop']:.3g} a drop in {numbers['turns']:.2g} turns",
            limited_by="rows that no unit of work has named, each loaded when it is asked for",
        )
    near = measured[f"{DELAYS_MS[0]} ms"]
    yield Row(
        f"time that a turn on PostgreSQL is held, per drop, {AT_ONCE} at a time",
        near["held_us"],
        "µs",
        goal=Goal.AT_MOST,
        limit=400,
        note=", ".join(
            f"{measured[f'{each} ms']['held_us']:,.0f} µs at {each} ms a round trip"
            for each in DELAYS_MS[1:]
        ),
        aim=200,
        limited_by=f"of it {near['turn_cpu_us']:,.0f} µs are CPU of the writer's thread and 500 to"
        " 800 of the server, and both wait with event loop, agents and buyers for the same"
        f" {len(os.sched_getaffinity(0))} cores, the writer for the interpreter too",
    )
    yield Row(
        f"CPU of a drop inside the turn on PostgreSQL, {AT_ONCE} at a time",
        near["turn_cpu_us"],
        "µs",
        near["cpu_us"],
        "its whole CPU at the frontend",
        Goal.AT_MOST,
        0.3,
        limited_by="statements, rows made into values and back, and what use cases decide, all of"
        " which happens in the turn",
    )


def _delay_rows(measured: Numbers) -> Iterator[Row]:
    near, *far = DELAYS_MS
    reference = measured[f"{near} ms"]
    for delay_ms, limit in zip(far, (0.6, 0.25), strict=True):
        numbers = measured[f"{delay_ms} ms"]
        yield Row(
            f"drops per second on PostgreSQL {delay_ms} ms away, {AT_ONCE} at a time",
            numbers["per_second"],
            "/s",
            reference["per_second"],
            f"{near} ms away",
            Goal.AT_LEAST,
            limit,
            f"p50 {numbers['p50']:,.0f} ms against {reference['p50']:,.0f}",
            limited_by=f"{numbers['turns']:.2g} turns a drop of three round trips and more, which"
            f" {AT_ONCE} drops share: no more are under way",
        )


def _frontends_rows(frontends: int, one: Numbers, several: Numbers) -> Iterator[Row]:
    for delay_ms in DELAYS_MS:
        ours, reference = several[f"{delay_ms} ms"], one[f"{delay_ms} ms"]
        yield Row(
            f"drops per second of {frontends} frontends on PostgreSQL {delay_ms} ms away,"
            f" {AT_ONCE} at a time",
            ours["per_second"],
            "/s",
            reference["per_second"],
            "one frontend",
            note=f"a turn is held {ours['held_us']:,.0f} µs per drop against"
            f" {reference['held_us']:,.0f}; CPU of a drop {ours['cpu_us']:,.0f} µs against"
            f" {reference['cpu_us']:,.0f}",
        )
