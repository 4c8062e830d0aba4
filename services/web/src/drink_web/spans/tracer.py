"""Makes the spans of one process, and sends them if a collector is set."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from drink_web.spans.context import TraceContext, parse
from drink_web.spans.settings import TracingSettings

if TYPE_CHECKING:
    from drink_web.spans import otel

JUMP_NS = 50_000_000
"""Nanoseconds from which the wall clock counts as set: less is the time between two looks at two
clocks. A clock that is only made to run faster or slower takes the monotonic one along."""

Attributes = Mapping[str, str | int]


class Kind(Enum):
    """What a span is to its parent."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"


class TracingUnavailableError(Exception):
    """A collector is set, and the libraries that send spans to it are not installed."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended.

    Attributes:
        name: What happened.
        context: The span itself.
        parent_id: Of its parent in the same trace; None for the first span of a trace.
        began: When, in seconds of the tracer's monotonic clock.
        ended: Likewise; not before `began`.
        kind: What it is to its parent.
        attributes: What it was about.
        is_error: Whether it failed.
        service: What it happened in, if not in this process.
    """

    name: str
    context: TraceContext
    parent_id: str | None
    began: float
    ended: float
    kind: Kind = Kind.INTERNAL
    attributes: Attributes | None = None
    is_error: bool = False
    service: str | None = None


class OpenSpan:
    """A span that has begun in this process.

    Args:
        tracer: Takes it at its end.
        name: What happens.
        context: The span itself.
        parent_id: Of its parent; None for the first span of a trace.
        kind: What it is to its parent.
        attributes: What it is about.
    """

    def __init__(
        self,
        tracer: "Tracer",
        name: str,
        context: TraceContext,
        parent_id: str | None,
        *,
        kind: Kind,
        attributes: Attributes,
    ) -> None:
        self.context = context
        self._tracer = tracer
        self._name = name
        self._parent_id = parent_id
        self._kind = kind
        self._attributes = dict(attributes)
        self._began = tracer.monotonic()

    def end(self, name: str = "", *, is_error: bool = False, **attributes: str | int) -> None:
        """Ends it, and records it if its trace is recorded; called once.

        Args:
            name: What happened, if that is known only now.
            is_error: Whether what it stands for has failed.
            attributes: What is known now.
        """
        if not self.context.sampled:
            return
        span = Span(
            name or self._name,
            self.context,
            self._parent_id,
            self._began,
            self._tracer.monotonic(),
            self._kind,
            self._attributes | attributes,
            is_error,
        )
        self._tracer.add(span)


class Tracer:
    """Makes and sends spans. All methods run on the event loop, and none waits.

    Args:
        settings: Whether and where to.
        service: Name of the service.
        version: Its version.
        monotonic: Seconds of a clock that never jumps.
        now_ns: Nanoseconds since the epoch; may jump.

    Attributes:
        monotonic: Seconds of the clock that all spans are measured with.

    Raises:
        TracingUnavailableError: the libraries are missing.
    """

    def __init__(
        self,
        settings: TracingSettings,
        service: str,
        version: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.monotonic = monotonic
        self._now_ns = now_ns
        self._threshold = round(settings.sample_ratio * (1 << 64))
        self._epoch_ns = now_ns() - round(monotonic() * 1e9)
        self._exporter: otel.Exporter | None = None
        if settings.endpoint:
            try:
                # Installed with the extra only, and long to load.
                from drink_web.spans.otel import Exporter  # noqa: PLC0415
            except ImportError as error:
                raise TracingUnavailableError(
                    f"tracing.endpoint needs {service}[otel], which is not installed: {error.name}"
                ) from error
            self._exporter = Exporter(settings, service, version)

    @property
    def is_on(self) -> bool:
        """Whether spans are sent."""
        return self._exporter is not None

    def start(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | str | bytes | None = None,
        **attributes: str | int,
    ) -> OpenSpan | None:
        """Begins a span, in a trace of its own without a valid parent.

        Args:
            name: What happens.
            kind: What it is to its parent.
            parent: The span or header `traceparent` that it belongs to.
            attributes: What it is about.

        Returns:
            None if traces are off. Its `context` says whether it is recorded, which its parent or
            the share of traced drops decides.
        """
        if self._exporter is None:
            return None
        above = parent if isinstance(parent, TraceContext) else parse(parent)
        if above is None:
            trace_id = _random_id(16)
            # The rule of OpenTelemetry's TraceIdRatioBased: the last 64 bits decide.
            sampled = int(trace_id[16:], 16) < self._threshold
        else:
            trace_id, sampled = above.trace_id, above.sampled
        context = TraceContext(trace_id, _random_id(8), sampled)
        parent_id = None if above is None else above.span_id
        return OpenSpan(self, name, context, parent_id, kind=kind, attributes=attributes)

    def add(self, span: Span) -> None:
        """Sends a span, soon; without a collector it is gone."""
        if self._exporter is None:
            return
        self._follow_wall_clock()
        began_ns = self._epoch_ns + round(span.began * 1e9)
        ended_ns = self._epoch_ns + round(span.ended * 1e9)
        self._exporter.add(span, began_ns, max(began_ns, ended_ns))

    def _follow_wall_clock(self) -> None:
        """Looks whether the wall clock was set, which moves later spans and turns none."""
        epoch_ns = self._now_ns() - round(self.monotonic() * 1e9)
        if abs(epoch_ns - self._epoch_ns) > JUMP_NS:
            self._epoch_ns = epoch_ns

    def monotonic_at(self, wall_ms: int) -> float:
        """What the monotonic clock showed at a time of the wall clock, as that goes now.

        Args:
            wall_ms: Milliseconds since the epoch. One that is yet to come, as after the clock was
                set back, counts as now.
        """
        self._follow_wall_clock()
        return min((wall_ms * 1_000_000 - self._epoch_ns) / 1e9, self.monotonic())

    async def close(self) -> None:
        """Sends what waits, within `stop_limit_s`."""
        if self._exporter is not None:
            await self._exporter.close()


NO_TRACER = Tracer(TracingSettings(), "", "")
"""Records nothing."""


def derived_id(*parts: str | int) -> str:
    """The id of a span that every process derives alike from what the span stands for."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]


def _random_id(size_bytes: int) -> str:
    while not any(random := os.urandom(size_bytes)):
        pass
    return random.hex()
