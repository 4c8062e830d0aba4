"""A collector of OpenTelemetry: takes spans by OTLP over HTTP, or does not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from scripts.processes import wait_until


class Mood(Enum):
    """How it answers."""

    TAKES = "takes"
    HANGS = "hangs"
    FAILS = "fails"
    """With 500."""
    REFUSES = "refuses"
    """With 503, asking to be tried again in an hour."""
    ENDLESS = "endless"
    """With a body that does not end."""


@dataclass(frozen=True)
class Seen:
    """A span that came.

    Attributes:
        service: Its service.
        name: What happened.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: Of its parent; empty for the first span of a trace.
        began_ns: Nanoseconds since the epoch.
        ended_ns: Likewise.
        about: Its attributes.
        is_error: Whether it says that it failed.
        kind: SERVER, CLIENT or INTERNAL.
    """

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    about: dict[str, str | int]
    is_error: bool
    kind: str


class Collector:
    """The collector's state, shared with its threads.

    Attributes:
        mood: How it answers from now on.
        requests: How many requests have come.
        endpoint: Where.
        pours_ended: How many endless answers the other end has cut off.
        released: Set at the end, so that nothing hangs longer.
    """

    def __init__(self) -> None:
        self.mood = Mood.TAKES
        self.requests = 0
        self.endpoint = ""
        self.pours_ended = 0
        self.released = threading.Event()
        self._spans: list[Seen] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[Seen]:
        """All that have come."""
        with self._lock:
            return list(self._spans)

    def trace(self, trace_id: str) -> list[Seen]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def of_drop(self, drop: str) -> list[Seen]:
        """The spans of the trace in which a drop is."""
        found = {span.trace_id for span in self.spans if span.about.get("drink.drop") == drop}
        assert len(found) <= 1, found
        return self.trace(found.pop()) if found else []

    def wait_for(self, drop: str, *names: str) -> list[Seen]:
        """The trace of a drop, once it has spans of these names."""

        def whole() -> list[Seen] | None:
            spans = self.of_drop(drop)
            return spans if set(names) <= {span.name for span in spans} else None

        try:
            return wait_until(whole, f"{names} of {drop}")
        except TimeoutError as error:
            error.add_note(f"there are {sorted(span.name for span in self.of_drop(drop))}")
            raise

    def take(self, body: bytes) -> None:
        """Takes a request's spans."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                about = _attributes(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self._spans += [_seen(str(about["service.name"]), span) for span in scope.spans]


def _seen(service: str, span: trace_pb2.Span) -> Seen:
    kind = trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    return Seen(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        kind,
    )


def _attributes(pairs: object) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for pair in pairs:  # type: ignore[attr-defined]
        value = pair.value
        found[pair.key] = value.string_value if value.HasField("string_value") else value.int_value
    return found


def _handler(collector: Collector) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.requests += 1
            mood = collector.mood
            if mood is Mood.HANGS:
                collector.released.wait(60)
                self.close_connection = True
                return
            if mood is Mood.TAKES:
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                collector.take(body)
            status = {Mood.FAILS: 500, Mood.REFUSES: 503}.get(mood, 200)
            self.send_response(status)
            if mood is Mood.REFUSES:
                self.send_header("retry-after", "3600")
            if mood is Mood.ENDLESS:
                self.end_headers()
                self._pour()
            else:
                self.send_header("content-length", "0")
                self.end_headers()

        def _pour(self) -> None:
            self.close_connection = True
            try:
                while not collector.released.is_set():
                    self.wfile.write(bytes(65_536))
            except OSError:
                collector.pours_ended += 1

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector at a free port of this computer."""
    collector = Collector()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(collector)) as server:
        server.daemon_threads = True
        collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            collector.released.set()
            server.shutdown()
            thread.join()
