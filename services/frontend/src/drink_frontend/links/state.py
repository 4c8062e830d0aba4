"""The rules of one link, without any I/O: what may be said when, and when it counts as lost."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import (
    AgentTooOldError,
    LinkProtocolError,
    LinkSupersededError,
    NotOwnerError,
)
from drink_frontend.links.messages import AgentMessage, BoardStatus, Hello, NotReceived

PROTOCOL_MIN = 1
"""Oldest link protocol that is still spoken; two minor releases back are kept."""

MISSED_HEARTBEATS = 3
"""Heartbeat intervals without any message after which a link counts as lost."""


class Phase(StrEnum):
    """Where a link stands."""

    GREETING = "GREETING"
    """Waits for Hello."""
    OPEN = "OPEN"
    """Welcome was said."""
    CLOSED = "CLOSED"
    """Nothing counts any more but results."""


@dataclass(slots=True)
class Progress:
    """How far a run of an agent has come, by what it has said here on any link.

    Attributes:
        boot_id: The run.
        journal_sequence: Number of the last durable record of its journal.
    """

    boot_id: str
    journal_sequence: int

    def is_ahead_of(self, hello: Hello) -> bool:
        """Whether it is further than when its Hello was said, which is on its way since.

        No journal is replaced by an older copy within a run.
        """
        return self.boot_id == hello.boot_id and self.journal_sequence > hello.journal_sequence


class LinkState:
    """One link's rules.

    Args:
        machine: The machine that the agent's token belongs to.
        heartbeat_interval_s: What Welcome tells the agent.
        now: Monotonic seconds.
    """

    def __init__(self, machine: str, heartbeat_interval_s: float, now: float) -> None:
        self.machine = machine
        self.phase = Phase.GREETING
        self.epoch = 0
        self.board = BoardStatus(ready=False)
        self._silence_limit_s = heartbeat_interval_s * MISSED_HEARTBEATS
        self._heard = now
        self._wanted: set[str] = set()

    @property
    def lost_at(self) -> float:
        """Monotonic seconds at which the link counts as lost unless something is heard."""
        return self._heard + self._silence_limit_s

    @property
    def ready(self) -> bool:
        """Whether a command would reach the board."""
        return self.reach is Reach.READY

    @property
    def reach(self) -> Reach:
        """How far a command would get."""
        if self.phase is not Phase.OPEN:
            return Reach.OFFLINE
        return Reach.READY if self.board.ready else Reach.BOARD_DOWN

    def greet(self, hello: AgentMessage, known: Progress | None) -> Hello:
        """Checks the first message.

        Args:
            hello: The message.
            known: What is known of the machine's agent already.

        Raises:
            LinkSupersededError: the agent has said more since, so this was under way for long.
            LinkProtocolError: it is not Hello, or not a sound one.
            AgentTooOldError: the agent speaks too old a protocol.
            NotOwnerError: the agent speaks for another machine than its own.
        """
        if self.phase is not Phase.GREETING or not isinstance(hello, Hello):
            raise LinkProtocolError("the first message must be Hello")
        if hello.protocol_version < PROTOCOL_MIN:
            raise AgentTooOldError("the agent's protocol is too old", oldest=PROTOCOL_MIN)
        if hello.machine != self.machine:
            raise NotOwnerError("token or certificate belong to another machine")
        if not hello.journal_id or not hello.boot_id or hello.journal_sequence < 0:
            raise LinkProtocolError("Hello lacks its journal or boot")
        if known is not None and known.is_ahead_of(hello):
            raise LinkSupersededError("the agent has said more since")
        return hello

    def opened(self, epoch: int, wanted: Collection[str], board: BoardStatus) -> None:
        """Welcome is about to be said."""
        assert self.phase is Phase.GREETING
        self.phase = Phase.OPEN
        self.epoch = epoch
        self.board = board
        self._wanted = set(wanted)

    def heard(self, message: AgentMessage, now: float) -> None:
        """Any later message.

        Raises:
            LinkProtocolError: it may not be said.
        """
        if isinstance(message, Hello):
            raise LinkProtocolError("Hello was said before")
        self._heard = now
        if isinstance(message, NotReceived):
            # Proof only for what Welcome asked about: a command sent on this very link may still
            # be on its way.
            if message.drop_id not in self._wanted:
                raise LinkProtocolError("NotReceived for a drop that was not asked about")
            self._wanted.remove(message.drop_id)

    def close(self) -> None:
        """The link gives no more commands."""
        self.phase = Phase.CLOSED
