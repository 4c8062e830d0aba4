"""Where the time of one drop goes: its stages, from what the services log of it if told to."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.buyers import Bought, buyers
from benchmarks.rows_drops import WARM_UP_S
from benchmarks.sizes import Sizes
from benchmarks.systems import running_system
from drink.v1.drop_service_pb2 import DropResponse

AGENT_CLOCK_S = 0.0005
"""Seconds that the agent's stamps are early on average: they are cut to milliseconds."""

SLOWEST_SHARE = 0.05
"""Share of drops, the slowest, that are left out: a few long ones would colour every mean."""

MARKS = (
    "asked",
    "drop_dispatched",
    "drop_commanded",
    "drop_result",
    "drop_reported",
    "answered",
)
"""Moments of a drop in their order; those in the middle are events of the logs."""

BETWEEN = (
    "frontend: authenticate, reserve and dispatch in one commit",
    "link to the agent, which appends ACCEPTED and COMMANDED",
    "agent: sync, board (which answers at once), outcome",
    "agent: sync; link to the frontend, which settles and commits",
    "frontend: answer",
)
"""What happens between one moment and the next."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        what: What happens in it.
        ms: How long it takes, the mean over drops.
    """

    what: str
    ms: float


async def measure(folder: Path, sizes: Sizes) -> list[Stage]:
    """The stages of one drop at a time, by the logs of a real system."""
    log = {"log": 'level = "debug"'}
    with running_system(folder / "stages", log, ["--log-level=DEBUG"]) as (frontend, target):
        async with buyers(target) as crowd:
            await crowd.buy(1, WARM_UP_S)
            bought = await crowd.buy(1, sizes.drops_s)
        events = [*frontend.process.events(), *_agents_events(frontend.folder)]
    return stages(moments(bought, events))


def moments(bought: Bought, events: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The moments of each drop, in seconds since the epoch; of those that have them all."""
    by_drop: dict[str, dict[str, float]] = {}
    for answer, asked_at, latency_s in zip(
        bought.answers, bought.asked_at, bought.latencies_s, strict=True
    ):
        name = DropResponse.FromString(answer).drop.name.removeprefix("drops/")
        by_drop[name] = {"asked": asked_at, "answered": asked_at + latency_s}
    for event in events:
        found = by_drop.get(event.get("drop_id", ""))
        if found is None or event["event"] not in MARKS:
            continue
        if "timestamp" in event:
            found[event["event"]] = _seconds(event["timestamp"])
        else:
            found[event["event"]] = _seconds(event["time"]) + AGENT_CLOCK_S
    return [found for found in by_drop.values() if len(found) == len(MARKS)]


def stages(drops: Sequence[Mapping[str, float]]) -> list[Stage]:
    """The mean length of each stage."""
    by_length = sorted(drops, key=lambda drop: drop["answered"] - drop["asked"])
    usual = by_length[: max(1, round(len(by_length) * (1 - SLOWEST_SHARE)))]
    return [
        Stage(what, statistics.fmean(drop[end] - drop[begin] for drop in usual) * 1000)
        for what, (begin, end) in zip(BETWEEN, pairwise(MARKS), strict=True)
    ]


def as_markdown(found: Sequence[Stage]) -> str:
    """The stages and their shares, for people."""
    total = sum(stage.ms for stage in found)
    lines = ["| stage of one drop at a time | ms | share |", "| --- | ---: | ---: |"]
    lines += [f"| {stage.what} | {stage.ms:.2f} | {stage.ms / total:.0%} |" for stage in found]
    return "\n".join([*lines, f"| all | {total:.2f} | |"]) + "\n"


def _agents_events(folder: Path) -> Iterator[dict[str, Any]]:
    for log in folder.glob("agents-*.log"):
        yield from map(json.loads, log.read_text(encoding="utf-8").splitlines())


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
