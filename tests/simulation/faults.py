"""Which faults a world has and how often, drawn from its seed.

Each kind is off in most worlds and frequent in some, so that one kind is not drowned by another; in
some worlds there is none at all, and there nothing may become UNKNOWN.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import ArmedFault, Dialect, Fault
from tests.simulation.database import DatabaseTrouble
from tests.simulation.disk import DiskTrouble
from tests.simulation.network import Weather
from tests.simulation.wire import WireTrouble

CALM_WORLDS = 0.1
"""Share of worlds without faults."""


@dataclass
class Plan:
    """Everything that chance decides of a world before it begins.

    Attributes:
        machines: How many.
        buyers: How many.
        credits: What each of them has to begin with.
        active_s: How long people do things and things go wrong.
        think_s: Mean time between two things that a buyer does.
        events_s: Mean time between two faults of a kind that come by themselves, by kind.
        board_fault: Chance, per command, that the board does something odd.
        board_faults: What.
    """

    machines: int
    buyers: int
    credits: int
    active_s: float
    think_s: float
    motor_s: float
    dialect: Dialect
    cut: Cut
    deaf_s: float
    weather: Weather
    client_weather: Weather
    database: DatabaseTrouble
    disk: DiskTrouble
    wire: WireTrouble
    board_fault: float = 0.0
    board_faults: tuple[Fault, ...] = ()
    events_s: dict[str, float] = field(default_factory=dict)

    def draw_board_fault(self, rng: random.Random) -> ArmedFault:
        """Draws the board's fault for one command."""
        if rng.random() >= self.board_fault:
            return ArmedFault(None)
        fault = rng.choice(self.board_faults)
        match fault:
            case Fault.SLOW | Fault.LATE | Fault.FOUND_EMPTY | Fault.FOUND_EMPTY_SILENT:
                return ArmedFault(fault, rng.uniform(0.5, 25))
            case Fault.DISCONNECT | Fault.POWER | Fault.POWER_BEFORE:
                return ArmedFault(fault, rng.uniform(0.2, 20))
            case _:
                return ArmedFault(fault)

    def calm(self) -> None:
        """Ends all random faults."""
        self.board_fault = 0.0
        for trouble in (self.weather, self.client_weather, self.database, self.disk, self.wire):
            for each in fields(trouble):
                if not each.name.endswith("_s"):
                    setattr(trouble, each.name, 0.0)


EVENTS = (
    "agent.kill",
    "agent.power",
    "agent.stop",
    "agent.freeze",
    "frontend.kill",
    "frontend.stop",
    "frontend.freeze",
    "frontend.clock",
    "network.partition",
    "wire.unplugged",
    "wire.says",
    "board.power",
    "board.sensor",
    "journal.wiped",
    "journal.restored",
    "journal.damaged",
    "database.restored",
)
"""Faults that happen at random times, not at a message or a command."""

RARE = ("journal.wiped", "journal.restored", "journal.damaged", "database.restored")
"""Faults that happen at most once in a world."""


TALKS = "agent.talks"
"""An agent that sends far too much. Drawn after everything else, so that the worlds of kept seeds
stay what they are."""


def draw(rng: random.Random) -> Plan:
    """A plan for a world."""
    plan = _draw(rng)
    if plan.events_s and rng.random() < 0.2:
        plan.events_s[TALKS] = rng.uniform(0.2, 1.0) * plan.active_s
    return plan


def _draw(rng: random.Random) -> Plan:
    calm = rng.random() < CALM_WORLDS

    def sometimes(low: float, high: float, chance: float = 0.35) -> float:
        drawn = rng.uniform(low, high)
        return drawn if rng.random() < chance and not calm else 0.0

    active_s = rng.uniform(40, 120)
    events_s = {}
    for kind in EVENTS:
        chance = 0.06 if kind in RARE else 0.3
        mean_s = rng.uniform(0.3, 1.5) * active_s
        if rng.random() < chance and not calm:
            events_s[kind] = mean_s
    faults = [fault for fault in Fault if rng.random() < 0.4]
    ruby = rng.random() < 0.1
    return Plan(
        machines=rng.choice([1, 1, 2, 3]),
        buyers=rng.randint(2, 6),
        credits=rng.choice([60, 150, 1_000]),
        active_s=active_s,
        think_s=rng.uniform(0.5, 8),
        motor_s=rng.choice([0.5, 1.5, 3.5]),
        dialect=Dialect.RUBY if ruby else Dialect.FIRMWARE,
        cut=rng.choice(list(Cut)),
        deaf_s=10.0 if ruby and not calm else 0.0,
        weather=Weather(
            latency_s=rng.choice([0.001, 0.02, 0.1]),
            reset=sometimes(0.002, 0.03),
            half_open=sometimes(0.001, 0.01, 0.25),
            stall=sometimes(0.002, 0.03),
            stall_s=rng.choice([1.0, 8.0, 25.0]),
            repeat=sometimes(0.02, 0.3),
        ),
        client_weather=Weather(
            latency_s=rng.choice([0.001, 0.02, 0.1]),
            reset=sometimes(0.01, 0.15),
            half_open=sometimes(0.005, 0.03, 0.2),
            stall=sometimes(0.01, 0.1),
        ),
        database=_draw_database(rng, sometimes),
        disk=_draw_disk(rng, sometimes),
        wire=WireTrouble(
            latency_s=rng.choice([0.0005, 0.003]),
            lose=sometimes(0.002, 0.03),
            coalesce=rng.choice([0.0, 0.3]),
        ),
        board_fault=sometimes(0.05, 0.5, 0.6) if faults else 0.0,
        board_faults=tuple(faults),
        events_s=events_s,
    )


def _draw_database(rng: random.Random, sometimes: Callable[..., float]) -> DatabaseTrouble:
    return DatabaseTrouble(
        latency_s=rng.choice([0.001, 0.005, 0.03]),
        stall=sometimes(0.001, 0.01),
        stall_s=rng.choice([1.0, 5.0, 20.0]),
        refuse=sometimes(0.005, 0.05, 0.25),
        breaks=sometimes(0.001, 0.01, 0.2),
        kill=sometimes(0.002, 0.02),
    )


def _draw_disk(rng: random.Random, sometimes: Callable[..., float]) -> DiskTrouble:
    return DiskTrouble(
        latency_s=rng.choice([0.0005, 0.003, 0.02]),
        stall=sometimes(0.005, 0.05),
        stall_s=rng.choice([0.5, 3.0, 15.0]),
        fails=sometimes(0.002, 0.02, 0.2),
        full=sometimes(0.002, 0.02, 0.2),
        kill=sometimes(0.005, 0.05),
        power=sometimes(0.005, 0.04),
    )
