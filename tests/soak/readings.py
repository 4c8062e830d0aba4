"""Which balances may have been read: those that an account had between question and answer."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.soak.history import Reading
from tests.support.oracle import Totals


@dataclass(frozen=True)
class Mark:
    """What is known from outside of when an entry was written.

    Attributes:
        place: Index of the account's totals after the entry.
        not_before_ms: When somebody first asked for it.
        seen_ms: When somebody was told that it is so; None if nobody was.
    """

    place: int
    not_before_ms: int
    seen_ms: int | None


def impossible_readings(
    totals: Sequence[Totals],
    marks: Iterable[Mark],
    readings: Iterable[Reading],
    limits: Collection[int] = (0,),
) -> Iterator[Reading]:
    """Readings that no order of events explains.

    Each reading must show the account as it stood at one moment between question and answer: with
    everything in it that was answered or read before the question, and nothing that was asked for
    after the answer. What was available may include any of the account's credit `limits`.
    """
    marks = list(marks)
    read: list[tuple[int, int]] = []  # end of a reading, and the earliest place that it shows
    for reading in sorted(readings, key=lambda each: each.start_ms):
        least = max(
            (
                *(m.place for m in marks if m.seen_ms is not None and m.seen_ms < reading.start_ms),
                *(place for end_ms, place in read if end_ms < reading.start_ms),
            ),
            default=0,
        )
        most = min(
            (m.place for m in marks if m.not_before_ms > reading.end_ms), default=len(totals)
        )
        for place in range(least, most):
            now = totals[place]
            # Who owes more than a limit that was lowered can spend nothing.
            spendable = {max(now.available + limit, 0) for limit in limits}
            if reading.available in spendable and reading.held in (None, now.debits_pending):
                read.append((reading.end_ms, place))
                break
        else:
            yield reading
