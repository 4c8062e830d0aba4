"""One crash test: buys a drop while processes are killed, then checks credits and cans."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_agent.domain.recovery import JournalState, replay
from drink_agent.journal.file import read
from scripts.books import compare
from scripts.processes import wait_until
from tests.crash.forked_process import ForkedProcess
from tests.crash.killable_system import ALICE, MACHINE, KillableSystem

LIMIT_S = 60
"""Seconds within which everything that is waited for happens, even on a busy machine."""

SLOT, OTHER_SLOT = f"{MACHINE}/1", f"{MACHINE}/2"
OWN_ACCOUNT = f"accounts/{ALICE.name}"
PRICE = 50

FINAL = (drops.Drop.STATE_DISPENSED, drops.Drop.STATE_NOT_DISPENSED)
"""States in which a drop never changes again."""


@dataclass(frozen=True)
class Outcome:
    """How a drop must end.

    Attributes:
        state: Its final state, without prefix.
        cause: Why, without prefix.
        runs: How often the board's motor ran for it, by the board's own count.
    """

    state: str
    cause: str
    runs: int


DISPENSED = Outcome("DISPENSED", "BOARD_ACK", 1)
INTERRUPTED = Outcome("UNKNOWN", "AGENT_RESTARTED", 1)
"""The agent was killed when the motor may have run, and it had run."""
ANSWERED_LATE = Outcome("DISPENSED", "BOARD_ACK_LATE", 1)
"""The agent was killed before the board's answer came; the restarted agent received it."""
NEVER_RAN = Outcome("UNKNOWN", "AGENT_RESTARTED", 0)
"""The agent was killed when the motor may have run, and it had not run."""


class Scenario:
    """Runs a system, restarts its killed processes, and checks the outcome of one drop.

    A context manager that ends the system.

    Args:
        system: Installed, not started.
        frontend: Where the frontend is killed, one point per run.
        agent: Where the agent is killed, one point per run.
        unsynced_is_lost: Whether a kill loses written and unsynced data.
        together: Whether a kill of one process kills the other too.
    """

    def __init__(
        self,
        system: KillableSystem,
        *,
        frontend: tuple[str, ...] = (),
        agent: tuple[str, ...] = (),
        unsynced_is_lost: bool = False,
        together: bool = False,
    ) -> None:
        self.system = system
        system.frontend.kill_points, system.agent.kill_points = list(frontend), list(agent)
        for process in self._processes:
            process.unsynced_is_lost = unsynced_is_lost
        self._together = together
        self._kept_down: dict[ForkedProcess, Callable[[], bool]] = {}
        self._killed: set[ForkedProcess] = set()
        self.request_id = str(uuid.uuid4())
        self._order = (SLOT, self.request_id, 0)
        self._answer: drops.Drop | None = None
        self.killed_at: list[str] = []
        """The points at which processes were killed so far."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.system.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.system.__exit__(None, None, None)
        self.alice.close()

    @property
    def _processes(self) -> tuple[ForkedProcess, ForkedProcess]:
        return self.system.frontend, self.system.agent

    def _start(self) -> None:
        self.system.board.start()
        if "after-write-board" in self.system.agent.kill_points:
            # Otherwise the board's answer waits for the next agent and proves that the can fell.
            self.system.board.fault("silent", slot=1)
        self.system.start_frontend()
        self.alice = self.system.client(ALICE)
        self.system.agent.start()
        self.until(self._ready, "ready")

    # While processes are killed.

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Waits for a condition and meanwhile restarts killed processes.

        A call that fails because the frontend is down counts as "not yet".
        """

        def so() -> Any:
            self._supervise()
            try:
                return condition()
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                ):
                    raise
                return None

        try:
            return wait_until(so, what, LIMIT_S)
        except TimeoutError as error:
            awaited = [process.point for process in self._processes if process.point]
            raise TimeoutError(
                f"{error}; killed at {self.killed_at}, not yet at {awaited};"
                f" see {self.system.folder}"
            ) from None

    def keep_down(self, process: ForkedProcess, until: Callable[[], bool]) -> None:
        """Does not restart a process, once it is killed, before a condition holds."""
        self._kept_down[process] = until

    def _supervise(self) -> None:
        for process in self._processes:
            if process.running:
                continue
            if process not in self._killed:
                self._killed.add(process)
                self.killed_at.append(process.wait_killed())
                self._kill_other(process)
            if self._kept_down.get(process, _at_once)():
                self._killed.discard(process)
                process.start()

    def _kill_other(self, killed: ForkedProcess) -> None:
        for process in self._processes if self._together else ():
            if process is not killed and process.running:
                process.kill()
                self._killed.add(process)

    def _ready(self) -> bool:
        found = self.alice.machines.ListMachines(machines.ListMachinesRequest(), timeout=1).machines
        return all(each.reach == machines.Machine.REACH_READY for each in found)

    # Requests of the buyer.

    def buy(self, slot: str = SLOT, delay_s: int = 0) -> drops.DropResponse:
        """Buys; repeats the request with the same request_id until it is answered."""
        self._order = (slot, self.request_id, delay_s)
        call = self.alice.start(*self._order)

        def answer() -> drops.DropResponse | None:
            nonlocal call
            if not call.done():
                return None
            error = call.exception()
            if error is not None:
                call = self.alice.start(*self._order)
                raise error
            return call.result()  # type: ignore[no-any-return]

        response: drops.DropResponse = self.until(answer, "answered")
        self._answer = response.drop
        return response

    def buy_and_check(self, *outcomes: Outcome) -> None:
        """Buys, waits until every process was killed, and checks the drop's outcome."""
        drop = self.buy().drop
        self.until_all_are_killed()
        self.check(drop.name, *outcomes)

    def buy_another(self, slot: str = SLOT) -> None:
        """Buys once more; the drop must be dispensed."""
        self.request_id = str(uuid.uuid4())
        drop = self.buy(slot).drop
        assert drop.state == drops.Drop.STATE_DISPENSED, drop

    def add_credits(self, amount: int) -> accounts.Account:
        """Adds credits to the buyer."""
        request = accounts.AddCreditsRequest(
            request_id=self.request_id, account=OWN_ACCOUNT, credits=amount
        )
        response: accounts.AddCreditsResponse = self.answer(
            self.alice.accounts.AddCredits, request, "credits are added"
        )
        return response.account

    def set_credits(self, amount: int) -> accounts.Account:
        """Sets the buyer's credits, which are those of the beginning."""
        request = accounts.SetCreditsRequest(
            request_id=self.request_id,
            account=OWN_ACCOUNT,
            posted_credits=amount,
            expected_posted_credits=ALICE.credits,
        )
        response: accounts.SetCreditsResponse = self.answer(
            self.alice.accounts.SetCredits, request, "credits are set"
        )
        return response.account

    def set_credit_limit(self, limit: int) -> accounts.Account:
        """Sets the buyer's credit limit."""
        request = accounts.UpdateAccountRequest(name=OWN_ACCOUNT, credit_limit=limit)
        response: accounts.UpdateAccountResponse = self.answer(
            self.alice.accounts.UpdateAccount, request, "the limit is set"
        )
        return response.account

    def report(self, name: str, text: str) -> drops.Drop:
        """Reports what the buyer saw of a drop."""
        request = drops.ReportDropRequest(name=name, text=text)
        response: drops.ReportDropResponse = self.answer(
            self.alice.drops.ReportDrop, request, "reported"
        )
        return response.drop

    def refund(self, name: str, amount: int) -> drops.Drop:
        """Refunds a drop."""
        request = drops.RefundDropRequest(
            request_id=self.request_id, name=name, credits=amount, reason="warm", restock=True
        )
        response: drops.RefundDropResponse = self.answer(
            self.alice.drops.RefundDrop, request, "refunded"
        )
        return response.drop

    def load(self, items: int) -> machines.AdjustStockResponse:
        """Puts items into the slot."""
        request = machines.AdjustStockRequest(
            request_id=self.request_id, name=f"machines/{MACHINE}/slots/1", change=items
        )
        response: machines.AdjustStockResponse = self.answer(
            self.alice.machines.AdjustStock, request, "loaded"
        )
        return response

    def answer(self, method: Any, request: Message, what: str) -> Any:
        """The answer to a request, which is repeated as it is until it is answered."""
        return self.until(lambda: method(request, metadata=self.alice.metadata, timeout=1), what)

    def cancel(self, name: str) -> drops.Drop:
        """Cancels a drop."""
        response: drops.CancelDropResponse = self.answer(
            self.alice.drops.CancelDrop, drops.CancelDropRequest(name=name), "cancelled"
        )
        return response.drop

    def get(self, name: str) -> drops.Drop:
        """A drop as it is now; fails at once while the frontend is down."""
        return self.alice.drops.GetDrop(
            drops.GetDropRequest(name=name), metadata=self.alice.metadata, timeout=1
        ).drop

    def until_state(self, name: str, *states: str) -> drops.Drop:
        """Waits until the drop is in one of the states."""
        wanted = {drops.Drop.State.Value(f"STATE_{state}") for state in states}

        def there() -> drops.Drop | None:
            drop = self.get(name)
            return drop if drop.state in wanted else None

        return self.until(there, " or ".join(states))  # type: ignore[no-any-return]

    def until_all_are_killed(self) -> None:
        """Waits until every process was killed at all its points, and all run again."""

        def so() -> bool:
            alive = all(process.running and not process.point for process in self._processes)
            return alive and not any(process.kill_points for process in self._processes)

        self.until(so, "every point is reached")
        if any(point.startswith("during-write-board") for point in self.killed_at):
            # The torn command became one for a slot that the board does not have: its reader ended.
            self.system.board.process.stop()
            self.system.board.start()
        self.until(self._ready, "ready again")

    # Checks.

    def check(self, name: str, *outcomes: Outcome) -> None:
        """Checks the one drop that was bought, its repetition, and the next sale.

        Invariants 6, 9, 12, 18, 19, 23 and 24: only an outcome that the kill point explains passes.
        """
        self.check_outcome(name, *outcomes)
        drop, runs = self.alice.get(name), self._runs
        # Only GetDrop gives it, to administrators.
        drop.ClearField("decision_reason")
        assert self.alice.drop(*self._order) == drop, "the same request has another answer"
        assert self._runs == runs
        self.check_next()

    def check_outcome(self, name: str, *outcomes: Outcome) -> None:
        """The drop has one of these outcomes, and its buyer was charged accordingly.

        The scenario has bought nothing else before.
        """
        drop = self.alice.get(name)
        state = drops.Drop.State.Name(drop.state).removeprefix("STATE_")
        cause = drops.Drop.Cause.Name(drop.cause).removeprefix("CAUSE_")
        if self._answer is not None and self._answer.state in FINAL:
            assert drop == self._answer, "the buyer was told something else"
        outcome = Outcome(state, cause, self._runs)
        assert outcome in outcomes, f"{outcome}; killed at {self.killed_at}"
        account = self.alice.account()
        paid = PRICE if state == "DISPENSED" else 0
        held = PRICE if state == "UNKNOWN" else 0
        assert (account.posted_credits, account.held_credits) == (ALICE.credits - paid, held)

    def check_next(self) -> None:
        """The next drop is dispensed, nothing is left behind, and books and cans agree."""
        runs = self._runs
        self.buy_another(OTHER_SLOT)
        assert self._runs == runs + 1
        wait_until(self._nothing_is_left, "the journal has nothing open", LIMIT_S)
        books = compare(self.system, self.alice)
        assert not books.problems, f"{books.problems}\n{books.text}\n{self.killed_at}"
        problems = self.system.problems_of_books()
        assert not problems, problems

    @property
    def _runs(self) -> int:
        """Motor runs, by the board's own count."""
        return int(self.system.board.counts()["motor_runs"])

    def _nothing_is_left(self) -> bool:
        state = self.state()
        return not (state.accepted or state.commanded or state.unacked)

    def state(self) -> JournalState:
        """The agent's journal as it is now."""
        return replay(read(self.system.journal).entries, remembered_drops=1000)


def _at_once() -> bool:
    return True
