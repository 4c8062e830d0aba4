"""What is measured at the time of a scrape, as families of samples."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Machine, Reach, Slot
from drink_frontend.domain.house import House, OpenDrops
from drink_frontend.metrics import specs
from drink_frontend.metrics.counts import histograms
from drink_frontend.metrics.specs import Spec

OPEN_STATES = (State.SCHEDULED, State.RESERVED, State.DISPATCHED, State.UNKNOWN)
"""States of drops without a final outcome."""

SLICE = 250
"""Samples that are made and written without a pause, in one to two milliseconds."""

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,31}")


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """One link to this frontend.

    Attributes:
        machine: Its machine.
        ready: Whether the machine's board answers.
        version: Of the agent's software, as it says.
        stats: The agent's newest counters and sizes; None before the first.
    """

    machine: str
    ready: bool
    version: str
    stats: AgentStats | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is measured at one scrape.

    Attributes:
        version: Of the frontend.
        now_ms: Milliseconds since the epoch.
        links: The links to this frontend, of the machines that have series.
        links_total: Number of all links.
        house: What the database has; None if it does not answer.
        waiting: Unfinished units of work and queries, by `write` and `read`.
        commits: Successful commits since the start.
        failed_commits: Refused batches since the start.
        retries: Repeated batches since the start.
        round_trips: To the database's server since the start, by `write` and `read`.
        calls: Calls in flight.
        watches: Open watches.
        serving: Whether the health service says that calls are served.
        draining: Whether the frontend ends.
        logins: Attempts to log in since the start, by their result.
        sessions: Open sessions, by whether they have logged in.
        certificates: Ends of certificates in Unix seconds, by listener.
    """

    version: str
    now_ms: int
    links: Sequence[LinkFacts] = ()
    links_total: int = 0
    house: House | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0
    failed_commits: int = 0
    retries: int = 0
    round_trips: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    watches: int = 0
    serving: bool = False
    draining: bool = False
    logins: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[bool, int] = field(default_factory=dict)
    certificates: Mapping[str, float] = field(default_factory=dict)


_Samples = Iterable[tuple[tuple[str, ...], float]]

_OF_AGENTS: tuple[tuple[Spec, Callable[[AgentStats], float]], ...] = (
    (specs.AGENT_UPTIME, attrgetter("uptime_s")),
    (specs.AGENT_LINKS_LOST, attrgetter("links_lost")),
    (specs.AGENT_BOARD_LOSSES, attrgetter("board_losses")),
    (specs.AGENT_BOARD_CONNECTS, attrgetter("board_connects")),
    (specs.AGENT_BOARD_TIMEOUTS, attrgetter("board_timeouts")),
    (specs.AGENT_JOURNAL, attrgetter("journal_bytes")),
    (specs.AGENT_DISK_FREE, attrgetter("disk_free_bytes")),
    (specs.AGENT_DISK, attrgetter("disk_bytes")),
    (specs.AGENT_MEMORY, attrgetter("memory_bytes")),
)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """The samples of a scrape. A family of many samples comes in parts, one after the other."""
    yield from _families(specs.BUILD_INFO, [((_version(snapshot.version),), 1)])
    yield from _families(
        specs.CERTIFICATE, [((name,), end) for name, end in snapshot.certificates.items()]
    )
    yield from _families(specs.STORAGE_COMMITS, [((), snapshot.commits)])
    yield from _families(specs.STORAGE_FAILED, [((), snapshot.failed_commits)])
    yield from _families(specs.STORAGE_RETRIES, [((), snapshot.retries)])
    yield from _families(
        specs.STORAGE_ROUND_TRIPS,
        [((work,), number) for work, number in snapshot.round_trips.items()],
    )
    yield from _families(
        specs.STORAGE_WAITING, [((work,), number) for work, number in snapshot.waiting.items()]
    )
    yield from _families(specs.RPC_IN_FLIGHT, [((), snapshot.calls)])
    yield from _families(specs.SERVING, [((), snapshot.serving)])
    yield from _families(
        specs.LOGINS, [((result,), number) for result, number in snapshot.logins.items()]
    )
    yield from _families(specs.WATCHES, [((), snapshot.watches)])
    yield from _families(
        specs.SESSIONS,
        [((str(login).lower(),), number) for login, number in snapshot.sessions.items()],
    )
    yield from _links(snapshot)
    yield from _families(specs.HOUSE_READ, [((), snapshot.house is not None)])
    if snapshot.house is not None:
        yield from _house(snapshot.house, snapshot.now_ms)


def _links(snapshot: Snapshot) -> Iterator[Metric]:
    links = snapshot.links
    yield from _families(specs.LINKS, [((), snapshot.links_total)])
    yield from _families(specs.LINK_READY, [((link.machine,), link.ready) for link in links])
    yield from _families(
        specs.AGENT_INFO, [((link.machine, _version(link.version)), 1) for link in links]
    )
    told = [(link.machine, link.stats) for link in links if link.stats is not None]
    for spec, value in _OF_AGENTS:
        yield from _families(spec, (((name,), value(stats)) for name, stats in told))
    yield from _motors(told)


def _motors(told: Iterable[tuple[str, AgentStats]]) -> Iterator[Metric]:
    spec = specs.AGENT_MOTOR_SECONDS
    left = iter(told)
    while part := list(islice(left, SLICE // (len(spec.buckets) + 1))):
        yield histograms(
            spec, (((name,), stats.motor_times, stats.motor_seconds) for name, stats in part)
        )


def _house(house: House, now_ms: int) -> Iterator[Metric]:
    machines = house.machines
    yield from _families(specs.MACHINES, [((), house.machines_total)])
    yield from _families(specs.MACHINES_UNLISTED, [((), house.machines_total - len(machines))])
    yield from _families(specs.MACHINE_ENABLED, [((each.name,), each.enabled) for each in machines])
    yield from _families(
        specs.MACHINE_LINKED, [((each.name,), each.reach is not Reach.OFFLINE) for each in machines]
    )
    yield from _families(
        specs.MACHINE_READY, [((each.name,), each.reach is Reach.READY) for each in machines]
    )
    yield from _families(
        specs.MACHINE_TEMPERATURE,
        [
            ((each.name,), each.temperature_celsius)
            for each in machines
            if each.temperature_celsius is not None and each.reach is Reach.READY
        ],
    )
    yield from _families(
        specs.SLOT_ENABLED, ((_place(slot), slot.enabled) for slot in _slots(machines))
    )
    yield from _families(
        specs.SLOT_AVAILABLE, ((_place(slot), slot.available) for slot in _slots(machines))
    )
    marked = (slot for slot in _slots(machines) if slot.low_stock_mark)
    yield from _families(
        specs.SLOT_LOW_MARK, ((_place(slot), slot.low_stock_mark) for slot in marked)
    )
    none = OpenDrops(0, 0, now_ms)
    drops = {state: house.drops.get(state, none) for state in OPEN_STATES}
    yield from _families(
        specs.DROPS_OPEN, [((state.lower(),), each.count) for state, each in drops.items()]
    )
    yield from _families(
        specs.CREDITS_HELD, [((state.lower(),), each.credits) for state, each in drops.items()]
    )
    for spec, state in (
        (specs.DROPS_UNKNOWN_AGE, State.UNKNOWN),
        (specs.DROPS_WAITING_AGE, State.RESERVED),
    ):
        age_ms = now_ms - drops[state].oldest_ms
        # The host's clock may have been set since.
        yield from _families(spec, [((), max(0, age_ms) / 1000)])


def _slots(machines: Iterable[Machine]) -> Iterator[Slot]:
    return (slot for machine in machines for slot in machine.slots)


def _place(slot: Slot) -> tuple[str, str]:
    return slot.machine, str(slot.number)


def _families(spec: Spec, samples: _Samples) -> Iterator[Metric]:
    """The samples of one metric, SLICE of them at a time."""
    make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    left = iter(samples)
    while part := list(islice(left, SLICE)):
        family = make(spec.name, spec.help, labels=spec.labels)
        for labels, value in part:
            family.add_metric(labels, float(value))
        yield family


def _version(text: str) -> str:
    """A version as a label: agents may say anything."""
    return text if _VERSION.fullmatch(text) else "unknown"
