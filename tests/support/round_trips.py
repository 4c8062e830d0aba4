"""Counts round trips of any kind in what passes before a server."""

from dataclasses import dataclass

from benchmarks.proxy import Exchange


@dataclass(slots=True)
class RoundTripCount:
    """Since the last question.

    Attributes:
        round_trips: Each begins with the first bytes that a client sends after an answer.
    """

    round_trips: int = 0


class RoundTrips:
    """Counts the round trips on all connections; a `Counter`."""

    def __init__(self) -> None:
        self.counts = RoundTripCount()

    def exchange(self) -> Exchange:
        """See `Counter`."""
        return _Trips(self)

    def take(self) -> RoundTripCount:
        """See `Counter`."""
        counts, self.counts = self.counts, RoundTripCount()
        return counts


class _Trips(Exchange):
    """What passes on one connection."""

    def __init__(self, all_trips: RoundTrips) -> None:
        self._all = all_trips
        self._is_answered = True

    def asked(self, _data: bytes, _now: float, /) -> None:
        """A client has sent bytes."""
        if self._is_answered:
            self._all.counts.round_trips += 1
            self._is_answered = False

    def answered(self) -> None:
        """The client has bytes of the server."""
        self._is_answered = True
