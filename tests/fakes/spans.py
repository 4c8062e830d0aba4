"""A tracer that keeps its spans."""

from drink_frontend.spans.settings import TracingSettings
from drink_frontend.spans.tracer import Span, Tracer
from tests.fakes.clock import FakeClock


class KeptSpans:
    """Takes the spans of a tracer in the place of `spans.otel.Exporter`.

    Attributes:
        spans: What was sent.
        times_ns: When each began and ended, in nanoseconds since the epoch.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.times_ns: list[tuple[int, int]] = []

    def add(self, span: Span, began_ns: int, ended_ns: int) -> None:
        self.spans.append(span)
        self.times_ns.append((began_ns, ended_ns))

    async def close(self) -> None:
        return

    def named(self, name: str) -> Span:
        """The only span of this name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def at_ns(self, name: str) -> tuple[int, int]:
        """When the only span of this name began and ended."""
        return self.times_ns[self.spans.index(self.named(name))]


def keeping_tracer(clock: FakeClock, **settings: float) -> tuple[Tracer, KeptSpans]:
    """A tracer on a test's clock, and what takes its spans."""
    tracer = Tracer(
        TracingSettings(**settings),  # type: ignore[arg-type]
        "drink-test",
        "1",
        monotonic=clock.monotonic,
        now_ns=lambda: clock.wall_ms * 1_000_000,
    )
    kept = KeptSpans()
    tracer._exporter = kept  # type: ignore[assignment]
    return tracer, kept
