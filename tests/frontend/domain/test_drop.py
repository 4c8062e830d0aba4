"""The drop's table, in full: every state with every event."""

import itertools

import pytest

from drink_frontend.domain.drop import (
    AGENT_CAUSES,
    CAUSES,
    TRANSITIONS,
    Cause,
    DropEvent,
    State,
    StepResult,
    Verdict,
    reported,
    step,
)

MOVES = """
SCHEDULED   DUE                  RESERVED
SCHEDULED   CANCEL               NOT_DISPENSED
SCHEDULED   PROVE_DISPENSED      DISPENSED
SCHEDULED   PROVE_NOT_DISPENSED  NOT_DISPENSED
SCHEDULED   LOSE                 UNKNOWN
RESERVED    DISPATCH             DISPATCHED
RESERVED    CANCEL               NOT_DISPENSED
RESERVED    WITHDRAW             NOT_DISPENSED
RESERVED    PROVE_DISPENSED      DISPENSED
RESERVED    PROVE_NOT_DISPENSED  NOT_DISPENSED
RESERVED    LOSE                 UNKNOWN
DISPATCHED  RETURN               RESERVED
DISPATCHED  PROVE_DISPENSED      DISPENSED
DISPATCHED  PROVE_NOT_DISPENSED  NOT_DISPENSED
DISPATCHED  LOSE                 UNKNOWN
UNKNOWN     PROVE_DISPENSED      DISPENSED
UNKNOWN     PROVE_NOT_DISPENSED  NOT_DISPENSED
UNKNOWN     LOSE                 UNKNOWN
UNKNOWN     DECIDE_DISPENSED     DISPENSED
UNKNOWN     DECIDE_NOT_DISPENSED NOT_DISPENSED
"""

SETTLED = """
DISPENSED      PROVE_DISPENSED      REPEATED
DISPENSED      PROVE_NOT_DISPENSED  CONTRADICTED
DISPENSED      LOSE                 REPEATED
NOT_DISPENSED  PROVE_DISPENSED      CONTRADICTED
NOT_DISPENSED  PROVE_NOT_DISPENSED  REPEATED
NOT_DISPENSED  LOSE                 REPEATED
"""


def table(text: str) -> dict[tuple[State, DropEvent], str]:
    rows = (line.split() for line in text.strip().splitlines())
    return {(State(state), DropEvent(event)): answer for state, event, answer in rows}


def expected(state: State, event: DropEvent) -> StepResult:
    if target := table(MOVES).get((state, event)):
        return StepResult(Verdict.MOVED, State(target))
    return StepResult(Verdict(table(SETTLED).get((state, event), "REFUSED")), state)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, DropEvent)))
def test_every_state_answers_every_event(state: State, event: DropEvent) -> None:
    assert step(state, event) == expected(state, event)


def test_nothing_leads_out_of_a_final_state() -> None:
    """Invariant 3: post and void exclude each other, so neither final state reaches the other."""
    assert not {state for state, _ in TRANSITIONS if state.final}


def test_only_evidence_or_a_named_operator_settles_what_was_dispatched() -> None:
    """Invariant 8: silence proves nothing."""
    proofs = {
        DropEvent.PROVE_DISPENSED,
        DropEvent.PROVE_NOT_DISPENSED,
        DropEvent.DECIDE_DISPENSED,
        DropEvent.DECIDE_NOT_DISPENSED,
    }
    settling = {
        event
        for (state, event), target in TRANSITIONS.items()
        if state in {State.DISPATCHED, State.UNKNOWN} and target.final
    }
    assert settling == proofs


def test_a_dispatched_drop_neither_expires_nor_is_cancelled() -> None:
    for event in (DropEvent.CANCEL, DropEvent.WITHDRAW, DropEvent.DUE, DropEvent.DISPATCH):
        assert step(State.DISPATCHED, event) == StepResult(Verdict.REFUSED, State.DISPATCHED)


def test_final_and_answered_states() -> None:
    assert {state for state in State if state.final} == {State.DISPENSED, State.NOT_DISPENSED}
    expected = {State.DISPENSED, State.NOT_DISPENSED, State.UNKNOWN}
    assert {state for state in State if state.answered} == expected


def test_each_cause_but_an_operators_has_one_outcome() -> None:
    outcomes = [(cause, state) for state, causes in CAUSES.items() for cause in causes]
    operators = {state for cause, state in outcomes if cause is Cause.OPERATOR}

    assert {cause for cause, _ in outcomes} == set(Cause) - {Cause.NONE}
    assert operators == {State.DISPENSED, State.NOT_DISPENSED}
    assert len(outcomes) == len(set(Cause) - {Cause.NONE}) + 1


def test_what_an_agent_reports_for_a_reason_that_is_not_its_to_give_is_unknown() -> None:
    """Invariant 8: only known evidence settles a drop."""
    for outcome, causes in AGENT_CAUSES.items():
        for cause in Cause:
            event, kept = reported(outcome, cause, sensor_independent=True, earlier=Cause.NONE)
            if cause in causes:
                assert step(State.DISPATCHED, event).state is outcome
                assert kept is cause
            else:
                assert (event, kept) == (DropEvent.LOSE, Cause.UNRECOGNIZED)
