"""The drop: its states, the causes of each outcome, and the events that lead from state to state.

TRANSITIONS has the target state of each event in each state, and `step` looks it up. An event that
is not in the table for a state is refused with a typed result.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a drop."""

    SCHEDULED = "SCHEDULED"
    """Credits and item are reserved; not to be dispatched before `not_before_ms`."""
    RESERVED = "RESERVED"
    """Credits and item are reserved; the drop waits in its machine's queue."""
    DISPATCHED = "DISPATCHED"
    """The command is sent to the machine's agent, or may have been."""
    DISPENSED = "DISPENSED"
    """Final: the item fell and the credits are paid."""
    NOT_DISPENSED = "NOT_DISPENSED"
    """Final: the item provably did not fall; the credits are released."""
    UNKNOWN = "UNKNOWN"
    """The outcome is not known; the credits stay held until evidence or an operator decides."""

    @property
    def final(self) -> bool:
        """Whether the drop will never change again."""
        return self in {State.DISPENSED, State.NOT_DISPENSED}

    @property
    def answered(self) -> bool:
        """Whether the buyer can be answered: with the outcome, or that it is unknown."""
        return self.final or self is State.UNKNOWN


class Cause(StrEnum):
    """Why a drop is in its state; drink.v1.Drop.Cause documents each value."""

    NONE = "NONE"
    BOARD_ACK = "BOARD_ACK"
    BOARD_ACK_LATE = "BOARD_ACK_LATE"
    SENSOR = "SENSOR"
    DECLARED = "DECLARED"
    OPERATOR = "OPERATOR"
    BOARD_REFUSED = "BOARD_REFUSED"
    BOARD_REFUSED_LATE = "BOARD_REFUSED_LATE"
    BOARD_UNREACHABLE = "BOARD_UNREACHABLE"
    EXPIRED = "EXPIRED"
    MACHINE_OFFLINE = "MACHINE_OFFLINE"
    NOT_RECEIVED = "NOT_RECEIVED"
    CANCELLED = "CANCELLED"
    BOARD_SILENT = "BOARD_SILENT"
    BOARD_LOST = "BOARD_LOST"
    AGENT_RESTARTED = "AGENT_RESTARTED"
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    AGENT_LOST = "AGENT_LOST"
    UNRECOGNIZED = "UNRECOGNIZED"


AGENT_CAUSES = {
    State.DISPENSED: (Cause.BOARD_ACK, Cause.BOARD_ACK_LATE, Cause.SENSOR, Cause.DECLARED),
    State.NOT_DISPENSED: (
        Cause.BOARD_REFUSED,
        Cause.BOARD_REFUSED_LATE,
        Cause.BOARD_UNREACHABLE,
        Cause.EXPIRED,
    ),
    State.UNKNOWN: (Cause.BOARD_SILENT, Cause.BOARD_LOST, Cause.AGENT_RESTARTED),
}
"""The outcomes that an agent may report, each with the causes that it may report for it."""

CAUSES = {
    State.DISPENSED: (*AGENT_CAUSES[State.DISPENSED], Cause.OPERATOR),
    State.NOT_DISPENSED: (
        *AGENT_CAUSES[State.NOT_DISPENSED],
        Cause.MACHINE_OFFLINE,
        Cause.NOT_RECEIVED,
        Cause.CANCELLED,
        Cause.OPERATOR,
    ),
    State.UNKNOWN: (
        *AGENT_CAUSES[State.UNKNOWN],
        Cause.JOURNAL_REPLACED,
        Cause.AGENT_LOST,
        Cause.UNRECOGNIZED,
    ),
}
"""Every cause that an outcome may have. The table `drops` has a constraint for each outcome."""


class DropEvent(StrEnum):
    """What can happen to a drop."""

    DUE = "DUE"
    """The time of a scheduled drop has come."""
    DISPATCH = "DISPATCH"
    """It is dispatched on its machine's link."""
    CANCEL = "CANCEL"
    """Its owner or an administrator cancels it."""
    RETURN = "RETURN"
    """Its agent proves that the command never arrived: it goes back to the queue."""
    WITHDRAW = "WITHDRAW"
    """Its machine was not connected in time."""
    PROVE_DISPENSED = "PROVE_DISPENSED"
    """Evidence that the item fell."""
    PROVE_NOT_DISPENSED = "PROVE_NOT_DISPENSED"
    """Evidence that the motor did not run."""
    LOSE = "LOSE"
    """The outcome cannot be known now."""
    DECIDE_DISPENSED = "DECIDE_DISPENSED"
    """A named operator decides that the item fell."""
    DECIDE_NOT_DISPENSED = "DECIDE_NOT_DISPENSED"
    """A named operator decides that the item did not fall."""


class Verdict(StrEnum):
    """What `step` made of an event."""

    MOVED = "MOVED"
    """The drop has a new state."""
    REPEATED = "REPEATED"
    """The drop is in the event's target state already; nothing to do."""
    CONTRADICTED = "CONTRADICTED"
    """Evidence against a settled drop: recorded for an operator, never applied."""
    REFUSED = "REFUSED"
    """The event cannot happen in this state."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of an event.

    Attributes:
        verdict: Whether and how the event was applied.
        state: The state after the event.
    """

    verdict: Verdict
    state: State


_S, _E = State, DropEvent

_EVIDENCE = {
    _E.PROVE_DISPENSED: _S.DISPENSED,
    _E.PROVE_NOT_DISPENSED: _S.NOT_DISPENSED,
    _E.LOSE: _S.UNKNOWN,
}
_EVENT_OF = {outcome: event for event, outcome in _EVIDENCE.items()}

# Evidence counts in every open state, RESERVED and SCHEDULED included: a database that was restored
# from a backup may lack the dispatch. LOSE in UNKNOWN keeps the state and replaces the cause: first
# the frontend stopped waiting, then the agent reported why the outcome is unknown.
TRANSITIONS: dict[tuple[State, DropEvent], State] = {
    (_S.SCHEDULED, _E.DUE): _S.RESERVED,
    (_S.SCHEDULED, _E.CANCEL): _S.NOT_DISPENSED,
    (_S.RESERVED, _E.DISPATCH): _S.DISPATCHED,
    (_S.RESERVED, _E.CANCEL): _S.NOT_DISPENSED,
    (_S.RESERVED, _E.WITHDRAW): _S.NOT_DISPENSED,
    **{
        (state, event): target
        for state in (_S.SCHEDULED, _S.RESERVED, _S.DISPATCHED, _S.UNKNOWN)
        for event, target in _EVIDENCE.items()
    },
    (_S.DISPATCHED, _E.RETURN): _S.RESERVED,
    (_S.UNKNOWN, _E.DECIDE_DISPENSED): _S.DISPENSED,
    (_S.UNKNOWN, _E.DECIDE_NOT_DISPENSED): _S.NOT_DISPENSED,
}


def reported(
    outcome: State, cause: Cause, *, sensor_independent: bool, earlier: Cause
) -> tuple[DropEvent, Cause]:
    """The event that an agent's report stands for, and the cause to keep with the new state.

    An outcome with a cause that is not known here, as a newer agent's, becomes UNKNOWN.

    Args:
        outcome: A key of AGENT_CAUSES.
        cause: What the agent gives as its cause.
        sensor_independent: Whether the agent declares that only a sale changes its sensors.
        earlier: The drop's cause so far.
    """
    if (outcome, cause) == (State.DISPENSED, Cause.SENSOR) and not sensor_independent:
        # An agent of 0.1.0 reports so what a sensor read after a silence, and a refusal can change
        # a sensor as well as a sale. What it reported is in the audit record.
        outcome, cause = State.UNKNOWN, Cause.BOARD_SILENT
    if earlier is Cause.JOURNAL_REPLACED and outcome is not State.DISPENSED:
        # An old copy of the journal may lack the record that the motor was started, so it proves
        # only that an item fell.
        return DropEvent.LOSE, Cause.JOURNAL_REPLACED
    if cause not in AGENT_CAUSES[outcome]:
        return DropEvent.LOSE, Cause.UNRECOGNIZED
    return _EVENT_OF[outcome], cause


def step(state: State, event: DropEvent) -> StepResult:
    """The result of `event` for a drop in `state`."""
    target = TRANSITIONS.get((state, event))
    if target is not None:
        return StepResult(Verdict.MOVED, target)
    claimed = _EVIDENCE.get(event)
    if claimed is None:
        return StepResult(Verdict.REFUSED, state)
    # An unknown outcome never contradicts a known one.
    if claimed in {state, State.UNKNOWN}:
        return StepResult(Verdict.REPEATED, state)
    return StepResult(Verdict.CONTRADICTED, state)
