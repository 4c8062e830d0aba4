"""What is counted and timed while it happens. All of it is cheap: a few microseconds a request."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drink_web.metrics import specs
from drink_web.metrics.specs import Spec

OTHER = "other"
"""The label of paths that do not exist, and of methods that are not in METHODS."""

METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
"""Methods with a label of their own."""

# Series of the time when a counter was made; nothing here needs them, and they double its series.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and histograms of one page.

    Attributes:
        registry: Where they are collected.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(specs.REQUESTS)
        self._seconds = self._histogram(specs.REQUEST_SECONDS)
        self._lag = self._histogram(specs.LOOP_LAG)
        self._scrapes_refused = self._counter(specs.SCRAPES_REFUSED)
        # The series of a label are found in a dictionary in a tenth of the library's time.
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def _counter(self, spec: Spec) -> Counter:
        return Counter(spec.name, spec.help, spec.labels, registry=self.registry)

    def _histogram(self, spec: Spec) -> Histogram:
        return Histogram(
            spec.name, spec.help, spec.labels, registry=self.registry, buckets=spec.buckets
        )

    def answered(self, route: str, method: str, status: int) -> None:
        """Counts a request.

        Args:
            route: Template of its path; empty for a path that does not exist.
            method: As it was asked for.
            status: Status of its answer; 0 if it was not answered.
        """
        key = (route or OTHER, method if method in METHODS else OTHER, status // 100)
        counter = self._counters.get(key)
        if counter is None:
            kind = f"{key[2]}xx" if key[2] else "none"
            counter = self._counters[key] = self._requests.labels(*key[:2], kind)
        counter.inc()

    def began(self, route: str, seconds: float) -> None:
        """Counts the time from a request to the beginning of its answer."""
        histogram = self._histograms.get(route)
        if histogram is None:
            histogram = self._histograms[route] = self._seconds.labels(route or OTHER)
        histogram.observe(seconds)

    def lag(self, seconds: float) -> None:
        """Counts by how much a timer of the event loop was late."""
        self._lag.observe(max(0.0, seconds))

    def scrape_refused(self) -> None:
        """Counts a connection to the port of the metrics that was refused or cut."""
        self._scrapes_refused.inc()


class RequestMetrics:
    """Counts and times the requests.

    Args:
        app: What answers.
        metrics: Counts them.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.began(_route(scope), time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._metrics.answered(_route(scope), scope["method"], status)


def _route(scope: Scope) -> str:
    """Template of the path, which the router has put into the scope; empty if there is none."""
    return getattr(scope.get("route"), "path", "")
