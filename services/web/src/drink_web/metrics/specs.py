"""Every metric of the page and of the notifier: its name, unit, labels and meaning.

Names follow the conventions of Prometheus: base units, `_total` for counters. Every label has a
bounded number of values; none is an account, a drop, an address or a path as it was asked for.
`Spec.help` is also the text of docs/metrics.md.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Limits of histograms of times, in seconds."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric.

    Attributes:
        name: As Prometheus shows it; a histogram also has `_bucket`, `_sum` and `_count`.
        help: What it measures, in one line.
        labels: Names of its labels.
        kind: Its type.
        buckets: Upper limits of a histogram.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["counter", "gauge", "histogram"] = "gauge"
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Spec:
    return Spec(name, text, labels, "counter")


def _times(name: str, text: str, *labels: str) -> Spec:
    return Spec(name, text, labels, "histogram", SECONDS)


# --- requests ---

REQUESTS = _counter(
    "drink_web_requests_total",
    "Requests that were answered, by the template of their path, such as `/drops/{drop}`"
    " (`other` for paths that do not exist), method and class of status, such as `2xx` (`none` if"
    " the browser left before). An event stream counts when it ends.",
    "route",
    "method",
    "status",
)
REQUEST_SECONDS = _times(
    "drink_web_request_seconds",
    "Time from a request to the beginning of its answer, by the template of its path.",
    "route",
)
STREAMS = Spec("drink_web_streams", "Open event streams, which keep pages up to date.")
BROWSERS = Spec(
    "drink_web_browsers",
    "Browsers with an open event stream: one for each login, and one for each address (IPv6:"
    " network of 64 bits) of those without a login.",
)

# --- the frontend ---

REACHABLE = Spec(
    "drink_web_frontend_reachable", "Whether the frontend answers, so that people can buy."
)
REACHABLE_SINCE = Spec(
    "drink_web_frontend_reachable_change_timestamp_seconds",
    "When `drink_web_frontend_reachable` changed last, as Unix time; before that, the start.",
)
WATCH_RETRIES = _counter(
    "drink_web_watch_retries_total",
    "Times that the watch of the machines was begun again, after a break or an attempt in vain.",
)

# --- the process ---

BUILD_INFO = Spec("drink_web_build_info", "Always 1; version of the page.", ("version",))
LOOP_LAG = _times(
    "drink_web_event_loop_lag_seconds",
    "By how much a timer of the event loop was late, measured twice a second.",
)
_REFUSED = (
    "Connections to the port of the metrics that were refused or cut: too many at once, no"
    " complete request in time, or an answer that was not read."
)
SCRAPES_REFUSED = _counter("drink_web_scrapes_refused_total", _REFUSED)

# --- the notifier ---

NOTIFY_MESSAGES = _counter(
    "drink_notify_messages_total",
    "Messages, by channel and result: sent, or failed because the channel did not take it.",
    "channel",
    "result",
)
NOTIFY_TOLD = _counter(
    "drink_notify_told_total",
    "Openings and closings of alarms, and daily digests, that were told, by channel.",
    "channel",
)
NOTIFY_POSTPONED = _counter(
    "drink_notify_postponed_total",
    "Rounds of a channel that the frontend refused or did not answer.",
    "channel",
)
NOTIFY_FAILURES = Spec(
    "drink_notify_failed_attempts",
    "Attempts of the channel, one after another, that failed: a message that was not taken, or a"
    " frontend that did not answer. 0 once one works or there is nothing to tell.",
    ("channel",),
)
NOTIFY_WAITING = Spec(
    "drink_notify_waiting",
    "What the channel has to tell now and has not told, as of its last look. What its quiet hours"
    " hold back is not in it.",
    ("channel",),
)
NOTIFY_OLDEST = Spec(
    "drink_notify_untold_oldest_seconds",
    "Time since the oldest of what waits happened, by the host's clock; 0 if nothing waits.",
    ("channel",),
)
NOTIFY_SUCCESS = Spec(
    "drink_notify_last_success_timestamp_seconds",
    "When the channel took a message last, as Unix time; 0 before the first since the start.",
    ("channel",),
)
NOTIFY_BUILD_INFO = Spec("drink_notify_build_info", "Always 1; version of the page.", ("version",))
NOTIFY_SCRAPES_REFUSED = _counter("drink_notify_scrapes_refused_total", _REFUSED)

SECTIONS: tuple[tuple[str, tuple[Spec, ...]], ...] = (
    ("Requests", (REQUESTS, REQUEST_SECONDS, STREAMS, BROWSERS)),
    ("The frontend, seen from the page", (REACHABLE, REACHABLE_SINCE, WATCH_RETRIES)),
    ("The page's process", (BUILD_INFO, LOOP_LAG, SCRAPES_REFUSED)),
)
"""All metrics of `drink-web serve` by what they are about, in the order of docs/metrics.md."""

NOTIFY_SECTIONS: tuple[tuple[str, tuple[Spec, ...]], ...] = (
    (
        "Channels",
        (
            NOTIFY_MESSAGES,
            NOTIFY_TOLD,
            NOTIFY_POSTPONED,
            NOTIFY_FAILURES,
            NOTIFY_WAITING,
            NOTIFY_OLDEST,
            NOTIFY_SUCCESS,
        ),
    ),
    ("The notifier's process", (NOTIFY_BUILD_INFO, NOTIFY_SCRAPES_REFUSED)),
)
"""All metrics of `drink-web notify`, likewise."""
