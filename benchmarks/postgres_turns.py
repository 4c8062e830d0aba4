"""Counts the turns of writing of frontends in what passes between them and a PostgreSQL server."""

from dataclasses import dataclass, field

from benchmarks.proxy import Exchange

WRITES = b"SERIALIZABLE"
"""What only a writer says: it begins a turn."""

READY, IDLE = b"Z", b"I"
"""The server's message that it is ready for the next statement, and its status outside a
transaction: https://www.postgresql.org/docs/current/protocol-message-formats.html."""


@dataclass(slots=True)
class TurnCounts:
    """The turns since the last question.

    Attributes:
        round_trips: Of each turn.
        held_s: Seconds that turns were held, together. A turn is held from when the server has its
            first statement, or the turn before has ended if that is later, to when the server has
            answered its commit.
    """

    round_trips: list[int] = field(default_factory=list)
    held_s: float = 0


class Turns:
    """Counts turns, of one frontend after another; a `Counter`."""

    def __init__(self) -> None:
        self.counts = TurnCounts()
        self.ended_at = 0.0

    def exchange(self) -> Exchange:
        """See `Counter`."""
        return TurnExchange(self)

    def take(self) -> TurnCounts:
        """See `Counter`."""
        counts, self.counts = self.counts, TurnCounts()
        return counts

    def end(self, round_trips: int, asked_at: float, now: float) -> None:
        """Counts a turn that has ended."""
        self.counts.round_trips.append(round_trips)
        self.counts.held_s += now - max(asked_at, self.ended_at)
        self.ended_at = now


class TurnExchange(Exchange):
    """What passes on one connection.

    A round trip begins with the first bytes that a client sends after it was given an answer.

    Args:
        turns: Told of each turn.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._writes = False
        self._round_trips = 0
        self._asked_at: float | None = None
        self._answered = True
        self._unread = b""

    def asked(self, data: bytes, now: float, /) -> None:
        """A client has sent bytes."""
        self._writes = self._writes or WRITES in data
        if self._asked_at is None:
            self._asked_at = now
        if self._answered:
            self._round_trips += 1
            self._answered = False

    def answers(self, data: bytes, now: float, /) -> None:
        """The server has sent bytes."""
        if not self._ready_and_idle(data):
            return
        if self._writes and self._asked_at is not None:
            self._turns.end(self._round_trips, self._asked_at, now)
        self._asked_at, self._round_trips = None, 0

    def answered(self) -> None:
        """The client has bytes of the server."""
        self._answered = True

    def _ready_and_idle(self, data: bytes) -> bool:
        """Whether these bytes complete a message that ends all work and the transaction."""
        data, at, idle = self._unread + data, 0, False
        while len(data) >= at + 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if len(data) < end:
                break
            if data[at : at + 1] == READY:
                idle = data[end - 1 : end] == IDLE
            at = end
        self._unread = data[at:]
        return idle
