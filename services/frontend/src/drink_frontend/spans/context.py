"""Where in which trace something happens, as the header `traceparent` says it.

The header is that of W3C Trace Context, https://www.w3.org/TR/trace-context/, section 3.2.
"""

import re
from dataclasses import dataclass

HEADER = "traceparent"
"""Name of the HTTP header and of the gRPC metadata."""

LENGTH_MAX = 256
"""Characters of a header that are looked at; version 00 has 55, and later ones may have more."""

_SAMPLED = 1
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span and its trace.

    Attributes:
        trace_id: 32 hexadecimal digits, not all zero.
        span_id: 16 hexadecimal digits, not all zero.
        sampled: Whether the trace is recorded.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header that hands it on."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse(header: str | bytes | None) -> TraceContext | None:
    """What a header says; None if there is none or it does not follow the specification."""
    if not isinstance(header, str) or len(header) > LENGTH_MAX:
        return None
    found = _SHAPE.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not (trace_id.strip("0") and span_id.strip("0")):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def trace_id_of(traceparent: str | None) -> dict[str, str]:
    """The field `trace_id` of a log line; no field without a trace."""
    context = parse(traceparent)
    return {} if context is None else {"trace_id": context.trace_id}
