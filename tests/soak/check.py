"""Checks all requests, answers, motor runs and cans against the books.

It knows nothing of the services: what it compares are the answers that buyers got, the ledger and
the audit log, and what the boards' motors did by their own count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.books import Books, Drop
from tests.soak.explain import unexplained
from tests.soak.history import Attempt, Fault, Reading
from tests.soak.plan import LYING_SLOT
from tests.soak.readings import Mark, impossible_readings
from tests.support.oracle import (
    FINAL,
    FUNDING,
    RESOLUTION,
    Ledger,
    Transfer,
    check_move,
    check_slots,
)

SLACK_MS = 100
"""Between a dispatch or a settlement as the database has it and as the board has it."""

LOST, DOUBLE, CHARGED = "lost", "double", "wrongly charged"
UNSETTLED, UNEXPLAINED, CONTRADICTED = "unsettled", "unexplained", "contradicted"

KINDS = (LOST, DOUBLE, CHARGED, UNSETTLED, UNEXPLAINED, CONTRADICTED)
"""What can be wrong, the worst first."""


@dataclass(frozen=True)
class Problem:
    """Something that must not be."""

    kind: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """All that is known at the end.

    Attributes:
        books: The frontend's.
        attempts: What was asked and answered.
        readings: What accounts were said to have.
        faults: What was broken.
        runs: Each machine's motor starts: `time` in seconds since 1970, and `slot`.
        counts: Each board's own counts.
        typists: Accounts that buy in sessions, where requests have no ids.
    """

    books: Books
    attempts: Sequence[Attempt] = ()
    readings: Sequence[Reading] = ()
    faults: Sequence[Fault] = ()
    runs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    typists: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Asked:
    """The buyers' view of a drop: the time of its first request, and its answers."""

    first_ms: int
    told: Sequence[Attempt]


def check(evidence: Evidence) -> list[Problem]:
    """Everything that is wrong."""
    problems: list[Problem] = []
    asked: dict[str, Asked] = {}
    problems += _requests(evidence, asked)
    problems += _sessions(evidence, asked)
    problems += _outcomes(evidence.books, asked)
    problems += _ledger(evidence, asked)
    problems += _motors(evidence)
    problems += _cans(evidence)
    problems += [
        Problem(UNEXPLAINED, text) for text in unexplained(evidence.books.drops, evidence.faults)
    ]
    problems += [Problem(CONTRADICTED, text) for text in evidence.books.problems]
    return problems


def _requests(evidence: Evidence, asked: dict[str, Asked]) -> Iterator[Problem]:
    """Invariants 12 and 13: one request is one drop; what was refused was not made."""
    tries: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in evidence.attempts:
        if attempt.request_id and attempt.what in ("drop", "cancel"):
            tries[attempt.account, attempt.request_id].append(attempt)
    made: dict[tuple[str, str], list[Drop]] = defaultdict(list)
    for drop in evidence.books.drops:
        if drop.account not in evidence.typists:
            made[drop.account, drop.request_id].append(drop)
    for key in tries.keys() | made.keys():
        found, about = made.get(key, []), tries.get(key, [])
        answered = [each for each in about if each.drop]
        if len(found) > 1:
            yield Problem(DOUBLE, f"request {key} made {len(found)} drops")
        if answered and not found:
            yield Problem(LOST, f"request {key} was answered, and its drop is gone")
        for drop in found:
            mine = [a for a in about if (a.target, a.delay_s) == (drop.slot, drop.delay_s)]
            if not any(each.lost or each.drop for each in mine if each.what == "drop"):
                yield Problem(CHARGED, f"drop {drop.id} was made, and nobody asked or was told so")
            if strange := [a for a in answered if a not in mine or a.drop != drop.id]:
                yield Problem(CONTRADICTED, f"request {key} is drop {drop.id}, said {strange}")
            first_ms = min((each.start_ms for each in mine), default=0)
            asked[drop.id] = Asked(first_ms, [a for a in mine if a.drop == drop.id])


def _sessions(evidence: Evidence, asked: dict[str, Asked]) -> Iterator[Problem]:
    """A session's DROP is at most one drop; one that was answered with OK is exactly one."""
    for account in evidence.typists:
        typed = [a for a in evidence.attempts if (a.account, a.what) == (account, "drop")]
        left = [drop for drop in evidence.books.drops if drop.account == account]
        # Who was told most chooses first; a lost line is whatever then is left.
        typed.sort(key=lambda a: (not a.drop, not a.state, a.lost, a.start_ms))
        for attempt in typed:
            drop = next((each for each in left if _may_be(attempt, each)), None)
            if drop is None:
                if attempt.state:
                    yield Problem(LOST, f"{attempt} was answered, and its drop is gone")
                continue
            left.remove(drop)
            asked[drop.id] = Asked(attempt.start_ms, [attempt] if attempt.state else [])
        for drop in left:
            yield Problem(CHARGED, f"drop {drop.id} was made, and nobody typed it")


def _may_be(attempt: Attempt, drop: Drop) -> bool:
    """Whether a line typed in a session can have made the drop."""
    if (attempt.target, attempt.delay_s) != (drop.slot, drop.delay_s):
        return False
    if attempt.refusal and drop.state != "NOT_DISPENSED":
        return False
    if attempt.drop:
        return attempt.drop == drop.id
    if attempt.state and attempt.state not in _passed(drop):
        return False
    # What was typed and not answered may be read much later, by a frontend that was frozen.
    until_ms = float("inf") if attempt.lost else attempt.end_ms + SLACK_MS
    return attempt.start_ms - SLACK_MS <= drop.created_ms <= until_ms


def _passed(drop: Drop) -> set[str]:
    """What a drop may have been called so far: its states, and held in any of them."""
    return {move.to for move in drop.moves} | {"HELD"}


def _outcomes(books: Books, asked: Mapping[str, Asked]) -> Iterator[Problem]:
    """Invariants 18, 19 and 23: answers stay true, and every drop is settled in the end."""
    for drop in books.drops:
        if drop.state in ("SCHEDULED", "RESERVED", "DISPATCHED"):
            yield Problem(UNSETTLED, f"drop {drop.id} is still {drop.state}")
        for attempt in asked[drop.id].told if drop.id in asked else ():
            final = attempt.state in FINAL
            if (final and attempt.state != drop.state) or attempt.state not in _passed(drop):
                yield Problem(CONTRADICTED, f"{attempt} was told, and {drop.id} is {drop.state}")


def _ledger(evidence: Evidence, asked: Mapping[str, Asked]) -> Iterator[Problem]:
    """Invariants 1 to 5, 10, 21 and 26, by the oracle; no balance was read that never was."""
    ledger, books = Ledger(), evidence.books
    ledger.limits.update({account: list(limits) for account, limits in books.limits.items()})
    violations = [*ledger.apply(books.transfers), *ledger.check_totals(books.accounts)]
    bought = {drop.id: (drop.account, drop.machine, drop.state, drop.price) for drop in books.drops}
    violations += ledger.check_refunds(books.refunds, bought)
    for drop in books.drops:
        violations += ledger.check_drop(drop.id, drop.state, drop.price)
        before = None
        for move in drop.moves:
            violations += check_move(drop.id, before, move.to)
            before = move.to
    places = (drop.slot.split("/") for drop in books.drops)
    states = [(*place, drop.state) for place, drop in zip(places, books.drops, strict=True)]
    violations += check_slots(books.slots, ((m, int(n), state) for m, n, state in states))
    yield from (Problem(CHARGED, f"{number}: {text}") for number, text in violations)
    yield from _transfers(evidence)
    yield from _refunds(evidence)
    sent = _sent(evidence.attempts)
    given_back = _given_back(evidence)
    for account in books.accounts:
        marks = [
            mark
            for place, entry in enumerate(ledger.of_account[account], start=1)
            if (mark := _mark(place, entry, asked, sent, given_back)) is not None
        ]
        mine = [each for each in evidence.readings if each.account == account]
        limits = {0, *(limit for _, limit in books.limits.get(account, ()))}
        for reading in impossible_readings(ledger.totals[account], marks, mine, limits):
            yield Problem(CONTRADICTED, f"{reading} never was so")


def _transfers(evidence: Evidence) -> Iterator[Problem]:
    """Credits that a buyer sent have moved once, and no others have."""
    moved = {
        (entry.debit, entry.request_id or ""): entry
        for entry in evidence.books.transfers
        if entry.kind == "MOVE" and entry.debit != FUNDING and not _is_refund(entry)
    }
    sent = _sent(evidence.attempts)
    for key, tries in sent.items():
        entry = moved.get(key)
        if entry is None:
            if any(each.state for each in tries):
                yield Problem(LOST, f"{tries[0]} was answered, and nothing has moved")
        elif (entry.credit, entry.amount) != (tries[0].target, tries[0].credits):
            yield Problem(CHARGED, f"{tries[0]} has moved {entry}")
        elif all(each.refusal for each in tries):
            yield Problem(CHARGED, f"{tries[0]} was refused, and has moved {entry}")
    for key in moved.keys() - sent.keys():
        yield Problem(CHARGED, f"{moved[key]} was asked for by nobody")


def _refunds(evidence: Evidence) -> Iterator[Problem]:
    """What was given back of a drop is what one request asked for, and was told if it was told."""
    tries = _asked_back(evidence.attempts)
    made = {refund.drop: refund for refund in evidence.books.refunds}
    for refund in evidence.books.refunds:
        mine = [each for each in tries.get(refund.drop, ()) if each.credits == refund.amount]
        if not any(each.lost or each.state for each in mine):
            yield Problem(CHARGED, f"{refund} was asked for by nobody, or was refused")
    for drop, about in tries.items():
        told = {(each.request_id, each.credits) for each in about if each.state}
        if told and drop not in made:
            yield Problem(LOST, f"the refund of {drop} was answered, and nothing has moved")
        if len(told) > 1:
            yield Problem(DOUBLE, f"{drop} was given back by {len(told)} requests")
        for _, credits_ in told:
            if drop in made and made[drop].amount != credits_:
                yield Problem(CONTRADICTED, f"{drop}: {credits_} was told, {made[drop]}")


def _asked_back(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """By drop, what was tried to give it back."""
    tries: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.what == "refund":
            tries[attempt.target].append(attempt)
    return tries


def _given_back(evidence: Evidence) -> dict[str, list[Attempt]]:
    """By transfer of a refund, what was tried to give its drop back."""
    tries = _asked_back(evidence.attempts)
    return {refund.transfer: tries.get(refund.drop, []) for refund in evidence.books.refunds}


def _is_refund(entry: Transfer) -> bool:
    return entry.debit.startswith("sales/")


def _sent(attempts: Iterable[Attempt]) -> dict[tuple[str, str], list[Attempt]]:
    sent: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.what == "transfer":
            sent[attempt.account, attempt.request_id].append(attempt)
    return sent


def _mark(
    place: int,
    entry: Transfer,
    asked: Mapping[str, Asked],
    sent: Mapping[tuple[str, str], Sequence[Attempt]],
    given_back: Mapping[str, Sequence[Attempt]],
) -> Mark | None:
    """What buyers know of when an entry was written."""
    if entry.drop is None:
        tries = sent.get((entry.debit, entry.request_id or "")) or given_back.get(entry.id)
        if not tries:
            return None
        seen = [each.end_ms for each in tries if each.state]
        return Mark(place, min(each.start_ms for each in tries), min(seen, default=None))
    drop = asked.get(entry.drop)
    if drop is None:
        return None
    told = (each for each in drop.told if entry.kind in ("HOLD", RESOLUTION.get(each.state)))
    seen = [each.end_ms for each in told]
    return Mark(place, drop.first_ms, min(seen, default=None))


def _motors(evidence: Evidence) -> Iterator[Problem]:
    """Invariants 6, 8 and 9: each motor start belongs to one drop, and each paid drop has one.

    If all starts can be given to drops, and all paid drops can be given starts, then one way of
    giving does both (Mendelsohn and Dulmage, 1958), so that each is looked at by itself.
    """
    for machine, runs in evidence.runs.items():
        drops = [d for d in evidence.books.drops if d.machine == machine and d.dispatched_ms]
        for run in _left_over(runs, drops)[0]:
            yield Problem(DOUBLE, f"{machine}'s motor ran for no drop: {run}")
        for drop in _left_over(runs, [d for d in drops if d.state == "DISPENSED"])[1]:
            yield Problem(LOST, f"drop {drop.id} is paid for, and no motor ran for it")


def _left_over(
    runs: Sequence[Mapping[str, Any]], drops: Sequence[Drop]
) -> tuple[list[Mapping[str, Any]], list[Drop]]:
    """The motor starts and drops that remain when as many as can be are given to each other.

    Each start in its turn goes to the drop that is over first (Glover, 1967).
    """
    idle: list[Mapping[str, Any]] = []
    waiting = sorted(drops, key=lambda drop: drop.settled_ms or float("inf"))
    for run in sorted(runs, key=lambda each: each["time"]):
        drop = next((each for each in waiting if _may_be_of(run, each)), None)
        if drop is None:
            idle.append(run)
        else:
            waiting.remove(drop)
    return idle, waiting


def _may_be_of(run: Mapping[str, Any], drop: Drop) -> bool:
    """Whether a motor start can be a drop's: of those not dispensed, only a lying board's."""
    lied = drop.cause == "BOARD_REFUSED" and drop.slot == f"{drop.machine}/{LYING_SLOT}"
    if drop.state == "NOT_DISPENSED" and not lied:
        return False
    at_ms = run["time"] * 1000
    end_ms = drop.settled_ms or float("inf")
    in_time = drop.dispatched_ms[0] - SLACK_MS <= at_ms <= end_ms + SLACK_MS
    return in_time and drop.slot == f"{drop.machine}/{run['slot']}"


def _cans(evidence: Evidence) -> Iterator[Problem]:
    """Invariant 9: what fell was paid for, or its drop is unknown."""
    for machine, counts in evidence.counts.items():
        for number, cans in counts["dispensed"].items():
            slot = f"{machine}/{number}"
            states = Counter(drop.state for drop in evidence.books.drops if drop.slot == slot)
            paid, unknown = states["DISPENSED"], states["UNKNOWN"]
            # Where a board lies, money and cans differ, by one for each lie at most.
            lies = Counter(
                f.kind for f in evidence.faults if (f.machine, f.slot) == (machine, int(number))
            )
            least, most = paid - lies["board: jam"], paid + unknown + lies["board: refuse_after"]
            if cans < least:
                yield Problem(LOST, f"slot {slot}: {paid} are paid for and {cans} fell")
            if cans > most:
                yield Problem(DOUBLE, f"slot {slot}: {cans} fell, at most {most} are accounted for")
