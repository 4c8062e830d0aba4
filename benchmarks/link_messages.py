"""Counts the messages of agents' links in what passes between agents and a frontend."""

from dataclasses import dataclass

from benchmarks.proxy import Exchange

PREFACE_BYTES = 24
"""What a client of HTTP/2 sends first (RFC 9113, 3.4)."""

FRAME_HEADER_BYTES = 9
"""Before each frame (RFC 9113, 4.1): three bytes of length, one of type, five others."""

DATA = 0
"""The type of frames that carry messages."""

MESSAGE_HEADER_BYTES = 5
"""Before each message of gRPC: one byte of flags, four of length."""


@dataclass(slots=True)
class MessageCounts:
    """The messages since the last question, from agents and to agents."""

    from_agents: int = 0
    to_agents: int = 0


class Messages:
    """Counts messages on links, each of which has a connection of its own; a `Counter`."""

    def __init__(self) -> None:
        self.counts = MessageCounts()

    def exchange(self) -> Exchange:
        """See `Counter`."""
        return LinkExchange(self)

    def take(self) -> MessageCounts:
        """See `Counter`."""
        counts, self.counts = self.counts, MessageCounts()
        return counts


class Direction:
    """What one end of a link sends.

    Args:
        preface_bytes: What it sends before its first frame.
    """

    def __init__(self, preface_bytes: int = 0) -> None:
        self._preface_left = preface_bytes
        self._frames = b""
        self._messages = b""

    def take(self, data: bytes) -> int:
        """Takes bytes; returns how many messages they complete."""
        skipped = min(self._preface_left, len(data))
        self._preface_left -= skipped
        self._frames += data[skipped:]
        while len(self._frames) >= FRAME_HEADER_BYTES:
            end = FRAME_HEADER_BYTES + int.from_bytes(self._frames[:3], "big")
            if len(self._frames) < end:
                break
            if self._frames[3] == DATA:
                self._messages += self._frames[FRAME_HEADER_BYTES:end]
            self._frames = self._frames[end:]
        return self._complete()

    def _complete(self) -> int:
        count = 0
        while len(self._messages) >= MESSAGE_HEADER_BYTES:
            end = MESSAGE_HEADER_BYTES + int.from_bytes(self._messages[1:5], "big")
            if len(self._messages) < end:
                break
            count += 1
            self._messages = self._messages[end:]
        return count


class LinkExchange(Exchange):
    """What passes on one link.

    Args:
        messages: Told of each message.
    """

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._up = Direction(PREFACE_BYTES)
        self._down = Direction()

    def asked(self, data: bytes, _now: float, /) -> None:
        """An agent has sent bytes."""
        self._messages.counts.from_agents += self._up.take(data)

    def answers(self, data: bytes, _now: float, /) -> None:
        """The frontend has sent bytes."""
        self._messages.counts.to_agents += self._down.take(data)
