"""Where the time of a traced drop went, as the agent tells it with the result.

Only in memory: a restarted agent tells no times, and its results do without.
"""

from collections import OrderedDict
from dataclasses import dataclass

from drink_agent.domain.evidence import Direction, Evidence

TRACES_MAX = 256
"""Most drops that are traced at once; a queue holds fewer, and results wait for a link."""


@dataclass(slots=True)
class DropTrace:
    """One drop's times, in seconds since the host booted; None until it has come so far."""

    traceparent: str
    """The span of its command, as its header."""
    received_at: float
    """When its command was received."""
    commanded_at: float | None = None
    """When the journal had it durably and the board was commanded."""
    answered_at: float | None = None
    """When the board's outcome came."""
    motor_ms: int | None = None
    """Milliseconds from the command on the wire to the board's answer."""
    recorded_at: float | None = None
    """When the journal had the result durably."""
    sent_at: float | None = None
    """When the result was sent last."""

    @property
    def trace_id(self) -> str:
        """The trace's id, for log lines."""
        return self.traceparent[3:35]

    def since_receipt(self, at: float | None) -> int | None:
        """Returns a time in milliseconds since the receipt of the command."""
        return None if at is None else max(0, round((at - self.received_at) * 1000))


class DropTraces:
    """The times of the traced drops that have no acknowledged result.

    Each method takes the time, in seconds since the host booted, and does nothing for a drop that
    is not traced.
    """

    def __init__(self) -> None:
        self._traces: OrderedDict[str, DropTrace] = OrderedDict()

    def received(self, drop: str, traceparent: str, at: float) -> None:
        """A drop's command was received; a repeated one changes nothing."""
        if not traceparent or drop in self._traces:
            return
        self._traces[drop] = DropTrace(traceparent, at)
        while len(self._traces) > TRACES_MAX:
            self._traces.popitem(last=False)

    def commanded(self, drop: str, at: float) -> None:
        """The board is commanded now."""
        if (trace := self._traces.get(drop)) is not None:
            trace.commanded_at = at

    def answered(self, drop: str, evidence: Evidence, at: float) -> None:
        """The board's outcome has come. Its answer is the last line that was received."""
        if (trace := self._traces.get(drop)) is not None:
            trace.answered_at = at
            heard = [line for line in evidence.lines if line.direction is Direction.RECEIVED]
            if heard and heard[-1].offset_ms >= 0:
                trace.motor_ms = heard[-1].offset_ms

    def reported(self, drop: str, at: float) -> DropTrace | None:
        """A result is durable and is sent now; returns what it tells."""
        if (trace := self._traces.get(drop)) is not None:
            trace.recorded_at = trace.recorded_at or at
            trace.sent_at = at
        return trace

    def acknowledged(self, drop: str) -> None:
        """The frontend has the result."""
        self._traces.pop(drop, None)

    def log_facts(self, drop: str) -> dict[str, object]:
        """Returns the field `trace_id` of a log line about a drop."""
        trace = self._traces.get(drop)
        return {} if trace is None else {"trace_id": trace.trace_id}
