"""Removes secrets and control characters from log lines, and limits the lines of each event."""

import logging
import re
import traceback
from collections import deque
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

TEXT_MAX = 4_096
"""Largest length, in characters, of a text from outside the service."""

PERIOD_S = 60.0
"""Period, in seconds, of the limits of lines."""

ALWAYS = 5
"""Lines of each event that are logged in any period, however many other events repeat. Beyond them
all events share one limit, so that a flood that causes many kinds of lines writes hardly more of
them than one that causes a single kind, and hides no event completely."""

EVENTS_MAX = 4_096
"""Largest number of counters. Event names are constants and machines are few, so it is not reached
in normal operation; when it is, all counters start again."""

REDACTED = "[hidden]"
"""Replaces a secret."""

SECRET_NAMES = frozenset(
    {
        "authorization", "cookie", "credential", "credentials", "ibutton", "pass", "passwd",
        "passphrase", "password", "private_key", "proxy-authorization", "secret", "token",
    }
)  # fmt: skip
"""Names of fields whose values are never logged."""

_SECRETS = (
    (
        re.compile(r"(?i)\b(authorization['\"]?\s*[:=,]\s*)\S+(?:\s+\S+)?"),
        rf"\1{REDACTED}",
    ),
    # Everything after the scheme, also if another kind of white space than a space separates them.
    (re.compile(r"(?i)\b(bearer)\b\S*\s*\S*"), rf"\1 {REDACTED}"),
    (
        re.compile(
            rf"(?i)\b({'|'.join(sorted(SECRET_NAMES, key=len, reverse=True))})"
            r"(['\"]?\s*[:=,]\s*)(?!\[hidden\])(?:b?'[^']*'?|b?\"[^\"]*\"?|\S+)"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"://[^\s/@]+@"), f"://{REDACTED}@"),
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def redact(text: str) -> str:
    """Returns the text with everything that looks like a secret replaced."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def escape_unprintable(text: str) -> str:
    """Returns the text with control characters and invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode("utf-8", "backslashreplace").decode()
    )


def shorten(text: str) -> str:
    """Returns the text without its middle part if it is longer than `TEXT_MAX`."""
    if len(text) <= TEXT_MAX:
        return text
    half = TEXT_MAX // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters left out] {text[-half:]}"


def sanitize(text: str) -> str:
    """Returns a text from outside the service as one safe line of limited length."""
    # Shortened first, because the time of the pattern search grows with the length.
    return escape_unprintable(redact(shorten(text)))


def sanitize_traceback(text: str) -> str:
    """Returns a formatted traceback with the same cleaning, its line breaks kept."""
    return "\n".join(escape_unprintable(line) for line in redact(shorten(text)).split("\n"))


def traceback_without_message(exception: ExcInfo) -> str:
    """Returns a traceback that ends with the exception's type.

    The message is left out, because it may repeat what a peer sent.
    """
    kind, _, trace = exception
    if kind is None:
        return ""
    return sanitize_traceback("".join([*traceback.format_tb(trace), kind.__name__]))


class LogRateLimiter:
    """Limits how often one event is logged in any period, and counts the suppressed lines.

    It may be called from any thread. A race between two threads lets one line more pass.

    Args:
        most: Largest number of lines in any period.
        period_s: Length of the period in seconds.
    """

    __slots__ = ("_most", "_passed", "_period_s", "_suppressed")

    def __init__(self, most: int, period_s: float) -> None:
        self._most = most
        self._period_s = period_s
        self._passed: deque[float] = deque(maxlen=most)
        self._suppressed = 0

    def passes(self, now: float, shared: Self | None = None) -> int | None:
        """Counts one line.

        Args:
            now: Monotonic seconds.
            shared: Limiter of all events together; it counts the lines beyond `ALWAYS`.

        Returns:
            None if the line is suppressed, else the number suppressed since the last one that
            passed.
        """
        if not self._has_room(self._most, now) or (
            shared is not None and not self._has_room(ALWAYS, now) and shared.passes(now) is None
        ):
            self._suppressed += 1
            return None
        self._passed.append(now)
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed

    def _has_room(self, most: int, now: float) -> bool:
        """Whether fewer than `most` lines have passed in the period that ends now."""
        return len(self._passed) < most or now - self._passed[-most] >= self._period_s


class LogFilter:
    """Decides which lines are logged, and cleans their fields.

    Args:
        repeats_max: Lines of one event in any minute, and of all events together beyond the first
            `ALWAYS` of each. Exempt are events of drops (each drop is paid for), debug lines, and
            errors that end the process.
        clock: Monotonic seconds.
    """

    def __init__(self, repeats_max: int, clock: Callable[[], float]) -> None:
        self._repeats_max = repeats_max
        self._clock = clock
        self._limiters: dict[object, LogRateLimiter] = {}
        self._shared = LogRateLimiter(repeats_max, PERIOD_S)

    def accept_event(self, event: object, level: int, fields: MutableMapping[str, Any]) -> bool:
        """Returns whether an event of the service is logged; cleans its fields in place.

        Args:
            event: Name of the event.
            level: Severity, as in `logging`.
            fields: Fields of the line. `unlogged` gets the count of lines suppressed before it.
        """
        # A repeated report brings no news about its drop, and can be sent without paying.
        is_news = "drop_id" in fields and fields.get("verdict") != "REPEATED"
        of_a_drop = level == logging.INFO and is_news
        if not (of_a_drop or level <= logging.DEBUG or level >= logging.CRITICAL):
            suppressed = self._count((event, fields.get("machine")), self._shared)
            if suppressed is None:
                return False
            if suppressed:
                fields["unlogged"] = fields.get("unlogged", 0) + suppressed
        for name, value in fields.items():
            if name in SECRET_NAMES:
                fields[name] = REDACTED
            elif level >= logging.WARNING and isinstance(value, str):
                fields[name] = sanitize(value)
        return True

    def accept_library_message(
        self, logger: str, level: int, fields: MutableMapping[str, Any]
    ) -> bool:
        """Returns whether a library's message is logged; all messages of a logger are one event.

        Debug messages do not count for the limit that all events share; there are so many of them
        that they would hide the service's own events.

        Args:
            logger: Name of the library's logger.
            level: Severity, as in `logging`.
            fields: Fields of the line. `unlogged` gets the count of lines suppressed before it.
        """
        suppressed = self._count(logger, None if level <= logging.DEBUG else self._shared)
        if suppressed:
            fields["unlogged"] = suppressed
        return suppressed is not None

    def _count(self, key: object, shared: LogRateLimiter | None) -> int | None:
        limiter = self._limiters.get(key)
        if limiter is None:
            if len(self._limiters) >= EVENTS_MAX:
                self._limiters.clear()
            limiter = self._limiters[key] = LogRateLimiter(self._repeats_max, PERIOD_S)
        return limiter.passes(self._clock(), shared)
