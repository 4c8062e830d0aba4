"""Rows about agents' links: what idle ones cost the frontend, and the messages of a drop."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from operator import add
from pathlib import Path

from benchmarks.buyers import buyers
from benchmarks.idle_links import idle_links
from benchmarks.link_messages import MessageCounts
from benchmarks.measure import cost
from benchmarks.proxy import Control
from benchmarks.rows_drops import AT_ONCE, WARM_UP_S
from benchmarks.sizes import Sizes
from benchmarks.systems import Frontend, Target, counted_system, relay_alone
from benchmarks.table import Goal, Row

SETTLE_S = 3
"""Seconds after the last link is open until the memory is read and the heartbeats are counted."""

ALL_AT_ONCE = {
    "rpc.pace": "stranger_calls_per_s = 100_000\nstranger_calls_burst = 100_000",
    "rpc.connections": "max = 16_384\nper_address_max = 16_384\nopening.pause_max_s = 0",
}
"""Settings for the links of thousands of machines at one address, opened as fast as they can be."""

FIRST_SHARE = 10
"""One in so many links is opened before the memory is read for the first time: what the first
links cost once for all is not what each costs."""


async def idle(folder: Path, sizes: Sizes) -> list[Row]:
    """Memory of an idle link, and CPU for the heartbeats of all."""
    frontend = Frontend(folder / "links", ALL_AT_ONCE)
    frontend.install()
    tokens = frontend.add_machines([f"x{number}" for number in range(sizes.links)])
    with ExitStack() as undo:
        undo.callback(frontend.process.kill)
        frontend.start()
        bare_relay = undo.enter_context(relay_alone("bare_relay", folder / "bare"))
        # Both at the same time: neither is busy, and what else the machine does hits both.
        ours, bare = await asyncio.gather(
            _measure(frontend.address, frontend.process.pid, tokens, sizes.links_s),
            _measure(bare_relay.addresses[0], bare_relay.servers[0], tokens, sizes.links_s),
        )
    what = f"idle agent links, {sizes.links:,} on one frontend"
    heartbeats_s = sizes.links / 10
    return [
        Row(
            f"{what}: memory each",
            ours["kib"],
            "KiB",
            bare["kib"],
            "bare relay",
            Goal.AT_MOST,
            1.5,
            limited_by="gRPC's connection, which is the bare relay's too, and what a link and its"
            " call keep",
        ),
        Row(
            f"{what}: CPU for their heartbeats",
            ours["cores"],
            "cores",
            goal=Goal.AT_MOST,
            limit=0.1,
            note=f"{heartbeats_s:.0f} heartbeats a second; bare relay {bare['cores']:.3f}",
            limited_by="gRPC's own cost of a message and of its answer, which the bare relay has"
            " too; the rest is a link's own steps for each, and the looks at all connections and"
            " machines",
        ),
    ]


async def messages(folder: Path, sizes: Sizes) -> list[Row]:
    """Messages on the links for each drop, with boards of which one can be busy all the time."""
    rows = []
    for motor_s in sizes.motors_s:
        with counted_system(folder / f"motors-{motor_s}", motor_s) as (control, target):
            rows.append(await _messages_row(control, target, motor_s, sizes.drops_s))
    return rows


async def _messages_row(control: Control, target: Target, motor_s: float, seconds: float) -> Row:
    # From when every machine has had a drop; the last ones of a run are acknowledged alone. Motors
    # start at about the same times, so that only whole turns of all machines count all messages.
    before_s = WARM_UP_S + 2.25 * motor_s
    counted_s = max(seconds, 4 * motor_s)
    async with buyers(target) as crowd:
        buying = asyncio.create_task(crowd.buy(AT_ONCE, before_s + counted_s))
        await asyncio.sleep(before_s)
        control.delay(0)
        began = time.time()
        await asyncio.sleep(counted_s)
        counts = MessageCounts(**control.delay(0))
        ended = time.time()
        bought = await buying
    answered = map(add, bought.asked_at, bought.latencies_s)
    drops = sum(began < at <= ended for at in answered)
    boards = f"motors of {motor_s:g} s" if motor_s else "boards that answer at once"
    return Row(
        f"messages on the link per drop, {boards}, {AT_ONCE} at a time",
        (counts.from_agents + counts.to_agents) / drops,
        "",
        goal=Goal.AT_MOST,
        limit=3 if motor_s else 2.5,
        note=f"{counts.to_agents / drops:.2f} to the agent,"
        f" {counts.from_agents / drops:.2f} from it",
        limited_by="a command and a result are two; acknowledgements and a journal's progress"
        " that nothing takes along within their waits are the rest",
    )


async def _measure(
    address: str, server: int, tokens: Mapping[str, str], seconds: float
) -> dict[str, float]:
    names = list(tokens)
    first = names[: len(names) // FIRST_SHARE]
    rest = {name: tokens[name] for name in names[len(first) :]}
    async with idle_links(address, {name: tokens[name] for name in first}):
        await asyncio.sleep(SETTLE_S)
        before = cost(server).memory_kib
        async with idle_links(address, rest):
            await asyncio.sleep(SETTLE_S)
            started = cost(server)
            await asyncio.sleep(seconds)
            ended = cost(server)
    return {
        "kib": (started.memory_kib - before) / len(rest),
        "cores": (ended.cpu_s - started.cpu_s) / seconds,
    }
