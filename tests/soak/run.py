"""Runs one soak: buyers and faults for a while, then a quiet phase, then the check."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drink.v1 import drop_service_pb2 as drops
from scripts.client import OPEN_STATES, Client
from scripts.processes import Process, ProcessFailedError, wait_until
from tests.soak.actor import Actor, Soak
from tests.soak.books import read_books
from tests.soak.caller import Caller, Manager, Refunder
from tests.soak.check import KINDS, Evidence, Problem, check
from tests.soak.fault_injectors import fault_injectors
from tests.soak.history import Attempt, History
from tests.soak.plan import ADMIN, CALLERS, DEBTOR, PAUPER, TYPISTS
from tests.soak.soak_system import MotorLog, SoakSystem
from tests.soak.typist import Typist

SETTLE_LIMIT_S = 90
"""Seconds after the last fault until every drop has its outcome and every link is up. Longest
delay 10, then waiting limit 10, ttl 3, motor 5, silence limit 8, reconnecting 2; doubled, for a
busy machine."""

JOIN_LIMIT_S = 60
"""Seconds until a stopped thread ends."""

BROKEN = "broken"
"""The kind of a problem that is not one of money or cans: a service or the test itself failed."""


@dataclass(frozen=True)
class Report:
    """The result of a soak run.

    Attributes:
        table: For people.
        problems: What must not be; none if all is well.
        drops: How many drops were made.
        faults: How many things were broken.
    """

    table: str
    problems: tuple[Problem, ...]
    drops: int
    faults: int


def run_soak(folder: Path, seed: int, seconds: float, pause_s: float) -> Report:
    """Runs buyers and fault injectors, waits until all is settled, and checks everything.

    Args:
        folder: For its files, which are kept.
        seed: Of every choice; the moments at which things happen are the host's.
        seconds: How long things are broken.
        pause_s: Seconds between two faults of one kind at one place, on average.
    """
    with SoakSystem(folder) as system:
        system.set_up()
        history = History(folder / "history.jsonl")
        motors = MotorLog(system)
        motors.start()
        broken = _run_threads(Soak(system, history, str(seed), pause_s, threading.Event()), seconds)
        broken += _settle(system)
        motors.stop()
        counts = {name: board.counts() for name, board in system.boards.items()}
        broken += _logged(system.all_processes())
        system.stop()
        history.close()
        books = read_books(system.folder / "drink.db")
        evidence = Evidence(
            books,
            history.attempts,
            history.readings,
            history.faults,
            motors.runs,
            counts,
            frozenset(user.name for user in TYPISTS),
        )
    problems = [*check(evidence), *(Problem(BROKEN, text) for text in broken)]
    return Report(
        _table(evidence, problems, seed), tuple(problems), len(books.drops), len(history.faults)
    )


def _run_threads(soak: Soak, seconds: float) -> list[str]:
    """Runs buyers and fault injectors; returns what failed and must not fail."""
    buyers = [
        *(Caller(soak, user) for user in (*CALLERS, PAUPER, DEBTOR)),
        *(Typist(soak, user) for user in TYPISTS),
        Manager(soak, ADMIN, "manager"),
        Refunder(soak, ADMIN, "refunder"),
    ]
    injectors = fault_injectors(soak)
    everyone: list[Actor] = [*buyers, *injectors]
    for thread in everyone:
        thread.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not any(thread.failure for thread in everyone):
        time.sleep(0.1)
    soak.stop.set()
    for thread in injectors:
        thread.join(JOIN_LIMIT_S)
    failed = _mend(soak.system)
    for thread in buyers:
        thread.join(JOIN_LIMIT_S)
        thread.close()
    failed += [f"{each.name}: {each.failure!r}" for each in everyone if each.failure]
    return failed + [f"{each.name} does not end" for each in everyone if each.is_alive()]


def _mend(system: SoakSystem) -> list[str]:
    """Ends all faults; returns what cannot be restored."""
    try:
        system.mend()
    except (OSError, ProcessFailedError, TimeoutError) as error:
        return [str(error)]
    return []


def _settle(system: SoakSystem) -> list[str]:
    """Waits until all is settled; returns what is not."""
    admin = Client(system.address, ADMIN.name, ADMIN.password)
    request = drops.ListDropsRequest(parent="accounts/-", states=OPEN_STATES, page_size=1)

    def settled() -> bool:
        return not admin.call(admin.drops.ListDrops, request).drops

    try:
        system.wait_ready(*system.agents, limit_s=SETTLE_LIMIT_S)
        wait_until(settled, "every drop has an answer", SETTLE_LIMIT_S)
    except TimeoutError as error:
        return [str(error)]
    finally:
        admin.close()
    return []


def _logged(processes: Iterable[Process]) -> list[str]:
    """What services have logged that no fault can be the cause of."""
    return [
        f"{process.name}: {line.strip()}"
        for process in processes
        for line in process.log.read_text(encoding="utf-8", errors="replace").splitlines()
        if '"exception"' in line or '"critical"' in line.lower() or line.startswith("Traceback")
    ]


def _table(evidence: Evidence, problems: Iterable[Problem], seed: int) -> str:
    """What came of the drops, of the requests and of the faults, as people read it."""
    outcomes = Counter(f"{drop.state} {drop.cause}" for drop in evidence.books.drops)
    answers = Counter(_answer(attempt) for attempt in evidence.attempts)
    broken = Counter(fault.kind for fault in evidence.faults)
    ever_unknown = sum(
        any(move.to == "UNKNOWN" for move in drop.moves) for drop in evidence.books.drops
    )
    wrong = Counter(problem.kind for problem in problems)
    sections = [
        ("drops, by outcome", outcomes, sum(outcomes.values())),
        ("answers to buyers", answers, sum(answers.values())),
        ("faults", broken, sum(broken.values())),
    ]
    lines = [f"seed {seed}"]
    for title, counts, total in sections:
        lines += ["", f"{title}: {total}"]
        lines += [f"{count:8}  {name}" for name, count in sorted(counts.items())]
    runs = sum(map(len, evidence.runs.values()))
    lines += ["", f"{ever_unknown} drops were UNKNOWN at some time, motors started {runs} times,"]
    lines += [f"{len(evidence.readings)} balances were read", ""]
    lines += [f"{wrong[kind]:8}  {kind}" for kind in (*KINDS, BROKEN)]
    return "\n".join(lines)


def _answer(attempt: Attempt) -> str:
    if attempt.lost:
        return f"{attempt.what}: no answer"
    return f"{attempt.what}: {attempt.state or attempt.refusal}"
