"""The spans of a drop, from its reservation to its outcome.

They are made when they end, from what is known then, because a process may be killed while a drop
is under way: its row has the span that ordered it, and the ids of all others are derived from the
drop's. So whichever process settles a drop adds to the same trace.
"""

from collections import OrderedDict
from dataclasses import dataclass

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Drop, Result
from drink_frontend.spans.context import TraceContext, parse
from drink_frontend.spans.tracer import NO_TRACER, Attributes, Span, Tracer, derived_id

AGENT = "drink-machine-agent"
"""Name of the service whose spans are made here: agents have no SDK and tell durations."""

UNTOLD = "untold"
"""Value of the attribute `drink.agent_times` of a link whose agent told no times with its result:
it was restarted in mid-drop and had them in memory only, or it is of 0.1.0."""

UNDER_WAY_MAX = 4_096
"""Drops whose times are kept; a queue holds fewer. Of others the database has the milliseconds."""


@dataclass(slots=True)
class _Times:
    """When what happened to a drop in this process, in monotonic seconds.

    Attributes:
        ordered: Its order came.
        waiting: Its reservation was durable.
        commanded: Its command was sent; None before.
    """

    ordered: float
    waiting: float
    commanded: float | None = None


class DropTraces:
    """Makes the spans of drops whose rows say that they are traced.

    Args:
        tracer: Takes them.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._under_way: OrderedDict[str, _Times] = OrderedDict()

    def now(self) -> float:
        """Monotonic seconds, for what the other methods are told of times."""
        return self._tracer.monotonic()

    def reserved(self, drop: Drop, ordered: float) -> None:
        """A new drop's reservation is durable.

        Args:
            drop: The drop.
            ordered: When its order came.
        """
        if drop.traceparent is None:
            return
        now = self.now()
        self._add(drop, "drop.reserve", "drop", ordered, now)
        self._keep(drop, _Times(ordered, waiting=now))

    def commanded(self, drop: Drop) -> str:
        """A drop's command is sent now; returns the `traceparent` that goes with it, or nothing."""
        above = parse(drop.traceparent)
        if above is None:
            return ""
        now, times = self.now(), self._under_way.get(drop.id)
        if times is None:
            ordered = self._tracer.monotonic_at(drop.created_ms)
            times = self._keep(drop, _Times(ordered, ordered))
        # A drop that its agent returned is dispatched again, on another link.
        began = times.waiting if times.commanded is None else times.commanded
        times.commanded = now
        self._add(drop, "drop.dispatch", "drop", began, now, number=drop.epoch or 0)
        return TraceContext(above.trace_id, _span_id(drop, "drop.link")).traceparent

    def reported(self, before: Drop, after: Drop, result: Result, received: float) -> None:
        """An agent's result has changed a drop.

        Args:
            before: The drop as it was.
            after: The drop now.
            result: The result.
            received: When it came.
        """
        if before.traceparent is None:
            return
        times = self._times(after)
        began = min(received, times.waiting if times.commanded is None else times.commanded)
        if result.revision == 1:
            facts = {} if result.timings else {"drink.agent_times": UNTOLD}
            self._add(after, "drop.link", "drop", began, received, facts=facts)
            self._add_agent(after, result, began, received)
        now = self.now()
        self._add(after, "drop.settle", "drop", received, now, number=result.revision)
        if before.settled_ms is None:
            self._end(after, now)

    def ended(self, *drops: Drop) -> None:
        """Drops may have an outcome otherwise: cancelled, withdrawn or given up."""
        for drop in drops:
            if drop.traceparent is not None and drop.state.answered:
                self._end(drop, self.now())

    def _end(self, drop: Drop, now: float) -> None:
        above, times = parse(drop.traceparent), self._times(drop)
        self._under_way.pop(drop.id, None)
        if above is None:
            return
        is_error = drop.state is not State.DISPENSED and drop.cause is not Cause.CANCELLED
        self._tracer.add(
            Span(
                "drop",
                TraceContext(above.trace_id, _span_id(drop, "drop")),
                above.span_id,
                min(times.ordered, now),
                now,
                attributes={**_about(drop), "drink.state": drop.state, "drink.cause": drop.cause},
                is_error=is_error,
            )
        )

    def _add_agent(self, drop: Drop, result: Result, began: float, received: float) -> None:
        """Adds the spans of the agent, its board and its motor.

        The agent tells times since it received the command. They are laid into the time for which
        the frontend waited, with as much of the rest before as after, whatever clock it has.
        """
        told = result.timings
        if told is None:
            return
        waited = received - began
        scale = min(1.0, waited * 1000 / told.sent_ms) if told.sent_ms else 1.0
        start = began + (waited - told.sent_ms * scale / 1000) / 2

        def at(ms: int) -> float:
            return start + min(ms, told.sent_ms) * scale / 1000

        def add(name: str, parent: str, first_ms: int, last_ms: int) -> None:
            self._add(drop, name, parent, at(first_ms), at(last_ms), service=AGENT)

        add("agent", "drop.link", 0, told.sent_ms)
        recorded_ms = told.recorded_ms
        if told.commanded_ms is not None:
            add("agent.accept", "agent", 0, told.commanded_ms)
            if told.answered_ms is not None:
                answered_ms = max(told.answered_ms, told.commanded_ms)
                add("board", "agent", told.commanded_ms, answered_ms)
                if told.motor_ms is not None:
                    first_ms = max(answered_ms - told.motor_ms, told.commanded_ms)
                    add("motor", "board", first_ms, answered_ms)
                add("agent.record", "agent", answered_ms, max(recorded_ms, answered_ms))

    def _add(
        self,
        drop: Drop,
        name: str,
        parent: str,
        began: float,
        ended: float,
        *,
        number: int = 0,
        service: str | None = None,
        facts: Attributes | None = None,
    ) -> None:
        above = parse(drop.traceparent)
        if above is not None:
            self._tracer.add(
                Span(
                    name,
                    TraceContext(above.trace_id, _span_id(drop, name, number)),
                    _span_id(drop, parent),
                    began,
                    ended,
                    attributes={**_about(drop), **(facts or {})},
                    service=service,
                )
            )

    def _keep(self, drop: Drop, times: _Times) -> _Times:
        self._under_way[drop.id] = times
        while len(self._under_way) > UNDER_WAY_MAX:
            self._under_way.popitem(last=False)
        return times

    def _times(self, drop: Drop) -> _Times:
        """What is known of a drop's times: to the millisecond, if another process placed it."""
        times = self._under_way.get(drop.id)
        if times is None:
            ordered = self._tracer.monotonic_at(drop.created_ms)
            times = _Times(ordered, ordered)
            if drop.dispatched_ms is not None:
                times.commanded = max(ordered, self._tracer.monotonic_at(drop.dispatched_ms))
        return times


def _span_id(drop: Drop, name: str, number: int = 0) -> str:
    return derived_id(drop.id, name, number)


def _about(drop: Drop) -> Attributes:
    """What each span says; who bought what is nobody's business at a collector."""
    return {"drink.drop": drop.id, "drink.machine": drop.machine, "drink.slot": drop.slot}


NO_TRACES = DropTraces(NO_TRACER)
"""For where nothing is traced."""
