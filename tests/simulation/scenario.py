"""Runs one world: buyers and faults for a while, then a quiet phase, then the checks."""

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation import journals
from tests.simulation.actors import (
    ADMIN,
    Buyer,
    Keeper,
    Refunder,
    Stocker,
    Stranger,
    operate,
    reopen,
    set_up,
)
from tests.simulation.fault_injector import FaultInjector
from tests.simulation.simulated_system import SLOTS, SimulatedSystem, simulated_system
from tests.simulation.world import Process, ViolationError

SETTLE_LIMIT_S = 600.0
"""How long after the last fault every drop has an outcome: two minutes of patience with a machine,
a minute and a half with a silent agent, the longest waits before a link is dialled again, and a
delayed drop's five minutes."""

LOOK_EVERY_S = 0.5
"""Virtual seconds between two looks at whether all is settled."""

SALES_MAX = 3
"""Sales after the last fault of which one must succeed."""

CHECK_EVERY_S = 30.0
"""Virtual seconds between two checks of all the books."""


class SimulationError(AssertionError):
    """A world with a broken invariant; the message names the command that repeats it."""


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
        with simulated_system(seed, guarded=guarded) as system:
            try:
                _tell(system)
            except ViolationError as violation:
                raise SimulationError(_account(system, violation)) from None
            return _report(system)
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
            gc.collect()


def attempt(seed: int) -> Report | str:
    """One world's report, or its broken invariant as text."""
    try:
        return simulate(seed)
    except SimulationError as error:
        return str(error)


def _tell(system: SimulatedSystem) -> None:
    world, plan = system.world, system.plan
    set_up(system)
    system.frontend.start()
    for agent in system.agents.values():
        agent.start()
    people = Process(world, "people")
    end = world.now + plan.active_s
    lives = [
        people.spawn(Buyer(system, people, name).live(end))
        for name in system.tokens
        if name != ADMIN
    ]
    lives.append(people.spawn(Keeper(system, people, ADMIN).live(end)))
    lives.append(people.spawn(Refunder(system, people, ADMIN, "refunder").live(end)))
    lives.append(people.spawn(Stocker(system, people, ADMIN, "stocker").live(end)))
    lives.append(people.spawn(Stranger(system, people).live(end)))
    injector = FaultInjector(system)
    injector.begin()
    system.operators(lambda process, rng: operate(system, process, rng))
    while world.now < end:
        world.run(CHECK_EVERY_S)
        system.checker.check_all()
    injector.end()
    system.heal()
    system.after_healing(lambda process: reopen(system, process))
    _settle(system, lambda: all(life.done() for life in lives), "a buyer was never answered")
    _settle(
        system, lambda: _is_quiet(system), "drops without an outcome, or results without an ack"
    )
    for life in lives:
        life.result()
    _one_more(system, people)
    system.checker.check_all()
    world.run(0)


def _settle(system: SimulatedSystem, done: Callable[[], bool], what: str) -> None:
    """Lets time pass until a condition holds; a violation if it does not hold in time."""
    world, end = system.world, system.world.now + SETTLE_LIMIT_S
    while not done():
        if world.now >= end:
            system.world.violate(f"23: {what}: {system.checker.unsettled()}")
        world.run(LOOK_EVERY_S)


def _is_quiet(system: SimulatedSystem) -> bool:
    if system.checker.unsettled():
        return False
    return not any(
        journals.unacknowledged(agent.disk.content(agent.journal))
        for agent in system.agents.values()
    )


def _one_more(system: SimulatedSystem, people: Process) -> None:
    """Each machine must sell a can once the last fault has been noticed."""
    keeper = Keeper(system, people, ADMIN, "last")
    for name, wire in system.wires.items():
        results: list[str] = []
        while "STATE_DISPENSED" not in results:
            sale = people.spawn(keeper.sell_one(name, SLOTS[0], wire))
            _settle(system, sale.done, f"{name} sells nothing any more")
            results.append(sale.result())
            if len(results) > SALES_MAX:
                system.world.violate(f"23: the cans of {name} after all faults are {results}")
                return


def _report(system: SimulatedSystem) -> Report:
    drops = system.checker.drops
    return Report(
        seed=system.world.seed,
        drops=len(drops),
        cans=sum(
            command.fell for truth in system.truths.values() for command in truth.commands.values()
        ),
        states=Counter(drop.state for drop in drops.values()),
        faults=system.world.injected,
        seconds=system.world.now,
        steps=system.world.steps,
        trace=system.world.trace_hash,
    )


def _account(system: SimulatedSystem, violation: ViolationError) -> str:
    lines = "\n".join(system.world.recent)
    return (
        f"seed {system.world.seed}, invariant {violation}\n"
        f"plan: {system.plan}\nfaults: {dict(system.world.injected)}\nlast events:\n{lines}\n"
        f"again: python -m tests.simulation --seeds 1 --first {system.world.seed}"
    )
