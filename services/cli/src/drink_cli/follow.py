"""Follows a drop to its end, and shows a person how it comes along."""

import time
from collections.abc import Callable, Iterator
from math import ceil
from types import TracebackType
from typing import Self

from rich.status import Status
from rich.text import Text

from drink.v1 import drop_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.errors import CallError, Exit
from drink_cli.output import Output
from drink_cli.text import printable, short

AGAIN_S, AGAIN_MAX_S = 0.5, 5.0
"""Seconds until a broken watch is opened again: doubled each time, up to the second number."""

BAR_CELLS = 20
"""Width of the bar of a motor, in characters."""

OPEN = (pb.Drop.STATE_SCHEDULED, pb.Drop.STATE_RESERVED, pb.Drop.STATE_DISPATCHED)
"""States of a drop under way."""


def is_answered(drop: pb.Drop) -> bool:
    """Whether there is an answer for its buyer: an outcome, or that it is unknown."""
    return drop.state not in OPEN


def states(
    api: Api,
    drop: pb.Drop,
    limit_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[pb.Drop]:
    """The drop now and at each change, until it is answered.

    A watch that breaks is opened again: the frontend may restart while the drop goes on.

    Args:
        api: The server.
        drop: The drop.
        limit_s: Seconds without any answer of the server after which it is given up.
        sleep: Waits.
        monotonic: The time.

    Raises:
        CallError: the server refused, or was away for too long.
    """
    yield drop
    wait_s, heard_at = AGAIN_S, monotonic()
    while not is_answered(drop):
        try:
            for update in api.watch(api.drops.WatchDrop, pb.WatchDropRequest(name=drop.name)):
                wait_s, heard_at = AGAIN_S, monotonic()
                drop = update.drop
                yield drop
                if is_answered(drop):
                    return
        except CallError as error:
            is_away = error.code in {Exit.UNREACHABLE, Exit.BUSY}
            if not is_away or monotonic() - heard_at > limit_s:
                raise
        sleep(wait_s)
        wait_s = min(wait_s * 2, AGAIN_MAX_S)


class Progress:
    """The line that says where a drop is. A context manager.

    On a terminal it is one line that is drawn again; elsewhere each state is a line of its own.

    Args:
        output: Where to.
        delay_s: Seconds that the drop was just asked to wait; 0 if that is over or not known.
        monotonic: The time.
    """

    def __init__(
        self,
        output: Output,
        delay_s: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._due_at = monotonic() + delay_s
        self._monotonic = monotonic
        self._status: Status | None = None
        self._line = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, drop: pb.Drop) -> None:
        """Shows a state; one that answers the drop is for the caller to tell."""
        if self._output.is_json or is_answered(drop):
            return
        line = progress_line(drop)
        if line == self._line:
            return
        self._line = line
        if not self._output.is_live:
            self._output.say(line)
            return
        is_scheduled = drop.state == pb.Drop.STATE_SCHEDULED
        expected_s = drop.expected_duration.ToMilliseconds() / 1_000
        if is_scheduled:
            text = _Timed(printable(line), self._monotonic, due_at=self._due_at)
        elif drop.state == pb.Drop.STATE_RESERVED:
            text = _Timed(printable(line), self._monotonic, about_s=expected_s)
        else:
            text = _Timed(printable(line), self._monotonic, bar_s=expected_s)
        if self._status is None:
            self._status = self._output.console.status(text)
            self._status.start()
        else:
            self._status.update(text)


class _Timed:
    """A line with the seconds left until a moment, or else with those since it was first shown.

    Args:
        line: What is so for now.
        monotonic: The time.
        due_at: When it ends; None if that is not known.
        about_s: Seconds that it will take by an estimate; 0 if there is none.
        bar_s: The same, shown as a bar that fills.
    """

    def __init__(
        self,
        line: str,
        monotonic: Callable[[], float],
        *,
        due_at: float | None = None,
        about_s: float = 0,
        bar_s: float = 0,
    ) -> None:
        self._line = line
        self._monotonic = monotonic
        self._due_at = due_at
        self._about_s = about_s
        self._bar_s = bar_s
        self._since = monotonic()

    def __rich__(self) -> Text:
        now = self._monotonic()
        if self._due_at is not None:
            left_s = ceil(self._due_at - now)
            return Text(f"{self._line}, falls in {left_s} s" if left_s > 0 else self._line)
        passed_s = now - self._since
        if self._about_s > passed_s:
            return Text(f"{self._line}, about {ceil(self._about_s - passed_s)} s")
        seconds = int(passed_s)
        if self._bar_s > 0:
            done = min(BAR_CELLS, int(BAR_CELLS * passed_s / self._bar_s))
            return Text(f"{self._line} [{'#' * done}{'-' * (BAR_CELLS - done)}] {seconds} s")
        return Text(f"{self._line}, {seconds} s" if seconds else self._line)


def progress_line(drop: pb.Drop) -> str:
    """Where a drop under way is, for its buyer."""
    what = f"{drop.item} from {short(drop.slot)}, {drop.price} credits held"
    match drop.state:
        case pb.Drop.STATE_SCHEDULED:
            return f"{what}: scheduled, Ctrl-C cancels"
        case pb.Drop.STATE_RESERVED:
            return f"{what}: in line{queue_words(drop)}"
        case _:
            return f"{what}: at the motor"


def queue_words(drop: pb.Drop) -> str:
    """How many come before a drop that waits; empty if the server does not tell."""
    if not drop.HasField("drops_ahead"):
        return ""
    return f", {drop.drops_ahead} before it" if drop.drops_ahead else ", next"
