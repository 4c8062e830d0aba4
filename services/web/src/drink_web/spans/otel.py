"""Sends spans with the SDK of OpenTelemetry, by OTLP over HTTP.

The SDK has the queue, the batches, the retries and the encoding. A thread of its own sends, so that
a collector that hangs stops nobody.
"""

import asyncio
import threading
from typing import Any

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from drink_web.spans.settings import TracingSettings
from drink_web.spans.tracer import Kind, Span

RESPONSE_BYTES_MAX = 65_536
"""Bytes that are read of a collector's response; it says at most which spans were refused."""

SERVICES_MAX = 4
"""Services whose spans one process makes; the names are constants of the program."""

_KINDS = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CLIENT: trace.SpanKind.CLIENT,
}
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class _Ids(IdGenerator):
    """Gives out the ids that a span has already."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        """The trace of the next span."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """The next span."""
        return self.span_id


class _Session(requests.Session):
    """Reads no more of a response than it may have; the library would read all of it."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Sends a request; its response has no body."""
        with super().request(*args, **{**options, "stream": True}) as response:
            # A body that was read to its end leaves the connection open for the next request.
            response.raw.read(RESPONSE_BYTES_MAX)
            return response


class Exporter:
    """Sends spans in the background. `add` and `close` run on the event loop.

    Args:
        settings: Where to, and limits.
        service: Name of the service.
        version: Its version.
    """

    def __init__(self, settings: TracingSettings, service: str, version: str) -> None:
        self._stop_limit_s = settings.stop_limit_s
        self._service, self._version = service, version
        self._ids = _Ids()
        exporter = OTLPSpanExporter(
            endpoint=settings.endpoint, timeout=settings.request_limit_s, session=_Session()
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=settings.queue_spans_max,
            schedule_delay_millis=settings.interval_s * 1000,
            max_export_batch_size=settings.batch_spans_max,
            export_timeout_millis=settings.request_limit_s * 1000,
        )
        self._tracers: dict[str, trace.Tracer] = {}

    def add(self, span: Span, began_ns: int, ended_ns: int) -> None:
        """Queues a span.

        Args:
            span: The span.
            began_ns: When it began, in nanoseconds since the epoch.
            ended_ns: When it ended.
        """
        self._ids.trace_id = int(span.context.trace_id, 16)
        self._ids.span_id = int(span.context.span_id, 16)
        context = Context()
        if span.parent_id is not None:
            parent = trace.SpanContext(
                self._ids.trace_id, int(span.parent_id, 16), is_remote=True, trace_flags=_SAMPLED
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
        made = self._tracer(span.service or self._service).start_span(
            span.name,
            context,
            kind=_KINDS[span.kind],
            attributes=span.attributes,
            start_time=began_ns,
        )
        if span.is_error:
            made.set_status(trace.StatusCode.ERROR)
        made.end(ended_ns)

    async def close(self) -> None:
        """Sends what waits, within the limit; the thread that sends ends with the process."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            if not loop.is_closed():
                loop.call_soon_threadsafe(closed.set)

        # Not the loop's own threads, which the process would wait for.
        threading.Thread(target=close, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(self._stop_limit_s):
                await closed.wait()
        except TimeoutError:
            return

    def _tracer(self, service: str) -> trace.Tracer:
        if service not in self._tracers:
            assert len(self._tracers) < SERVICES_MAX
            about: dict[str, Any] = {"service.name": service}
            if service == self._service:
                about["service.version"] = self._version
            provider = TracerProvider(
                sampler=ALWAYS_ON,
                # With what OTEL_RESOURCE_ATTRIBUTES says of the place.
                resource=Resource.create(about),
                id_generator=self._ids,
                shutdown_on_exit=False,
            )
            provider.add_span_processor(self._processor)
            self._tracers[service] = provider.get_tracer(self._service, self._version)
        return self._tracers[service]
