"""Which answers prove that a board is idle."""

import pytest

from drink_agent.board.drivers.idle_probe import (
    FULL_PROOFS,
    MAX_INTERVAL_S,
    ONE_SLOT_PROOFS,
    QUIET_LIMIT_S,
    QUIET_S,
    IdleProbe,
)
from drink_agent.board.drivers.tini_codec import SlotStatus

ONE = SlotStatus(((1, True),))
TWO = SlotStatus(((1, True), (2, False)))


def asked(now: float = 0.0) -> IdleProbe:
    probe = IdleProbe(5.0, now)
    probe.asked(now)
    return probe


@pytest.mark.parametrize(
    ("status", "answers"),
    [
        (TWO, FULL_PROOFS),
        (SlotStatus(()), FULL_PROOFS),
        (ONE, ONE_SLOT_PROOFS),
        (SlotStatus(((0, True),)), 1),
    ],
)
def test_answers_prove_it_each_after_a_question(status: SlotStatus, answers: int) -> None:
    probe = asked()
    known = {slot for slot, _ in status.slots}
    for _ in range(answers - 1):
        assert not probe.proves_idle(status, known, 1.0)
        assert probe.due_at == 1.0 + QUIET_S, "the next question is due once it is quiet"
        assert not probe.proves_idle(status, known, 1.0), "one answer to each question"
        probe.asked(1.0)
    assert probe.proves_idle(status, known, 1.0)


def test_nothing_is_proven_before_the_question() -> None:
    assert not IdleProbe(5.0, 0.0).proves_idle(TWO, {1, 2}, 0.0)


def test_one_slot_of_several_proves_nothing() -> None:
    probe = asked()
    for _ in range(10):
        assert not probe.proves_idle(ONE, {1, 2}, 1.0)
        probe.asked(1.0)


def test_fault_60_the_next_question_waits_until_the_board_is_quiet() -> None:
    probe = asked()
    probe.received(1.0)
    assert probe.due_at == 5.0, "a question is under way"
    probe.proves_idle(TWO, {1, 2}, 1.0)
    probe.received(1.0)
    probe.received(1.05)
    assert probe.due_at == 1.05 + QUIET_S
    for hundredth in range(100, 200):
        probe.received(hundredth / 100)
    assert probe.due_at == 1.0 + QUIET_LIMIT_S, "a board that never stops talking is asked too"


def test_a_first_question_may_have_its_time() -> None:
    probe = IdleProbe(5.0, 0.0, first_at=10.0)
    probe.received(1.0)
    assert probe.due_at == 10.0
    probe.received(9.99)
    assert probe.due_at == 9.99 + QUIET_S


def test_one_answer_may_do() -> None:
    probe = IdleProbe(5.0, 0.0, proofs=1)
    probe.asked(0.0)
    assert probe.proves_idle(TWO, {1, 2}, 1.0)


def test_questions_become_rarer() -> None:
    probe = IdleProbe(5.0, 0.0)
    waits = []
    now = 0.0
    for _ in range(6):
        probe.asked(now)
        waits.append(probe.due_at - now)
        now = probe.due_at
    assert waits == [5, 10, 20, 40, MAX_INTERVAL_S, MAX_INTERVAL_S]
