"""The story of one world: people and faults for a while, then peace, then it must add up."""

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation import journals
from tests.simulation.chaos import Chaos
from tests.simulation.house import SLOTS, House, house
from tests.simulation.people import ADMIN, Buyer, Keeper, Stranger, found, operate, reopen
from tests.simulation.world import Process, ViolationError

SETTLE_LIMIT_S = 600.0
"""How long after the last fault every drop has an outcome: two minutes of patience with a machine,
a minute and a half with a silent agent, the longest waits before a link is dialled again, and a
delayed drop's five minutes."""

LOOK_EVERY_S = 0.5
"""Virtual time between two looks at whether all is settled."""

SALES_MAX = 3
"""Sales after the last fault of which one has to succeed."""

CHECK_EVERY_S = 30.0
"""Virtual time between two looks at all of the books."""


class SimulationError(AssertionError):
    """A world in which a promise was broken; says how to see it again."""


@dataclass(frozen=True)
class Report:
    """What one world came to.

    Attributes:
        seed: Of the world.
        drops: Drops placed.
        cans: Cans that fell.
        states: Drops by their last state.
        faults: Injected, by kind.
        seconds: Virtual time.
        steps: Turns of processes and events.
        trace: Hash of everything that happened.
    """

    seed: int
    drops: int
    cans: int
    states: Counter[str]
    faults: Counter[str]
    seconds: float
    steps: int
    trace: str


def simulate(seed: int, *, guarded: bool = True) -> Report:
    """Lets one world happen.

    Args:
        seed: Of the world.
        guarded: Whether the database refuses what breaks its rules.

    Raises:
        SimulationError: a promise was broken.
    """
    # Collections come when memory has it, and finalizers with them: not in the middle of a history.
    collecting = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        with house(seed, guarded=guarded) as built:
            try:
                _tell(built)
            except ViolationError as violation:
                raise SimulationError(_account(built, violation)) from None
            return _report(built)
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
            gc.collect()


def attempt(seed: int) -> Report | str:
    """One world's report, or what was broken in it."""
    try:
        return simulate(seed)
    except SimulationError as error:
        return str(error)


def _tell(built: House) -> None:
    world, plan = built.world, built.plan
    found(built)
    built.frontend.start()
    for agent in built.agents.values():
        agent.start()
    people = Process(world, "people")
    end = world.now + plan.active_s
    lives = [
        people.spawn(Buyer(built, people, name).live(end)) for name in built.tokens if name != ADMIN
    ]
    lives.append(people.spawn(Keeper(built, people, ADMIN).live(end)))
    lives.append(people.spawn(Stranger(built, people).live(end)))
    chaos = Chaos(built)
    chaos.begin()
    built.operators(lambda process, rng: operate(built, process, rng))
    while world.now < end:
        world.run(CHECK_EVERY_S)
        built.checker.check_all()
    chaos.end()
    built.heal()
    built.after_healing(lambda process: reopen(built, process))
    _settle(built, lambda: all(life.done() for life in lives), "a buyer was never answered")
    _settle(built, lambda: _is_quiet(built), "drops without an outcome, or results without an ack")
    for life in lives:
        life.result()
    _one_more(built, people)
    built.checker.check_all()
    world.run(0)


def _settle(built: House, done: Callable[[], bool], what: str) -> None:
    """Lets time pass until it is done; not being done in time is a violation."""
    world, end = built.world, built.world.now + SETTLE_LIMIT_S
    while not done():
        if world.now >= end:
            built.world.violate(f"23: {what}: {built.checker.unsettled()}")
        world.run(LOOK_EVERY_S)


def _is_quiet(built: House) -> bool:
    if built.checker.unsettled():
        return False
    return not any(
        journals.unacknowledged(agent.disk.content(agent.journal))
        for agent in built.agents.values()
    )


def _one_more(built: House, people: Process) -> None:
    """Each machine sells a can now, once what broke last has been noticed."""
    keeper = Keeper(built, people, ADMIN, "last")
    for name, wire in built.wires.items():
        results: list[str] = []
        while "STATE_DISPENSED" not in results:
            sale = people.spawn(keeper.sell_one(name, SLOTS[0], wire))
            _settle(built, sale.done, f"{name} sells nothing any more")
            results.append(sale.result())
            if len(results) > SALES_MAX:
                built.world.violate(f"23: the cans of {name} after all faults are {results}")
                return


def _report(built: House) -> Report:
    drops = built.checker.drops
    return Report(
        seed=built.world.seed,
        drops=len(drops),
        cans=sum(fate.fell for truth in built.truths.values() for fate in truth.fates.values()),
        states=Counter(drop.state for drop in drops.values()),
        faults=built.world.injected,
        seconds=built.world.now,
        steps=built.world.steps,
        trace=built.world.trace_hash,
    )


def _account(built: House, violation: ViolationError) -> str:
    lines = "\n".join(built.world.recent)
    return (
        f"seed {built.world.seed}, invariant {violation}\n"
        f"plan: {built.plan}\nfaults: {dict(built.world.injected)}\nlast events:\n{lines}\n"
        f"again: python -m tests.simulation --seeds 1 --first {built.world.seed}"
    )
