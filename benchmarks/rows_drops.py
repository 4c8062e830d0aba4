"""Rows about drops: throughput, latency, disk syncs, and the tail beside a silent board."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from benchmarks.buyers import Buyers, buyers
from benchmarks.measure import Side, alternate
from benchmarks.sizes import Sizes
from benchmarks.systems import MACHINES, Target, relay, running_system
from benchmarks.table import Goal, Row
from tests.integration.together import AGENT_SYNCS, STEPS, commits

AT_ONCE = 64
"""Drops that are under way at the same time."""

BESIDE_SILENT = 16
"""Drops under way beside a silent board: busy, but not so that the CPU alone makes the tail."""

WARM_UP_S = 0.5
"""Seconds of drops before the first that count, so that caches and connections are there."""

LATENCY = {"p50": 1.8, "p99": 2.2}
"""The goals against the durable relay."""

_WHO = ("server", "agents", "client")

UNHURRIED_CHECKPOINT = "checkpoint_pages = 10000000"
"""Lets SQLite's journal grow, so that every commit of a run can be counted in it."""


async def throughput_and_latency(folder: Path, sizes: Sizes) -> list[Row]:
    """Drops per second at 64 at a time, and the latency of one at a time."""
    with ExitStack() as undo:
        _, ours = undo.enter_context(running_system(folder / "frontend"))
        targets = {
            "ours": ours,
            "durable": undo.enter_context(relay("durable_relay", folder / "durable")),
            "bare": undo.enter_context(relay("bare_relay", folder / "bare")),
        }
        many = await _measure(targets, AT_ONCE, sizes)
        single = await _measure(targets, 1, sizes)
    return [*_throughput_rows(many), *_latency_rows(single)]


async def syncs(folder: Path, sizes: Sizes) -> list[Row]:
    """Commits of the frontend for each drop; each syncs the disk once."""
    with running_system(folder / "syncs", {"storage": UNHURRIED_CHECKPOINT}) as (frontend, target):
        log = frontend.database.with_name(f"{frontend.database.name}-wal")
        async with buyers(target) as crowd:
            await crowd.buy(AT_ONCE, WARM_UP_S)
            before = commits(log)
            bought = await crowd.buy(AT_ONCE, sizes.drops_s)
        each = (commits(log) - before) / len(bought.latencies_s)
    note = f"and {AGENT_SYNCS} in each agent's journal, which shares with nobody"
    return [
        Row(
            "disk syncs of the frontend per drop, 64 at a time",
            each,
            "syncs",
            STEPS,
            "one sync per durable step",
            Goal.AT_MOST,
            1 / 4,
            note,
            limited_by="how many units of work wait while a commit syncs",
        )
    ]


async def silent_board(folder: Path, sizes: Sizes) -> list[Row]:
    """The slowest drops of 49 machines, while the board of the fiftieth is silent and is not."""
    silent, *others = MACHINES
    with running_system(folder / "silent", agents=[f"--silent={silent}"]) as (_, target):
        async with buyers(target) as crowd:
            crowd.only(others)
            await crowd.buy(BESIDE_SILENT, WARM_UP_S)

            async def without() -> Mapping[str, float]:
                bought = await crowd.buy(BESIDE_SILENT, sizes.drops_s)
                return {"p50": bought.ms(0.5), "p99": bought.ms(0.99)}

            async def beside() -> Mapping[str, float]:
                # One is at the board, the others wait for it; all outlast the round.
                stalled = list(crowd.ask(silent))
                try:
                    return await without()
                finally:
                    for each in stalled:
                        each.cancel()
                    await asyncio.gather(*stalled, return_exceptions=True)

            measured = await alternate({"without": without, "beside": beside}, sizes.rounds)
    return [
        Row(
            "tail under a stalled machine: p99 of the others' drops, 16 at a time",
            measured["beside"]["p99"],
            "ms",
            measured["without"]["p99"],
            "without it",
            Goal.AT_MOST,
            1.1,
            f"p50 {measured['beside']['p50']:.1f} ms against {measured['without']['p50']:.1f} ms",
            limited_by="the slowest of a round's few hundred drops, which vary by as much",
        )
    ]


async def _measure(
    targets: Mapping[str, Target], at_once: int, sizes: Sizes
) -> dict[str, dict[str, float]]:
    async with AsyncExitStack() as undo:
        sides = {}
        for name, target in targets.items():
            crowd = await undo.enter_async_context(buyers(target))
            await crowd.buy(at_once, WARM_UP_S)
            sides[name] = _side(crowd, target, at_once, sizes.drops_s)
        return await alternate(sides, sizes.rounds)


def _side(crowd: Buyers, target: Target, at_once: int, seconds: float) -> Side:
    async def side() -> Mapping[str, float]:
        server_before, agents_before = target.cpu_s()
        bought = await crowd.buy(at_once, seconds)
        server_after, agents_after = target.cpu_s()
        count = len(bought.latencies_s)
        return {
            "per_second": bought.per_second,
            "p50": bought.ms(0.5),
            "p99": bought.ms(0.99),
            "server_us": (server_after - server_before) / count * 1e6,
            "agents_us": (agents_after - agents_before) / count * 1e6,
            "client_us": bought.client_cpu_s / count * 1e6,
        }

    return side


def _throughput_rows(measured: Mapping[str, Mapping[str, float]]) -> Iterator[Row]:
    what = "drops per second, 64 at a time over 50 machines"
    ours = measured["ours"]
    for kind, goal in (("durable", Goal.AT_LEAST), ("bare", Goal.NONE)):
        reference = measured[kind]
        note = (
            f"CPU of a drop: server {ours['server_us']:.0f} µs against"
            f" {reference['server_us']:.0f}, agents {ours['agents_us']:.0f} against"
            f" {reference['agents_us']:.0f}, buyers {ours['client_us']:.0f} against"
            f" {reference['client_us']:.0f}"
        )
        yield Row(
            what,
            ours["per_second"],
            "/s",
            reference["per_second"],
            f"{kind} relay",
            goal,
            0.5,
            note,
            aim=None if goal is Goal.NONE else 0.6,
            limited_by=_cpu_of(ours, reference),
        )


def _cpu_of(ours: Mapping[str, float], reference: Mapping[str, float]) -> str:
    """What bounds the throughput: the CPU that a drop takes, of whom."""
    sums = [sum(side[f"{who}_us"] for who in _WHO) / 1000 for side in (ours, reference)]
    server = ours["server_us"] / 1000
    return (
        f"CPU of the {len(os.sched_getaffinity(0))} cores that all share: a drop takes"
        f" {sums[0]:.1f} ms, {server:.1f} of them at the frontend, against {sums[1]:.1f} ms;"
        ' "Where the time goes" says for what'
    )


def _latency_rows(measured: Mapping[str, Mapping[str, float]]) -> Iterator[Row]:
    for kind, goal in (("durable", Goal.AT_MOST), ("bare", Goal.NONE)):
        for share in ("p50", "p99"):
            yield Row(
                f"latency of one drop at a time, {share}",
                measured["ours"][share],
                "ms",
                measured[kind][share],
                f"{kind} relay",
                goal,
                LATENCY[share],
                aim=None if goal is Goal.NONE else 1.5,
                limited_by="what a drop costs in CPU, one step after another: "
                f"{measured['ours']['server_us'] / 1000:.1f} ms at the frontend where the relay"
                f" takes {measured[kind]['server_us'] / 1000:.1f}; the stages below say where."
                " Hops and syncs are the relay's too",
            )
