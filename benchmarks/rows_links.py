"""Rows about idle agents: what their links cost the frontend."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.idle_links import idle_links
from benchmarks.measure import cost
from benchmarks.sizes import Sizes
from benchmarks.systems import Frontend, relay_alone
from benchmarks.table import Goal, Row

SETTLE_S = 3
"""Seconds after the last link is open until the memory is read and the heartbeats are counted."""

FIRST_SHARE = 10
"""One in so many links is opened before the memory is read for the first time: what the first
links cost once for all is not what each costs."""


async def idle(folder: Path, sizes: Sizes) -> list[Row]:
    """Memory of an idle link, and CPU for the heartbeats of all."""
    frontend = Frontend(folder / "links")
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
        ),
        Row(
            f"{what}: CPU for their heartbeats",
            ours["cores"],
            "cores",
            goal=Goal.AT_MOST,
            limit=0.1,
            note=f"{heartbeats_s:.0f} heartbeats a second; bare relay {bare['cores']:.3f}",
        ),
    ]


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
