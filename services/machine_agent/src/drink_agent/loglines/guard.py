"""What may be logged: no secret, nothing as a stranger sent it, and no event without end."""

import logging
import re
import traceback
from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from types import TracebackType
from typing import Any

TEXT_MAX = 4_096
"""Characters of a text that is not the service's own, such as a library's message."""

PERIOD_S = 60.0
"""Seconds in which an event may be logged as often as the setting allows."""

ALWAYS = 5
"""Lines of each event that are logged in any `PERIOD_S` seconds, however many other events repeat.
Beyond them all events share one allowance, so that a flood that causes many kinds of lines writes
hardly more of them than one that causes a single kind, and hides no event completely."""

KEYS_MAX = 4_096
"""Events that are counted apart. Their names are constants, and those of machines are few."""

HIDDEN = "[hidden]"
"""Stands for a secret."""

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
        rf"\1{HIDDEN}",
    ),
    # Whatever follows the scheme, also where another blank than a space is written between them.
    (re.compile(r"(?i)\b(bearer)\b\S*\s*\S*"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            rf"(?i)\b({'|'.join(sorted(SECRET_NAMES, key=len, reverse=True))})"
            r"(['\"]?\s*[:=,]\s*)(?!\[hidden\])(?:b?'[^']*'?|b?\"[^\"]*\"?|\S+)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"://[^\s/@]+@"), f"://{HIDDEN}@"),
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def without_secrets(text: str) -> str:
    """The text with what looks like a secret hidden."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would act on or that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode("utf-8", "backslashreplace").decode()
    )


def cut(text: str) -> str:
    """The text, its middle left out if it is too long."""
    if len(text) <= TEXT_MAX:
        return text
    half = TEXT_MAX // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters left out] {text[-half:]}"


def foreign(text: str) -> str:
    """A text that is not the service's own, fit for the log."""
    # Cut before the patterns are looked for, which take time.
    return printable(without_secrets(cut(text)))


def exception_text(text: str) -> str:
    """A formatted traceback, fit for the log. It keeps its line ends."""
    return "\n".join(printable(line) for line in without_secrets(cut(text)).split("\n"))


def frames_of(exception: ExcInfo) -> str:
    """A traceback without the words of its exception, which may repeat what a peer sent."""
    kind, _, trace = exception
    if kind is None:
        return ""
    return exception_text("".join([*traceback.format_tb(trace), kind.__name__]))


class Repeats:
    """Limits how many lines of each event, and of all events together, are logged in any minute.

    Called from any thread. A race between two threads lets one line more pass.

    Args:
        most: Lines of one event in any `PERIOD_S` seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._always = min(most, ALWAYS)
        self._clock = clock
        self._counts: dict[object, _Count] = {}
        # When the lines passed that used the common allowance.
        self._common: deque[float] = deque(maxlen=most)

    def passes(self, key: object) -> int | None:
        """Counts a line of an event.

        Args:
            key: The event.

        Returns:
            How many lines of the event were left out since the last one that passed; None if this
            one is left out too.
        """
        now = self._clock()
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= KEYS_MAX:
                self._counts.clear()
            count = self._counts[key] = _Count(self._most)
        if not (_has_room(count.passed, self._most, now) and self._may_repeat(count, now)):
            count.held_back += 1
            return None
        count.passed.append(now)
        held_back, count.held_back = count.held_back, 0
        return held_back

    def _may_repeat(self, count: "_Count", now: float) -> bool:
        """Whether the event may be logged once more, in view of all others; counts it if so."""
        if _has_room(count.passed, self._always, now):
            return True
        if not _has_room(self._common, self._most, now):
            return False
        self._common.append(now)
        return True


def _has_room(passed: Sequence[float], most: int, now: float) -> bool:
    """Whether fewer than `most` of the ascending times lie in the period that ends now."""
    return len(passed) < most or now - passed[-most] >= PERIOD_S


class _Count:
    """Lines of one event: when the latest of them passed, and how many were left out since."""

    __slots__ = ("held_back", "passed")

    def __init__(self, most: int) -> None:
        self.held_back = 0
        self.passed: deque[float] = deque(maxlen=most)


class Guard:
    """Decides about each line of the service's own, and cleans what it says.

    Args:
        repeats_max: Lines of one event in any minute, and of all events together beyond the first
            `ALWAYS` of each. Not limited: what happens to a drop, since each is paid for, debug
            lines, and what ends the process.
        clock: Monotonic seconds.
    """

    def __init__(self, repeats_max: int, clock: Callable[[], float]) -> None:
        self._repeats = Repeats(repeats_max, clock)

    def own(self, event: object, level: int, facts: MutableMapping[str, Any]) -> bool:
        """Whether an event of the service itself is logged; its facts are cleaned in place.

        Args:
            event: Its name.
            level: Its severity, as in `logging`.
            facts: What is said about it.
        """
        # A report that is repeated is no news of its drop, and costs nobody anything.
        is_news = "drop_id" in facts and facts.get("verdict") != "REPEATED"
        of_a_drop = level == logging.INFO and is_news
        if not (of_a_drop or level <= logging.DEBUG or level >= logging.CRITICAL):
            held_back = self._repeats.passes((event, facts.get("machine")))
            if held_back is None:
                return False
            if held_back:
                facts["unlogged"] = facts.get("unlogged", 0) + held_back
        for name, value in facts.items():
            if name in SECRET_NAMES:
                facts[name] = HIDDEN
            elif level >= logging.WARNING and isinstance(value, str):
                facts[name] = foreign(value)
        return True

    def library(self, logger: str, facts: MutableMapping[str, Any]) -> bool:
        """Whether a library's message is logged; all of a library counts as one event.

        Args:
            logger: The library's logger.
            facts: What is said; gets the count of messages that were held back.
        """
        held_back = self._repeats.passes(logger)
        if held_back:
            facts["unlogged"] = held_back
        return held_back is not None
