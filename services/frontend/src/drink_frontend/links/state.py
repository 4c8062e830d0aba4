"""The rules of one link, without I/O: which messages are valid, and when the link is lost."""

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
from drink_frontend.links.messages import AgentMessage, BoardStatus, CardRead, Hello, NotReceived

PROTOCOL_MIN = 1
"""Oldest supported link protocol; that of the last two minor releases is supported."""

PROTOCOL_ACKS_ALONG = 2
"""The first link protocol whose agents read acknowledgements that come with another message."""

MISSED_HEARTBEATS = 3
"""Heartbeat intervals without any message after which a link counts as lost."""


class Phase(StrEnum):
    """Phase of a link."""

    GREETING = "GREETING"
    """Hello was not received yet."""
    OPEN = "OPEN"
    """Welcome was sent."""
    CLOSED = "CLOSED"
    """The link sends no more commands."""


@dataclass(slots=True)
class AgentRun:
    """One run of an agent, over all of its links.

    Attributes:
        boot_id: Identifies the run of the agent.
        journal_sequence: Highest known number of a durable record of its journal.
    """

    boot_id: str
    journal_sequence: int

    def is_ahead_of(self, hello: Hello) -> bool:
        """Whether the agent has sent newer messages than this Hello, which was then delayed.

        A journal is not replaced by an older copy within one run.
        """
        return self.boot_id == hello.boot_id and self.journal_sequence > hello.journal_sequence


class LinkState:
    """One link's rules.

    Args:
        machine: The machine that the agent's token belongs to.
        heartbeat_interval_s: Interval that Welcome sets for the agent.
        now: Monotonic seconds.
    """

    def __init__(self, machine: str, heartbeat_interval_s: float, now: float) -> None:
        self.machine = machine
        self.phase = Phase.GREETING
        self.epoch = 0
        self.board = BoardStatus(ready=False)
        self.takes_acks_along = False
        self._silence_limit_s = heartbeat_interval_s * MISSED_HEARTBEATS
        self._heard = now
        self._wanted: set[str] = set()

    @property
    def lost_at(self) -> float:
        """Monotonic seconds at which the link is lost unless a message is received before."""
        return self._heard + self._silence_limit_s

    @property
    def ready(self) -> bool:
        """Whether a command would reach the board now."""
        return self.reach is Reach.READY

    @property
    def reach(self) -> Reach:
        """How far a command would get now."""
        if self.phase is not Phase.OPEN:
            return Reach.OFFLINE
        return Reach.READY if self.board.ready else Reach.BOARD_DOWN

    def greet(self, hello: AgentMessage, known: AgentRun | None) -> Hello:
        """Checks the first message.

        Args:
            hello: The message.
            known: The run of the machine's agent on its newest link before.

        Raises:
            LinkSupersededError: the Hello was delayed: newer messages of the agent came before.
            LinkProtocolError: it is not a valid Hello.
            AgentTooOldError: the agent's protocol is no longer supported.
            NotOwnerError: Hello names another machine than the agent's.
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
        self.takes_acks_along = hello.protocol_version >= PROTOCOL_ACKS_ALONG
        return hello

    def opened(self, epoch: int, wanted: Collection[str], board: BoardStatus) -> None:
        """Opens the link, before Welcome is sent."""
        assert self.phase is Phase.GREETING
        self.phase = Phase.OPEN
        self.epoch = epoch
        self.board = board
        self._wanted = set(wanted)

    def receive(self, message: AgentMessage, now: float) -> None:
        """Checks any later message.

        Raises:
            LinkProtocolError: the message is not valid in this phase.
        """
        if isinstance(message, Hello):
            raise LinkProtocolError("Hello was said before")
        if isinstance(message, CardRead):
            # Sent beside the agent's loop: it does not show that this one is alive.
            return
        self._heard = now
        if isinstance(message, NotReceived):
            # It proves something only for drops that Welcome asked about: a command sent on this
            # link may still be in the network.
            if message.drop_id not in self._wanted:
                raise LinkProtocolError("NotReceived for a drop that was not asked about")
            self._wanted.remove(message.drop_id)

    def close(self) -> None:
        """Ends the link: it sends no more commands."""
        self.phase = Phase.CLOSED
