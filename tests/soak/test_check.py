"""The checker finds what it is there to find: each mistake is planted into a sound history."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.soak.books import Books, Drop, Move
from tests.soak.check import (
    CHARGED,
    CONTRADICTED,
    DOUBLE,
    LOST,
    UNEXPLAINED,
    UNSETTLED,
    Evidence,
    check,
)
from tests.soak.history import Attempt, Fault, Reading
from tests.soak.plan import LYING_SLOT
from tests.support.oracle import Refund, Slot, Totals, Transfer

PRICE = 50


def moves(*states: str, cause: str = "BOARD_ACK") -> tuple[Move, ...]:
    """One every hundred milliseconds from 1000 on; the cause is the last one's."""
    last = len(states) - 1
    return tuple(
        Move(1000 + 100 * number, state, cause if number == last else "NONE")
        for number, state in enumerate(states)
    )


def made(name: str, request_id: str, slot: str, state: str, cause: str) -> Drop:
    """A drop of ann's that was dispatched and came to an end."""
    steps = moves("RESERVED", "DISPATCHED", state, cause=cause)
    return Drop(name, "ann", request_id, slot, PRICE, state, cause, 1000, 0, steps)


BOUGHT = made("bought", "r1", "d/1", "DISPENSED", "BOARD_ACK")
TYPED = replace(BOUGHT, id="typed", account="tom", request_id="internal", slot="d/2")
REFUSED = made("refused", "r2", "ld/1", "NOT_DISPENSED", "BOARD_REFUSED")
DOUBTFUL = made("doubtful", "r3", "s/1", "UNKNOWN", "BOARD_SILENT")
DROPS = (BOUGHT, TYPED, REFUSED, DOUBTFUL)


def gift(account: str) -> Transfer:
    return Transfer(0, f"gift-{account}", "MOVE", "funding", account, 500, None, None, "import")


def entry(drop: Drop, kind: str) -> Transfer:
    hold = f"{drop.id}-HOLD"
    return Transfer(
        0,
        f"{drop.id}-{kind}",
        kind,
        drop.account,
        f"sales/{drop.machine}",
        drop.price,
        drop.id,
        None if kind == "HOLD" else hold,
        None,
    )


SENT = Transfer(0, "sent", "MOVE", "ann", "tom", 20, None, None, "t1")
ACCOUNTS = {
    "funding": Totals(0, 1000, 0, 0),
    "ann": Totals(PRICE, PRICE + 20, 0, 500),
    "tom": Totals(0, PRICE, 0, 520),
    "sales/d": Totals(0, 0, 0, 2 * PRICE),
    "sales/s": Totals(0, 0, PRICE, 0),
    "sales/ld": Totals(),
}
BOOKS = Books(
    drops=DROPS,
    transfers=(
        gift("ann"),
        gift("tom"),
        *(entry(drop, "HOLD") for drop in DROPS),
        entry(BOUGHT, "POST"),
        entry(TYPED, "POST"),
        entry(REFUSED, "VOID"),
        SENT,
    ),
    accounts=ACCOUNTS,
)


def asked(order: Drop, state: str = "", **more: object) -> Attempt:
    attempt = Attempt(
        "drop", order.account, order.request_id, order.slot, 990, 1250, drop=order.id, state=state
    )
    return replace(attempt, **more)  # type: ignore[arg-type]


TOLD = asked(BOUGHT, "DISPENSED")
TOLD_TOM = asked(TYPED, "DISPENSED", request_id="", drop="")
SOUND = Evidence(
    books=BOOKS,
    attempts=(
        TOLD,
        TOLD_TOM,
        asked(REFUSED, "NOT_DISPENSED"),
        asked(DOUBTFUL, "UNKNOWN"),
        Attempt("drop", "ann", "r4", "d/1", 990, 1250, refusal="SLOT_EMPTY"),
        Attempt("transfer", "ann", "t1", "tom", 1300, 1400, credits=20, state="SENT"),
    ),
    readings=(
        Reading("ann", 900, 950, 500, 0),
        Reading("ann", 1260, 1290, 400, PRICE),
        Reading("ann", 1500, 1501, 380, PRICE),
        Reading("tom", 1260, 1290, 450),
    ),
    faults=(Fault("board: silent", "s", 900, 900, slot=1),),
    runs={
        "d": ({"time": 1.11, "slot": 1}, {"time": 1.12, "slot": 2}),
        "ld": (),
        "s": ({"time": 1.11, "slot": 1},),
    },
    counts={
        "d": {"dispensed": {"1": 1, "2": 1}},
        "ld": {"dispensed": {}},
        "s": {"dispensed": {"1": 1}},
    },
    typists=frozenset({"tom"}),
)


def test_a_sound_history_has_no_problem() -> None:
    slots = (Slot("d", 1, 10, 9, 0, 1, 0), Slot("s", 1, 10, 9, 0, 0, 1))
    assert check(with_books(slots=slots)) == []


def test_a_refund_and_what_is_owed_within_the_limit_are_no_problem() -> None:
    given = replace(with_refund(), readings=(Reading("ann", 1800, 1801, 410, PRICE),))
    assert check(given) == []
    again = replace(ASKED_BACK, request_id="b2", state="", refusal="ALREADY_REFUNDED")
    assert check(replace(given, attempts=(*given.attempts, again))) == []
    owed = owing(150)
    readings = (Reading("ann", 1500, 1501, 50, PRICE), Reading("ann", 900, 950, 650))
    assert check(replace(owed, readings=readings)) == []


def test_a_drop_that_a_session_was_told_to_wait_for_may_come_to_any_end() -> None:
    assert check(without(TOLD_TOM, replace(TOLD_TOM, state="HELD", drop=TYPED.id))) == []


def with_books(**changes: object) -> Evidence:
    return replace(SOUND, books=replace(BOOKS, **changes))  # type: ignore[arg-type]


def with_transfers(change: Callable[[list[Transfer]], None]) -> Evidence:
    transfers = list(BOOKS.transfers)
    change(transfers)
    return with_books(transfers=tuple(transfers))


GIVEN_BACK = Transfer(0, "back", "MOVE", "sales/d", "ann", 30, None, None, "b1")
REFUND = Refund(BOUGHT.id, GIVEN_BACK.id, GIVEN_BACK.amount)
ASKED_BACK = Attempt("refund", "root", "b1", BOUGHT.id, 1600, 1700, credits=30, state="REFUNDED")


def with_refund(
    refund: Refund = REFUND, entry: Transfer = GIVEN_BACK, *tries: Attempt, **changes: object
) -> Evidence:
    """A history in which a part of what ann paid was given back; a refund of 0 is left out."""
    ann = Totals(PRICE, PRICE + 20, 0, 500 + entry.amount)
    sales = Totals(0, entry.amount, 0, 2 * PRICE)
    books: dict[str, object] = {
        "transfers": (*BOOKS.transfers, entry),
        "accounts": {**ACCOUNTS, "ann": ann, "sales/d": sales},
        "refunds": (refund,) if refund.amount else (),
    }
    evidence = with_books(**{**books, **changes})
    return replace(evidence, attempts=(*SOUND.attempts, *(tries or (ASKED_BACK,))))


def owing(limit: int) -> Evidence:
    """A history in which ann buys for all that she has and owes the rest, up to a limit."""
    dear = replace(BOUGHT, price=530)
    entries = [each for each in BOOKS.transfers if each.drop != BOUGHT.id]
    return with_books(
        drops=(dear, *DROPS[1:]),
        transfers=(*entries[:2], entry(dear, "HOLD"), entry(dear, "POST"), *entries[2:]),
        accounts={
            **ACCOUNTS,
            "ann": Totals(PRICE, 550, 0, 500),
            "sales/d": Totals(0, 0, 0, 530 + PRICE),
        },
        limits={"ann": [(-1, limit)]},
    )


def with_drop(old: Drop, **changes: object) -> Evidence:
    new = replace(old, **changes)  # type: ignore[arg-type]
    return with_books(drops=tuple(new if drop is old else drop for drop in DROPS))


def without(attempt: Attempt, *others: Attempt) -> Evidence:
    kept = tuple(each for each in SOUND.attempts if each is not attempt)
    return replace(SOUND, attempts=(*kept, *others))


PLANTED: dict[str, dict[str, Evidence]] = {
    LOST: {
        "an answered drop is not in the books": with_books(drops=DROPS[1:]),
        "a drop that a session was told of is not in the books": without(
            TOLD_TOM, replace(TOLD_TOM, state="HELD", drop="other")
        ),
        "a refund that was answered is not in the books": replace(
            SOUND, attempts=(*SOUND.attempts, ASKED_BACK)
        ),
        "a transfer is forgotten": with_transfers(lambda all_: all_.remove(SENT)),
        "a drop is paid for and no motor ran": replace(
            SOUND, runs={**SOUND.runs, "d": SOUND.runs["d"][:1]}
        ),
        "less fell than was paid for": replace(
            SOUND, counts={"d": {"dispensed": {"1": 0, "2": 1}}}
        ),
    },
    DOUBLE: {
        "one request made two drops": with_books(drops=(*DROPS, replace(BOUGHT, id="again"))),
        "two requests were told that they gave a drop back": with_refund(
            REFUND, GIVEN_BACK, ASKED_BACK, replace(ASKED_BACK, request_id="b2")
        ),
        "a motor ran twice for one drop": replace(
            SOUND, runs={**SOUND.runs, "s": (*SOUND.runs["s"], *SOUND.runs["s"])}
        ),
        "a motor ran for a drop that failed": replace(
            SOUND, runs={**SOUND.runs, "ld": ({"time": 1.15, "slot": 1},)}
        ),
        "a motor ran after its drop was over": replace(
            SOUND, runs={**SOUND.runs, "d": ({"time": 1.5, "slot": 1}, SOUND.runs["d"][1])}
        ),
        "more fell than was paid for": replace(
            SOUND, counts={"d": {"dispensed": {"1": 2, "2": 1}}}
        ),
    },
    CHARGED: {
        "a refused request was made all the same": without(
            TOLD, replace(TOLD, state="", drop="", refusal="SLOT_EMPTY")
        ),
        "a drop that nobody asked for": without(TOLD),
        "a drop that nobody typed": without(TOLD_TOM),
        "a typed drop that was refused is paid for": without(
            TOLD_TOM, replace(TOLD_TOM, state="", refusal="ERR 100 Slot empty.")
        ),
        "a dispensed drop is not paid for": with_transfers(
            lambda all_: all_.remove(entry(BOUGHT, "POST"))
        ),
        "a hold is paid and set free": with_transfers(
            lambda all_: all_.append(entry(REFUSED, "POST"))
        ),
        "another price is paid": with_transfers(
            lambda all_: all_.__setitem__(
                all_.index(entry(BOUGHT, "POST")), entry(BOUGHT, "POST")._replace(amount=60)
            )
        ),
        "credits that nobody has are spent": with_transfers(
            lambda all_: all_.insert(0, SENT._replace(id="early"))
        ),
        "credits move that nobody sent": with_transfers(
            lambda all_: all_.append(SENT._replace(id="s2", request_id="t2"))
        ),
        "a balance that its entries do not add up to": with_books(
            accounts={**ACCOUNTS, "tom": Totals(0, 50, 0, 521)}
        ),
        "a settled drop is settled again": with_drop(
            BOUGHT, moves=moves("RESERVED", "DISPENSED", "UNKNOWN", "DISPENSED")
        ),
        "a drop is given back twice": with_refund(
            transfers=(*BOOKS.transfers, GIVEN_BACK, GIVEN_BACK._replace(id="back again")),
            refunds=(REFUND, REFUND._replace(transfer="back again")),
        ),
        "more is given back than was paid": with_refund(
            REFUND._replace(amount=PRICE + 1),
            GIVEN_BACK._replace(amount=PRICE + 1),
            replace(ASKED_BACK, credits=PRICE + 1),
        ),
        "a drop that was never paid is given back": with_refund(
            REFUND._replace(drop=REFUSED.id), GIVEN_BACK, replace(ASKED_BACK, target=REFUSED.id)
        ),
        "sales are given back for no drop": with_refund(REFUND._replace(amount=0)),
        "a refund goes to another account": with_refund(REFUND, GIVEN_BACK._replace(credit="tom")),
        "a refund that nobody asked for": with_refund(REFUND, GIVEN_BACK, TOLD),
        "a refused refund is made all the same": with_refund(
            REFUND, GIVEN_BACK, replace(ASKED_BACK, state="", refusal="DROP_NOT_REFUNDABLE")
        ),
        "more is owed than the limit": owing(99),
        "a credit limit of the wrong sign": owing(-100),
        "stock that its drops do not add up to": with_books(slots=(Slot("d", 1, 10, 8, 0, 1, 0),)),
    },
    CONTRADICTED: {
        "a buyer was told of a failure and paid": without(
            TOLD, replace(TOLD, state="NOT_DISPENSED")
        ),
        "two answers to one request": without(TOLD, TOLD, replace(TOLD, drop="other")),
        "another request with the same id got its answer": without(
            TOLD, TOLD, replace(TOLD, delay_s=7)
        ),
        "a payment that was answered is not seen": replace(
            SOUND, readings=(Reading("ann", 1260, 1290, 450, 50),)
        ),
        "credits are seen before they were sent": replace(
            SOUND, readings=(Reading("tom", 1260, 1290, 470),)
        ),
        "more was said to be given back than was": with_refund(
            REFUND,
            GIVEN_BACK,
            replace(ASKED_BACK, state="", refusal=""),
            replace(ASKED_BACK, credits=31),
        ),
        "a refund that was answered is not seen": replace(
            with_refund(), readings=(Reading("ann", 1800, 1801, 380, PRICE),)
        ),
        "more is available than the limit allows": replace(
            owing(100), readings=(Reading("ann", 900, 950, 700),)
        ),
        "the books' auditor disagrees": with_books(problems=("3: a hold belongs to no drop",)),
    },
    UNSETTLED: {
        "a drop without an end": with_drop(REFUSED, state="DISPATCHED", moves=REFUSED.moves[:2]),
    },
    UNEXPLAINED: {
        "unknown without a cause": replace(SOUND, faults=()),
    },
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in PLANTED for name in PLANTED[kind]]
)
def test_a_planted_mistake_is_found(kind: str, name: str) -> None:
    assert kind in {problem.kind for problem in check(PLANTED[kind][name])}


@pytest.mark.parametrize(("lies", "kind"), [("board: jam", LOST), ("board: refuse_after", DOUBLE)])
def test_where_boards_lie_cans_may_differ_by_as_many_lies(lies: str, kind: str) -> None:
    fell = {"board: jam": 0, "board: refuse_after": 2}[lies]
    slot, number = f"d/{LYING_SLOT}", str(LYING_SLOT)
    drop = replace(BOUGHT, slot=slot)
    told = replace(TOLD, target=slot)
    evidence = replace(
        with_books(drops=(drop, *DROPS[1:])),
        attempts=(told, *SOUND.attempts[1:]),
        runs={"d": ({"time": 1.11, "slot": LYING_SLOT}, SOUND.runs["d"][1])},
        counts={"d": {"dispensed": {number: fell}}},
    )
    assert {problem.kind for problem in check(evidence)} == {kind}
    fault = Fault(lies, "d", 900, 900, slot=LYING_SLOT)
    assert check(replace(evidence, faults=(*SOUND.faults, fault))) == []


@pytest.mark.parametrize(
    ("cause", "starts", "kinds"),
    [
        ("BOARD_REFUSED", (1.21,), set()),
        ("BOARD_REFUSED", (1.11, 1.21), set()),
        ("BOARD_REFUSED", (1.09,), {LOST}),
        ("NOT_RECEIVED", (1.21,), set()),
        ("NOT_RECEIVED", (1.11, 1.21), {DOUBLE}),
    ],
)
def test_a_motor_start_is_the_paid_drop_s_even_right_after_one_that_failed(
    cause: str, starts: tuple[float, ...], kinds: set[str]
) -> None:
    slot = f"d/{LYING_SLOT}"
    end = replace(REFUSED.moves[-1], cause=cause)
    failed = replace(REFUSED, slot=slot, cause=cause, moves=(*REFUSED.moves[:-1], end))
    later = tuple(replace(move, at_ms=move.at_ms + 100) for move in BOUGHT.moves)
    paid = replace(BOUGHT, slot=slot, moves=later)
    told = (replace(TOLD, target=slot), TOLD_TOM, asked(failed, "NOT_DISPENSED"))
    runs = [{"time": start, "slot": LYING_SLOT} for start in starts]
    evidence = replace(
        with_books(drops=(paid, TYPED, failed, DOUBTFUL)),
        attempts=(*told, *SOUND.attempts[len(told) :]),
        runs={"d": (*runs, SOUND.runs["d"][1])},
        counts={},
    )
    assert {problem.kind for problem in check(evidence)} == kinds
