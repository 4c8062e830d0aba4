"""Random histories of buyers, agents, operators and failures: money and cans after each step."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from drink_frontend.domain.drop import TRANSITIONS, Cause, DropEvent, State, reported
from drink_frontend.domain.errors import (
    DrinkError,
    DropNotCancellableError,
    DropNotUnknownError,
    InsufficientCreditsError,
    MachineBusyError,
    RequestIdReusedError,
    SlotEmptyError,
    TooManyWaitingError,
)
from drink_frontend.usecases import agents, dispatch
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.settings import DropSettings
from tests.support.bench import Bench, BenchDatabase
from tests.support.ids import ROOT, id_of

T = TypeVar("T")

STEPS = 30
"""Steps of one history."""

SLOTS = [("d", 1), ("d", 2), ("ld", 1)]
OPEN = {State.SCHEDULED, State.RESERVED, State.DISPATCHED}

BUYERS = st.sampled_from(["ann", "bob"])
PLACES = st.sampled_from(SLOTS)
MACHINES = st.sampled_from(["d", "ld"])
ARRIVES = st.sampled_from([True, True, True, False])
JOURNALS = st.sampled_from(["same", "same", "other", "older"])
DELAYS = st.sampled_from([0, 0, 1])


@dataclass
class Bought:
    """A drop as the model has it."""

    id: str
    buyer: str
    slot: tuple[str, int]
    price: int
    state: State
    cause: Cause = Cause.NONE
    fell: bool | None = None
    """Whether its item fell; None while its motor has not run."""


@dataclass
class Agent:
    """What is true at a machine."""

    journal: int = 1
    sequence: int = 0
    seen: int = 0
    """Highest number of the journal's records that the frontend was told."""
    unsaid: dict[str, list[State]] = field(default_factory=dict)
    """Outcomes of each drop that it knows, in the order of their revisions."""


@dataclass
class Model:
    """Money and cans, counted by hand."""

    owned: dict[str, int] = field(default_factory=lambda: {"ann": 200, "bob": 100})
    filled: dict[tuple[str, int], int] = field(
        default_factory=lambda: {("d", 1): 3, ("d", 2): 1, ("ld", 1): 2}
    )
    """Items that people put into each slot, less what they took out."""
    prices: dict[tuple[str, int], int] = field(
        default_factory=lambda: {("d", 1): 50, ("d", 2): 30, ("ld", 1): 50}
    )
    drops: dict[str, Bought] = field(default_factory=dict)
    requests: dict[tuple[str, str], tuple[str, tuple[object, ...]]] = field(default_factory=dict)

    def of(self, machine: str, *states: State) -> list[Bought]:
        """The machine's drops in those states, oldest first."""
        return [
            drop for drop in self.drops.values() if drop.slot[0] == machine and drop.state in states
        ]

    def credits(self, buyer: str) -> tuple[int, int]:
        """Posted and held."""
        own = [drop for drop in self.drops.values() if drop.buyer == buyer]
        paid = sum(drop.price for drop in own if drop.state is State.DISPENSED)
        held = sum(drop.price for drop in own if not drop.state.final)
        return self.owned[buyer] - paid, held

    def stock(self, slot: tuple[str, int]) -> tuple[int, int, int, int]:
        """On hand, reserved, dispensed and unknown."""
        states = [drop.state for drop in self.drops.values() if drop.slot == slot]
        reserved = sum(state in OPEN for state in states)
        gone = states.count(State.DISPENSED), states.count(State.UNKNOWN)
        return self.filled[slot] - reserved - sum(gone), reserved, *gone

    def refusal(self, buyer: str, slot: tuple[str, int], delay_s: int) -> type[DrinkError] | None:
        """Why a new drop is refused, if it is."""
        posted, held = self.credits(buyer)
        if self.stock(slot)[0] < 1:
            return SlotEmptyError
        if posted - held < self.prices[slot]:
            return InsufficientCreditsError
        waiting = (State.SCHEDULED, State.RESERVED, State.DISPATCHED)
        if sum(drop.buyer == buyer for drop in self.of(slot[0], *waiting)) >= 4:
            return TooManyWaitingError
        if delay_s:
            busy = len(self.of(slot[0], State.SCHEDULED)) >= 3
        else:
            busy = len(self.of(slot[0], State.RESERVED, State.DISPATCHED)) >= 5
        return MachineBusyError if busy else None


class Histories(RuleBasedStateMachine):
    """Drives the use cases and the model alike."""

    def __init__(self, database: BenchDatabase) -> None:
        super().__init__()
        self.database = database
        self.model = Model()
        self.agents = {"d": Agent(), "ld": Agent()}
        self.numbers = 0
        self.runner = asyncio.Runner()
        self.open = AsyncExitStack()
        self.bench: Bench = self.run(self.open.enter_async_context(database.open()))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def refused(self, error: type[DrinkError], work: Coroutine[Any, Any, object]) -> None:
        with pytest.raises(error):
            self.run(work)

    def teardown(self) -> None:
        try:
            self.run(self.open.aclose())
        finally:
            self.runner.close()

    @initialize(orders=st.lists(st.tuples(BUYERS, PLACES, DELAYS), min_size=4, max_size=8))
    def begin(self, orders: list[tuple[str, tuple[str, int], int]]) -> None:
        """A history may leave out any rule, and one without drops has nothing to show."""
        for slot in SLOTS:
            self.fill(slot, 30, 4)
        for buyer, slot, delay_s in orders:
            self.buy(buyer, slot, 1, delay_s)
        for machine in ("d", "ld"):
            self.take(machine, arrives=True)

    @rule()
    def restart(self) -> None:
        self.run(self.open.aclose())
        self.bench = self.run(self.open.enter_async_context(self.database.open()))

    @rule(buyer=BUYERS, slot=PLACES, again=st.integers(0, 9), delay_s=DELAYS)
    def buy(self, buyer: str, slot: tuple[str, int], again: int, delay_s: int) -> None:
        """One in ten repeats an earlier request, with the same body or another."""
        self.numbers += 1
        request_id = f"r{self.numbers if again else self.numbers // 2}"
        terms = (slot, delay_s)
        machine, number = slot
        order = self.bench.place(request_id, id_of(buyer), machine, number, delay_s=delay_s)
        made = self.model.requests.get((buyer, request_id))
        if made is not None:
            if made[1] != terms:
                self.refused(RequestIdReusedError, order)
            else:
                assert self.run(order).id == made[0]
        elif error := self.model.refusal(buyer, slot, delay_s):
            self.refused(error, order)
        else:
            drop = self.run(order)
            state = State.SCHEDULED if delay_s else State.RESERVED
            price = self.model.prices[slot]
            self.model.drops[drop.id] = Bought(drop.id, buyer, slot, price, state)
            self.model.requests[buyer, request_id] = drop.id, terms

    @precondition(lambda self: self.model.drops)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        drop = data.draw(st.sampled_from(list(self.model.drops.values())))

        async def cancel() -> None:
            await self.bench.drops.cancel(await self.bench.account(drop.buyer), drop.id)

        if drop.state in {State.SCHEDULED, State.RESERVED}:
            self.run(cancel())
            drop.state, drop.cause = State.NOT_DISPENSED, Cause.CANCELLED
        elif drop.cause is Cause.CANCELLED:
            self.run(cancel())
        else:
            self.refused(DropNotCancellableError, cancel())

    @rule(machine=MACHINES, arrives=ARRIVES)
    def take(self, machine: str, arrives: bool) -> None:
        """As the machine's link does whenever it is woken; the command may be lost with it."""
        waiting = self.model.of(machine, State.RESERVED)
        taken = self.run(self.bench.take(machine))
        if not waiting or self.model.of(machine, State.DISPATCHED):
            assert taken is None
            return
        first = waiting[0]
        assert taken is not None
        assert taken.id == first.id
        assert first.fell is None, "a motor that ran is commanded again"
        first.state, first.cause = State.DISPATCHED, Cause.NONE
        if arrives:
            self.agents[machine].unsaid[first.id] = []
            self.agents[machine].sequence += 1

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), fell=st.booleans(), heard=st.booleans())
    def run_motor(self, data: st.DataObject, fell: bool, heard: bool) -> None:
        agent, drop = data.draw(st.sampled_from(self.idle()))
        drop.fell = fell
        truth = State.DISPENSED if fell else State.NOT_DISPENSED
        agent.unsaid[drop.id].extend([truth] if heard else [State.UNKNOWN, truth])
        agent.sequence += 1

    def idle(self) -> list[tuple[Agent, Bought]]:
        """Commands that arrived and were not obeyed yet."""
        return [
            (agent, self.model.drops[drop_id])
            for agent in self.agents.values()
            for drop_id, outcomes in agent.unsaid.items()
            if not outcomes
        ]

    @precondition(lambda self: self.claims())
    @rule(data=st.data(), arrives=ARRIVES)
    def report(self, data: st.DataObject, arrives: bool) -> None:
        """In any order, as often as may be; the drops of earlier revisions included."""
        machine, drop_id, revision, outcome = data.draw(st.sampled_from(self.claims()))
        causes = {
            State.DISPENSED: Cause.BOARD_ACK,
            State.NOT_DISPENSED: Cause.BOARD_REFUSED,
            State.UNKNOWN: Cause.BOARD_SILENT,
        }
        self.tell(machine, drop_id, outcome, causes[outcome], revision)
        drop = self.model.drops[drop_id]
        believed = drop.cause is not Cause.JOURNAL_REPLACED or outcome is State.DISPENSED
        if believed and not drop.state.final:
            drop.state, drop.cause = outcome, causes[outcome]
        self.take(machine, arrives)

    def claims(self) -> list[tuple[str, str, int, State]]:
        """What the agents know: machine, drop, revision and outcome."""
        return [
            (machine, drop_id, revision, outcome)
            for machine, agent in self.agents.items()
            for drop_id, outcomes in agent.unsaid.items()
            for revision, outcome in enumerate(outcomes, start=1)
        ]

    def tell(
        self, machine: str, drop_id: str, outcome: State, cause: Cause, revision: int = 1
    ) -> None:
        agent = self.agents[machine]
        journal = (f"journal-{agent.journal}", agent.sequence)
        agent.seen = max(agent.seen, agent.sequence)
        self.run(
            self.bench.report(
                drop_id, outcome, cause, revision=revision, machine=machine, journal=journal
            )
        )

    @rule(machine=MACHINES, journal=JOURNALS, arrives=ARRIVES)
    def connect(self, machine: str, journal: str, arrives: bool) -> None:
        agent = self.agents[machine]
        wanted = [
            drop
            for drop in self.model.of(machine, State.DISPATCHED, State.UNKNOWN)
            if drop.state is State.DISPATCHED or drop.cause is Cause.AGENT_LOST
        ]
        intact = journal == "same" or (journal == "older" and agent.seen == 0)
        if journal == "other":
            agent.journal, agent.sequence, agent.unsaid = agent.journal + 1, 0, {}
        elif not intact:
            agent.sequence = agent.seen - 1
        opening = self.run(self.bench.link(machine, f"journal-{agent.journal}", agent.sequence))
        agent.seen = agent.sequence
        assert set(opening.wanted) == ({drop.id for drop in wanted} if intact else set())
        for drop in wanted:
            if not intact:
                drop.state, drop.cause = State.UNKNOWN, Cause.JOURNAL_REPLACED
            elif drop.id not in agent.unsaid:
                self.run(self.bench.dispatch.not_received(machine, opening.epoch, drop.id))
                returned = drop.state is State.DISPATCHED
                drop.state = State.RESERVED if returned else State.NOT_DISPENSED
                drop.cause = Cause.NOT_RECEIVED
            if journal == "older" and not intact:
                # The copy is from before the motor was started, and would swear that it was not.
                agent.unsaid.pop(drop.id, None)
                self.tell(machine, drop.id, State.NOT_DISPENSED, Cause.EXPIRED)
        self.take(machine, arrives)

    @rule(seconds=st.sampled_from([1, 11]))
    def let_time_pass(self, seconds: int) -> None:
        """The first looks of a new process, which take 10 s without an outcome for silence."""
        bench = self.bench
        deadlines = Deadlines(
            bench.storage,
            bench.links,
            bench.clock,
            DropSettings(waiting_limit_s=86_400, silence_limit_s=10),
        )
        self.run(deadlines.look())
        bench.clock.pass_s(seconds)
        self.run(deadlines.look())
        for drop in self.model.drops.values():
            if drop.state is State.SCHEDULED:
                drop.state = State.RESERVED
            elif drop.state is State.DISPATCHED and seconds > 10:
                drop.state, drop.cause = State.UNKNOWN, Cause.AGENT_LOST

    @precondition(lambda self: self.model.drops)
    @rule(data=st.data(), dispensed=st.booleans())
    def decide(self, data: st.DataObject, dispensed: bool) -> None:
        drop = data.draw(st.sampled_from(list(self.model.drops.values())))
        decision = self.bench.drops.decide(ROOT, drop.id, dispensed=dispensed, why="seen")
        if drop.state is not State.UNKNOWN:
            self.refused(DropNotUnknownError, decision)
            return
        self.run(decision)
        drop.state = State.DISPENSED if dispensed else State.NOT_DISPENSED
        drop.cause = Cause.OPERATOR

    @rule(slot=PLACES, price=st.sampled_from([0, 30, 50, 70]), available=st.integers(0, 9))
    def fill(self, slot: tuple[str, int], price: int, available: int) -> None:
        async def fill() -> None:
            root = await self.bench.account("root")
            await self.bench.machines.update_slot(root, *slot, price=price, available=available)

        self.run(fill())
        self.model.prices[slot] = price
        self.model.filled[slot] += available - self.model.stock(slot)[0]

    @rule(buyer=BUYERS, amount=st.sampled_from([-60, -10, 200, 400]))
    def give(self, buyer: str, amount: int) -> None:
        self.numbers += 1
        request_id = f"give-{self.numbers}"

        async def give() -> None:
            root = await self.bench.account("root")
            await self.bench.transfers.add_credits(root, request_id, buyer, amount)

        posted, held = self.model.credits(buyer)
        if posted - held + amount < 0:
            self.refused(InsufficientCreditsError, give())
        else:
            self.run(give())
            self.model.owned[buyer] += amount

    @invariant()
    def money_and_cans_are_as_counted_by_hand(self) -> None:
        """Invariants 2, 3, 10 and the storage's own check of the rest."""
        bench, model = self.bench, self.model

        async def look() -> tuple[object, ...]:
            return (
                {buyer: await bench.credits(buyer) for buyer in model.owned},
                {slot: await bench.stock(*slot) for slot in SLOTS},
                {drop_id: await bench.state(drop.id) for drop_id, drop in model.drops.items()},
            )

        assert self.run(look()) == (
            {buyer: model.credits(buyer) for buyer in model.owned},
            {slot: model.stock(slot) for slot in SLOTS},
            {drop_id: (drop.state, drop.cause) for drop_id, drop in model.drops.items()},
        )
        assert self.run(bench.storage.verify()) == []

    @invariant()
    def nothing_is_settled_against_the_truth(self) -> None:
        """Invariant 8: posted only for an item that fell, void only for one that did not."""
        for drop in self.model.drops.values():
            if drop.cause is not Cause.OPERATOR:
                assert drop.state is not State.DISPENSED or drop.fell
                assert drop.state is not State.NOT_DISPENSED or not drop.fell


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with accounts and machines, to begin each history with."""
    database = BenchDatabase(tmp_path_factory.mktemp("furnished"))

    async def furnish() -> None:
        async with database.open() as bench:
            await bench.furnish()

    asyncio.run(furnish())
    return database.back_up()


@pytest.fixture
def histories(
    furnished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[settings], None]:
    """Runs random histories, each on a database of its own."""

    def begin() -> Histories:
        return Histories(BenchDatabase(tmp_path_factory.mktemp("history"), furnished, starts=1))

    def run(given: settings) -> None:
        run_state_machine_as_test(begin, settings=given)  # type: ignore[arg-type]

    return run


@pytest.mark.timeout(1_200)
def test_random_histories_keep_the_books(histories: Callable[[settings], None]) -> None:
    examples = settings().max_examples // 3
    histories(settings(max_examples=examples, stateful_step_count=STEPS))


def believe_any_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_journal_intact", lambda *_: True)


def believe_an_old_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(outcome: State, cause: Cause, **_: Any) -> tuple[DropEvent, Cause]:
        return reported(outcome, cause, sensor_independent=True, earlier=Cause.NONE)

    monkeypatch.setattr(dispatch, "reported", believe)


def cancel_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS, (State.DISPATCHED, DropEvent.CANCEL), State.NOT_DISPENSED)


def void_on_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS, (State.DISPATCHED, DropEvent.LOSE), State.NOT_DISPENSED)


def send_unknown_drops_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS, (State.UNKNOWN, DropEvent.LOSE), State.RESERVED)


@pytest.mark.parametrize(
    "plant",
    [
        believe_any_journal,
        believe_an_old_journal,
        cancel_what_is_on_its_way,
        void_on_silence,
        send_unknown_drops_again,
    ],
)
def test_random_histories_find_a_planted_mistake(
    histories: Callable[[settings], None],
    plant: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)

    with pytest.raises((AssertionError, pytest.fail.Exception, sqlite3.IntegrityError)):
        histories(
            settings(
                max_examples=500,
                stateful_step_count=STEPS,
                phases=[Phase.generate],
                derandomize=True,
                database=None,
                report_multiple_bugs=False,
            )
        )
