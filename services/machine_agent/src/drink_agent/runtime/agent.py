"""The agent's loop: takes events, asks the dispenser for effects, and executes them in order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from drink_agent.domain.dispenser import Dispenser
from drink_agent.domain.events import (
    Append,
    BoardEvent,
    BoardOutcome,
    BoardStatus,
    Command,
    Dispense,
    Disregarded,
    Event,
    LinkEvent,
    LinkUp,
    Recall,
    Report,
    ReportNotReceived,
    Start,
    Stop,
    Sync,
    Tick,
)
from drink_agent.domain.evidence import Cause, Evidence, Outcome
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result
from drink_agent.domain.recovery import survivors
from drink_agent.domain.traces import DropTraces
from drink_agent.journal.file import Journal, JournalSettings
from drink_agent.link import convert
from drink_agent.link.client import LinkClient
from drink_agent.link.convert import AgentStats, Hello
from drink_agent.reader.reader import Reader
from drink_agent.runtime.counts import BoardCounts
from drink_agent.runtime.system import (
    DiskSpace,
    SystemdNotifier,
    memory_bytes,
    serve_status,
    socket_of,
)
from drink_agent.runtime.worker import Worker

_log = logging.getLogger("drink_agent.agent")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The settings of the agent's loop."""

    inbox_limit: int = 256
    """Default 256 events. Most events of the link that are queued; then it is not read. A frontend
    sends one command and one acknowledgement a drop."""
    stop_limit_s: float = 15.0
    """Default 15 s. Time from SIGTERM until the agent exits even if a drop is at the board. The
    next start reports that drop as unknown. A board answers or times out within 10 s."""
    ack_wait_s: float = 2.0
    """Default 2 s. Time for which a shutdown waits for the frontend's acknowledgements; the next
    start reports the results without one."""
    upkeep_interval_s: float = 5.0
    """Default 5 s. Interval at which the loop checks the disk and the journal and resets the
    supervisor's watchdog; several times in a WatchdogSec of 30."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")


class BoardPort(Protocol):
    """One machine's board: `board.Board`, or the benchmarks' board that answers at once.

    Each `dispense` is answered by exactly one `BoardOutcome` to the callback that it was made with.
    """

    @property
    def status(self) -> BoardStatus:
        """The board's status now."""

    @property
    def problem(self) -> str | None:
        """Why the board does not answer, for a person; None while it answers."""

    @property
    def connects(self) -> int:
        """Number of attempts to open the connection to the board."""

    async def run(self) -> None:
        """Keeps the board connected until cancelled."""

    def recall(self, recall: Recall) -> None:
        """Takes over the last command of an earlier run of the agent; called before `run`."""

    def dispense(self, drop: str, slot: int) -> None:
        """Commands a slot's motor at most once, and returns at once."""


MakeBoard = Callable[[Callable[[BoardEvent], None]], BoardPort]
"""Makes the board from the callback that takes its events."""
MakeLink = Callable[[Callable[[], Hello], Callable[[LinkEvent], Awaitable[None]]], LinkClient]
"""Makes the link from a function that returns the Hello and the callback that takes its events."""


class PartEndedError(Exception):
    """The task of the board or of the link has ended although the agent still runs.

    The agent exits: without that task it would look alive and not do its work.

    Args:
        part: "board" or "link".
    """

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} has ended by itself")


class Agent:
    """One machine's agent.

    Args:
        identity: The agent's Hello; journal sequence and board status are filled in.
        dispenser: The dispenser, with the journal replayed and not started.
        journal: The journal, open and locked; closed by `run`.
        make_board: Makes the board.
        make_link: Makes the link.
        clock: Returns seconds since the host booted; the link's `heartbeat_at` uses it too.
        settings: The settings of the loop.
        journal_settings: When to compact the journal, and when the disk counts as full.
        remembered_drops: Number of acknowledged drops that a compaction keeps.
        disk_space: Returns the space on the journal's disk.
        notifier: Notifies the supervisor.
        reader: Reads cards; None if there is no reader.
    """

    def __init__(
        self,
        *,
        identity: Hello,
        dispenser: Dispenser,
        journal: Journal,
        make_board: MakeBoard,
        make_link: MakeLink,
        clock: Callable[[], float],
        settings: AgentSettings,
        journal_settings: JournalSettings,
        remembered_drops: int,
        disk_space: Callable[[], DiskSpace],
        notifier: SystemdNotifier,
        reader: Reader | None = None,
    ) -> None:
        self._identity = identity
        self._reader = reader
        self._dispenser = dispenser
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._journal_settings = journal_settings
        self._survivors = partial(
            survivors,
            remembered_drops=remembered_drops,
            evidence_drops=journal_settings.evidence_drops,
        )
        self._disk_space = disk_space
        self._started_at = clock()
        self._counts = BoardCounts()
        self._notifier = notifier
        self._traces = DropTraces()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._link_room = asyncio.Semaphore(settings.inbox_limit)
        self._board: BoardPort = make_board(self._take_board_event)
        self._link = make_link(self.hello, self._take_link_event)
        self._disk = Worker("journal")
        self._status = BoardStatus(ready=False)
        self._seen: tuple[BoardStatus, bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._disk_full = False
        self._upkeep_at = 0.0
        self._stopping_since: float | None = None
        self._leaving = False
        self._ended: str | None = None
        self._idle_since: float | None = None

    def describe(self) -> dict[str, object]:
        """Returns the agent's status in a JSON-able form, for the person at the machine."""
        board = self._status
        return {
            "machine": self._identity.machine,
            "version": self._identity.agent_version,
            "stopping": self._stopping_since is not None,
            "link": dict(self._link.describe()),
            "board": {
                "ready": board.ready,
                "problem": self._board.problem,
                "temperature_celsius": board.temperature_celsius,
                "firmware_version": board.firmware_version or None,
                "slots": {str(slot): sensor.value for slot, sensor in board.sensors.items()},
            },
            "reader": None if self._reader is None else self._reader.describe(),
            "drops": {
                "at_board": self._dispenser.running,
                "waiting": self._dispenser.waiting,
                "unacknowledged": self._dispenser.unacked,
            },
            "journal": {
                "id": self._journal.journal_id,
                "durable_entries": self._journal.durable_sequence,
                "bytes": self._journal.size_bytes,
                "disk_full": self._disk_full,
            },
        }

    def hello(self) -> Hello:
        """Returns the Hello of a link that is opened now."""
        return Hello(
            machine=self._identity.machine,
            boot_id=self._identity.boot_id,
            journal_id=self._journal.journal_id,
            journal_sequence=self._journal.durable_sequence,
            agent_version=self._identity.agent_version,
            board=self._status,
        )

    def stats(self) -> AgentStats:
        """Returns the agent's counters and sizes now."""
        space = self._disk_space()
        return AgentStats(
            uptime_s=int(self._clock() - self._started_at),
            links_lost=self._link.lost,
            board_losses=self._counts.losses,
            board_connects=self._board.connects,
            board_timeouts=self._counts.timeouts,
            motor_times=tuple(self._counts.motor_times),
            motor_seconds=self._counts.motor_seconds,
            journal_bytes=self._journal.size_bytes,
            disk_free_bytes=space.free,
            disk_bytes=space.total,
            memory_bytes=memory_bytes(),
        )

    def stop(self) -> None:
        """Starts the shutdown: starts no further motor, and lets the drop at the board end."""
        if self._stopping_since is None:
            self._stopping_since = self._clock()
            self._notifier.stopping()
            _log.info("stopping")
            self._events.put_nowait(Stop())

    async def run(self) -> None:
        """Runs until `stop` is called.

        Raises:
            JournalError: In an ExceptionGroup. The journal failed; no effect was executed after it.
            PartEndedError: The task of the board or the link ended by itself. The drop at the board
                was awaited, as after `stop`.
        """
        status_socket = socket_of(self._journal_settings.path)
        try:
            async with serve_status(status_socket, self.describe), asyncio.TaskGroup() as tasks:
                board = tasks.create_task(self._keep("board", self._board.run()))
                link = tasks.create_task(self._keep("link", self._link.run()))
                cards = None
                if self._reader is not None:
                    cards = tasks.create_task(self._reader.run(self._link.send_card))
                try:
                    await self._work()
                finally:
                    self._leaving = True
                    if cards is not None:
                        cards.cancel()
                await self._link.close()
                link.cancel()
                board.cancel()
        finally:
            self._disk.shutdown(wait=True)
            self._journal.close()
            self._notifier.close()
        if self._ended is not None:
            raise PartEndedError(self._ended)

    async def _keep(self, part: str, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task that must not end before the agent leaves, and stops the agent if it does."""
        try:
            await work
        except asyncio.CancelledError:
            if self._leaving:
                raise
        if not self._leaving:
            _log.critical("part_ended", extra={"part": part})
            self._ended = part
            self.stop()

    def _take_board_event(self, event: BoardEvent) -> None:
        """Queues an event of the board, which never waits: it has few for each command.

        A changed status only wakes the loop, which reads the newest one before each event.
        """
        if not isinstance(event, BoardStatus):
            if isinstance(event, BoardOutcome):
                self._counts.outcome(event, self._clock())
                self._traces.answered(event.drop, event.evidence, self._clock())
            self._events.put_nowait(event)
        elif self._events.empty():
            self._events.put_nowait(Tick())

    async def _take_link_event(self, event: LinkEvent) -> None:
        """Queues an event of the link, which waits while `inbox_limit` of them are queued."""
        await self._link_room.acquire()
        if isinstance(event, Command):
            self._traces.received(event.drop, event.traceparent, event.received_ms / 1000)
        self._events.put_nowait(event)

    async def _work(self) -> None:
        await self._step(Start())
        self._notifier.ready()
        try:
            while not self._may_leave():
                event = await self._next_event()
                if isinstance(event, LinkEvent):
                    self._link_room.release()
                await self._refresh_status()
                if isinstance(event, LinkUp):
                    self._link.send_status(self._status)  # it may have changed since Hello
                await self._step(event)
                now = self._clock()
                heartbeat_at, stats_at = self._link.heartbeat_at, self._link.stats_at
                if heartbeat_at is not None and heartbeat_at <= now:
                    self._link.send_heartbeat(self._journal.durable_sequence)
                if stats_at is not None and stats_at <= now:
                    self._link.send_stats(self.stats())
                if now >= self._upkeep_at:
                    await self._upkeep()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        await asyncio.get_running_loop().run_in_executor(self._disk, self._journal.sync)

    async def _next_event(self) -> Event:
        """Waits for the next event, or for a Tick when a time limit has passed.

        The timer may fire too early, and is then set again: to set it for each event takes longer.
        """
        if self._events.empty():
            loop = asyncio.get_running_loop()
            at = loop.time() + self._wait_s()
            if self._timer is None or at < self._timer.when():
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = loop.call_at(at, self._tick)
        return await self._events.get()

    def _tick(self) -> None:
        self._timer = None
        if self._events.empty():
            self._events.put_nowait(Tick())

    def _wait_s(self) -> float:
        times = [self._upkeep_at]
        if (deadline_ms := self._dispenser.next_deadline_ms) is not None:
            times.append(deadline_ms / 1000)
        if (heartbeat_at := self._link.heartbeat_at) is not None:
            times.append(heartbeat_at)
        if (stats_at := self._link.stats_at) is not None:
            times.append(stats_at)
        if self._stopping_since is not None:
            times.append(self._stopping_since + self._settings.stop_limit_s)
        if self._idle_since is not None:
            times.append(self._idle_since + self._settings.ack_wait_s)
        return max(0.0, min(times) - self._clock())

    def _may_leave(self) -> bool:
        if self._stopping_since is None:
            return False
        now = self._clock()
        if now >= self._stopping_since + self._settings.stop_limit_s:
            _log.error("stopped_during_drop", extra={"drop_id": self._dispenser.running})
            return True
        if not self._dispenser.idle:
            return False
        if self._idle_since is None:
            self._idle_since = now
        if self._dispenser.unacked == 0 or not self._link.is_up:
            return True
        return now >= self._idle_since + self._settings.ack_wait_s

    async def _refresh_status(self) -> None:
        """Gives the board's newest status to the dispenser and the link, before the next event."""
        board = self._board.status
        usable = not self._disk_full and self._stopping_since is None
        if self._seen is not None and board is self._seen[0] and usable is self._seen[1]:
            return
        self._seen = board, usable
        self._counts.status(board)
        status = replace(board, ready=board.ready and usable)
        if status == self._status:
            return
        if status.ready != self._status.ready:
            _log.info("board_ready" if status.ready else "board_not_ready")
        self._status = status
        self._link.send_status(status)
        await self._step(status)

    async def _step(self, event: Event) -> None:
        """Gives an event to the dispenser, and executes the effects in order."""
        loop = asyncio.get_running_loop()
        for effect in self._dispenser.step(event, int(self._clock() * 1000)):
            match effect:
                case Append(entry):
                    self._journal.append(entry)
                    self._log_entry(entry)
                case Sync():
                    await loop.run_in_executor(self._disk, self._journal.sync)
                case Recall():
                    self._board.recall(effect)
                case Dispense(drop, slot, start_by_ms):
                    # An older copy of the journal can be detected later only if the frontend has
                    # received the number of this command's entry.
                    self._link.must_tell(self._journal.durable_sequence)
                    if self._clock() * 1000 < start_by_ms:
                        self._counts.commanded(drop, self._clock())
                        self._traces.commanded(drop, self._clock())
                        self._board.dispense(drop, slot)
                    else:
                        facts = {"drop_id": drop, **self._traces.log_facts(drop)}
                        _log.warning("expired_during_sync", extra=facts)
                        self._events.put_nowait(BoardOutcome(drop, Cause.EXPIRED, Evidence()))
                case Report(sequence, result):
                    trace = self._traces.reported(result.drop, self._clock())
                    self._link.send(convert.result(sequence, result, trace))
                case ReportNotReceived(drop):
                    _log.warning("drop_not_received", extra={"drop_id": drop})
                    self._link.send(convert.not_received(drop))
                case Disregarded(reason, drop):
                    facts = {"reason": reason.value, "drop_id": drop}
                    _log.warning("disregarded", extra=facts | self._traces.log_facts(drop))

    async def _upkeep(self) -> None:
        self._upkeep_at = self._clock() + self._settings.upkeep_interval_s
        self._notifier.alive()
        disk_full = self._disk_space().free < self._journal_settings.min_free_bytes
        if disk_full != self._disk_full:
            self._disk_full = disk_full
            _log.error("disk_full") if disk_full else _log.info("disk_has_room")
        if not self._dispenser.idle:
            return
        loop = asyncio.get_running_loop()
        if self._journal.dirty:
            await loop.run_in_executor(self._disk, self._journal.sync)
        size_bytes = self._journal.size_bytes
        worn_bytes = max(self._journal_settings.compact_bytes, 2 * self._journal.compacted_bytes)
        if size_bytes > worn_bytes and not disk_full:
            done = await loop.run_in_executor(self._disk, self._journal.compact, self._survivors)
            _log.info(
                "journal_compacted" if done else "journal_not_compacted",
                extra={"from_bytes": size_bytes, "to_bytes": self._journal.size_bytes},
            )

    def _log_entry(self, entry: Entry) -> None:
        """Logs an entry of the journal, for the operator."""
        record, level = entry.record, logging.DEBUG
        facts: dict[str, object]
        match record:
            case Accepted(drop):
                if drop == self._dispenser.running:
                    return
                event, level = "drop_accepted", logging.INFO
                facts = {"slot": record.slot, "ttl_ms": record.ttl_ms}
            case Commanded():
                event, facts = "drop_commanded", {"slot": record.slot}
            case Result():
                unsure = record.outcome is Outcome.UNKNOWN or record.evidence.contradiction
                event, level = "drop_result", logging.WARNING if unsure else logging.INFO
                facts = {
                    "revision": record.revision,
                    "outcome": record.outcome.value,
                    "cause": record.cause.value,
                    "contradiction": record.evidence.contradiction,
                }
            case Acked():
                event, facts = "drop_acknowledged", {"revision": record.revision}
        if _log.isEnabledFor(level):
            whose = {"drop_id": record.drop, "entry": entry.sequence}
            _log.log(level, event, extra=whose | self._traces.log_facts(record.drop) | facts)
        if isinstance(record, Acked):
            self._traces.acknowledged(record.drop)
