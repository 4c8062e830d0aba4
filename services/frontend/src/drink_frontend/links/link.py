"""One agent's link: receives its messages, sends commands one at a time, detects its loss."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace

import structlog

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.entities import Drop, Reach, Result
from drink_frontend.domain.errors import (
    DrinkError,
    LinkProtocolError,
    LinkSupersededError,
    OutcomeUnknownError,
    RateLimitedError,
    StorageUnavailableError,
)
from drink_frontend.domain.ports import Clock
from drink_frontend.links.card_reads import CardReads
from drink_frontend.links.machine import MachineState
from drink_frontend.links.messages import (
    AgentMessage,
    BoardStatus,
    CardRead,
    Dispense,
    Envelope,
    FrontendMessage,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    NotReceived,
    ResultAck,
    Welcome,
)
from drink_frontend.links.reports import Report, ReportBacklog, RetryDelays
from drink_frontend.links.settings import LinkSettings
from drink_frontend.links.state import AgentRun, LinkState, Phase
from drink_frontend.spans.context import trace_id_of
from drink_frontend.usecases.agents import Agents
from drink_frontend.usecases.card_logins import CardLogins
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.links import Links

log = structlog.get_logger(__name__)


class Link:
    """One agent's link; implements `usecases.links.AgentLink`.

    Args:
        machine: The machine that the agent's token belongs to.
        incoming: The agent's messages.
        links: Notified when the link's reach may have changed.
        agents: The use cases of what agents report about themselves and their boards.
        dispatch: The use cases of dispatching and settling drops.
        cards: The use cases of cards that are held to readers.
        clock: Time.
        settings: Limits.
        address: Where the agent calls from, for people; empty if that is not known.

    Attributes:
        state: The rules of this link.
        agent_run: The run of the agent, once the link is open.
        agent_version: Of the agent's software, once the link is open.
        stats: The newest counters and sizes that the agent has sent; None before the first.
    """

    def __init__(
        self,
        machine: MachineState,
        incoming: AsyncIterator[AgentMessage],
        links: Links,
        agents: Agents,
        dispatch: Dispatch,
        *,
        cards: CardLogins,
        clock: Clock,
        settings: LinkSettings,
        address: str = "",
    ) -> None:
        self.state = LinkState(machine.name, settings.heartbeat_interval_s, clock.monotonic())
        self._machine = machine
        self._incoming = incoming
        self._links = links
        self._agents = agents
        self._dispatch = dispatch
        self._cards = cards
        self._card_reads = CardReads(machine.name, self._look_up)
        self._clock = clock
        self._settings = settings
        # Every idle link would have the deque of a queue or an event, 624 bytes or more.
        self._outgoing: list[FrontendMessage | None] = []
        self._filled: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._acks: list[ResultAck] = []
        self._ack_due_s = 0.0
        self._ack_timer: asyncio.TimerHandle | None = None
        self._backlog = ReportBacklog(self._store, settings)
        self.agent_run = AgentRun("", 0)
        self.agent_version = ""
        self.stats: AgentStats | None = None
        self._address = address
        self._journal_id = ""
        self._last_sent_s = clock.monotonic()
        self._kept: BoardStatus | None = None
        self._listed: frozenset[int] | None = None
        self._expected: set[str] = set()
        self._newest_status = BoardStatus(ready=False)
        self._later_status: asyncio.TimerHandle | None = None
        self._loss_timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self._log = log.bind(machine=machine.name)

    @property
    def epoch(self) -> int:
        """Number of the link; 0 before it is open."""
        return self.state.epoch

    @property
    def reach(self) -> Reach:
        """How far a command on this link would get now."""
        return self.state.reach

    def wake(self) -> None:
        """Makes the link ask for the machine's next drop."""
        self._wake.set()

    def command(self, drop: Drop) -> None:
        """Sends the command of a drop whose dispatch on this link is committed."""
        self._expected.add(drop.id)
        ttl_ms = round(self._settings.command_ttl_s * 1000)
        trace = self._dispatch.commanded(drop)
        self._send(Dispense(drop.id, self.state.epoch, drop.slot, ttl_ms, trace))
        self._log.debug(
            "drop_dispatched",
            drop_id=drop.id,
            account=drop.account,
            slot=drop.slot,
            price=drop.price,
            **trace_id_of(drop.traceparent),
        )

    def fail(self, error: DrinkError) -> None:
        """Ends the link because of an error."""
        if self.state.phase is not Phase.CLOSED:
            self.state.close()
            self._failure = error
            self._log_limited(self._log.warning, "link_failed", reason=error.reason)
            self._put(None)

    async def open(self) -> None:
        """Receives Hello and starts the next epoch; `messages` then begins with Welcome.

        Raises:
            LinkProtocolError: no valid Hello was received in time.
            DrinkError: the agent may not connect.
        """
        try:
            async with asyncio.timeout(self._settings.hello_limit_s):
                first = await anext(self._incoming)
        except (TimeoutError, StopAsyncIteration):
            raise LinkProtocolError("no Hello came") from None
        hello = self.state.greet(first, self._machine.agent_run)
        self.agent_run = AgentRun(hello.boot_id, hello.journal_sequence)
        self._journal_id = hello.journal_id
        self.agent_version = hello.agent_version
        opening = await self._agents.open_link(
            self.state.machine,
            (hello.journal_id, hello.journal_sequence),
            Reach.READY if hello.board_status.ready else Reach.BOARD_DOWN,
            {
                "boot_id": hello.boot_id,
                "agent_version": hello.agent_version,
                **({"address": self._address} if self._address else {}),
            },
        )
        self.state.opened(opening.epoch, opening.wanted, hello.board_status)
        self._expected.update(opening.wanted)
        self._log = self._log.bind(epoch=opening.epoch)
        self._send(
            Welcome(
                opening.epoch,
                opening.wanted,
                self._settings.heartbeat_interval_s,
                round(self._settings.journal_keep_s * 1000),
                self._settings.stats_interval_s,
            )
        )
        self._log_limited(
            self._log.info, "link_opened", wanted=len(opening.wanted), ready=self.state.ready
        )

    async def messages(self) -> AsyncGenerator[Envelope, None]:
        """Yields the messages to send, until the link ends, with acknowledgements that wait.

        Raises:
            DrinkError: the link ends because of it.
            Exception: a fault of the program ended it.
        """
        tasks = [
            asyncio.create_task(self._guard(work), name=f"link {self.state.machine} {name}")
            for name, work in (
                ("receive", self._receive),
                ("store", self._backlog.run),
                ("dispatch", self._dispatch_drops),
            )
        ]
        self._watch()
        try:
            while (message := await self._next()) is not None:
                acks, self._acks = tuple(self._acks), []
                yield Envelope(message, acks)
            if self._failure is not None:
                raise self._failure
        finally:
            self.state.close()
            self._card_reads.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Gives back what the link holds; called once, after the last message."""
        self.state.close()
        self._log_limited(self._log.info, "link_closed")
        self._agents.link_ended(self.state.machine, self.state.epoch)
        for timer in (self._later_status, self._ack_timer, self._loss_timer):
            if timer is not None:
                timer.cancel()

    def supersede(self) -> None:
        """Ends the link because the machine has a newer one."""
        self._end(GoodbyeReason.SUPERSEDED)

    def release(self) -> None:
        """Ends the link because this frontend cannot serve it."""
        self._end(GoodbyeReason.SHUTTING_DOWN)

    def _end(self, reason: GoodbyeReason) -> None:
        if self.state.phase is not Phase.CLOSED:
            self.state.close()
            self._put(Goodbye(reason))
            self._put(None)

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs one of the link's tasks; the first to end ends the link."""
        try:
            await work()
        except LinkSupersededError as error:
            self._failure = error
            self.supersede()
        except DrinkError as error:
            self.fail(error)
        except Exception as error:
            # A fault of the program; `messages` raises it.
            self._failure = error
        finally:
            self.state.close()
            self._put(None)

    async def _receive(self) -> None:
        async for message in self._incoming:
            self.state.receive(message, self._clock.monotonic())
            match message:
                case Result() | NotReceived():
                    if isinstance(message, NotReceived) or message.drop_id not in self._expected:
                        self._count_unexpected()
                    # Reports stay in their order: this one waits behind those that wait.
                    is_stored = not self._backlog and await self._store(message)
                    if not is_stored and self._backlog.add(message):
                        self._log.warning("result_postponed", drop_id=message.drop_id)
                case Goodbye(reason):
                    self._log_limited(self._log.info, "link_goodbye", reason=reason)
                    return
                case _:
                    self._take(message)

    def _take(self, message: BoardStatus | Heartbeat | AgentStats | CardRead | Hello) -> None:
        """Takes a message that is about no drop."""
        match message:
            case BoardStatus():
                self._take_status(message)
            case Heartbeat(sequence, journal_sequence):
                self._keep_journal(journal_sequence)
                self._answer(sequence)
            case AgentStats():
                self.stats = message
            case CardRead(number):
                self._card_reads.add(number)
            case Hello():
                raise AssertionError("the link's state refuses a second Hello")

    async def _store(self, report: Report) -> bool:
        """Stores a report about a drop, and acknowledges a result once it is durable.

        Returns:
            False if the database does not answer; it can be stored later.

        Raises:
            OutcomeUnknownError: it may have been stored, and the next drop may be dispatched.
            DrinkError: it cannot be stored.
        """
        machine, epoch = self.state.machine, self.state.epoch
        try:
            if isinstance(report, NotReceived):
                await self._dispatch.not_received(machine, epoch, report.drop_id)
                self.wake()
                return True
            following = await self._dispatch.result(
                machine, report, self._journal_id, epoch if self.state.ready else None
            )
        except OutcomeUnknownError:
            raise
        except StorageUnavailableError:
            return False
        run = self.agent_run
        run.journal_sequence = max(run.journal_sequence, report.journal_sequence)
        self._expected.discard(report.drop_id)
        self._acknowledge(ResultAck(report.drop_id, report.revision))
        if following is not None:
            self.command(following)
        return True

    def _acknowledge(self, ack: ResultAck) -> None:
        """Acknowledges a result with the next message, or after `ack_wait_s`."""
        if not self.state.takes_acks_along:
            self._send(ack)
            return
        if not self._acks:
            self._ack_due_s = asyncio.get_running_loop().time() + self._settings.ack_wait_s
        self._acks.append(ack)
        if self._ack_timer is None:
            self._watch_acks()

    def _watch_acks(self) -> None:
        """Sends the acknowledgements that wait, once the first of them is due."""
        self._ack_timer = None
        if not self._acks:
            return
        loop = asyncio.get_running_loop()
        if self._ack_due_s > loop.time():
            self._ack_timer = loop.call_at(self._ack_due_s, self._watch_acks)
        else:
            self._send(self._acks.pop(0))

    def _count_unexpected(self) -> None:
        """Counts a message that costs a commit and is not the first result of a dispatched drop.

        Raises:
            RateLimitedError: there were too many; the agent repeats this one on its next link.
        """
        if not self._machine.rates.unexpected(self._clock.monotonic()):
            facts = {"limit": "unexpected_per_s"}
            self._agents.count_alarm(self.state.machine, AlarmKind.LINK_FLOODED, facts)
            raise RateLimitedError("the agent repeats too much", retry_after_seconds=1)

    def _take_status(self, status: BoardStatus) -> None:
        """Applies a change of the board's status; above the rate limit, the newest one later."""
        if self._later_status is not None:
            self._newest_status = status
            return
        if status == self.state.board:
            return
        wait_s = self._machine.rates.status_wait_s(self._clock.monotonic())
        if wait_s:
            self._newest_status = status
            loop = asyncio.get_running_loop()
            self._later_status = loop.call_later(wait_s, self._take_later_status)
            return
        self.state.board = status
        self._links.report_change()
        self.wake()

    def _take_later_status(self) -> None:
        self._later_status = None
        if self.state.phase is not Phase.CLOSED:
            self._take_status(self._newest_status)

    def _keep_journal(self, sequence: int) -> None:
        # The journal of an idle agent does not grow, and then nothing is written.
        if sequence > self.agent_run.journal_sequence:
            self.agent_run.journal_sequence = sequence
            self._agents.keep_journal(self.state.machine, (self._journal_id, sequence))

    def _answer(self, sequence: int) -> None:
        """Answers a heartbeat, unless a message was sent within the last half interval.

        An agent also sends a heartbeat when it starts a motor, right after its command came. Any
        message from the frontend keeps the agent's link for three intervals.
        """
        if self._clock.monotonic() - self._last_sent_s >= self._settings.heartbeat_interval_s / 2:
            self._send(Heartbeat(sequence))

    async def _keep_status(self) -> None:
        """Stores the board's last status, unless it is stored already."""
        status = self.state.board
        # The list of slots may be incomplete until the board is ready.
        listed = frozenset(status.sensors) if status.ready and status.sensors else self._listed
        is_kept = self._kept is not None and replace(self._kept, ready=status.ready) == status
        if is_kept and listed == self._listed:
            return
        if status.ignored_slots and not is_kept:
            self._log_limited(self._log.warning, "slots_ignored", slots=list(status.ignored_slots))
        await self._agents.keep_status(
            self.state.machine,
            self.state.epoch,
            status.sensors,
            status.temperature_celsius,
            complete=status.ready,
            firmware_version=status.firmware_version,
        )
        self._kept, self._listed = status, listed

    async def _dispatch_drops(self) -> None:
        """Dispatches drops when woken; each only after the one before it has an outcome."""
        delays = RetryDelays(self._settings)
        while True:
            self._wake.clear()
            try:
                await self._keep_status()
                if self.state.ready:
                    drop = await self._dispatch.take(self.state.machine, self.state.epoch)
                    if drop is not None:
                        self.command(drop)
            except OutcomeUnknownError:
                # A drop may be dispatched here whose command was not sent. That shows only at the
                # agent's next Hello, so the link ends.
                raise
            except StorageUnavailableError:
                self._log.warning("dispatch_postponed")
                await asyncio.sleep(delays.next_s())
            else:
                delays = RetryDelays(self._settings)
                await self._wake.wait()

    async def _look_up(self, number: str) -> None:
        """Tells kiosks of a card; what becomes of one ends no link."""
        try:
            await self._cards.read_at_machine(self.state.machine, number)
        except DrinkError as error:
            self._log_limited(self._log.info, "card_ignored", reason=error.reason)
        except Exception:
            # A fault of the program; drops have nothing to do with it.
            self._log_limited(self._log.exception, "card_failed")

    def _watch(self) -> None:
        """Ends the link when no message was received for too long."""
        left_s = self.state.lost_at - self._clock.monotonic()
        if left_s > 0:
            self._loss_timer = asyncio.get_running_loop().call_later(left_s, self._watch)
        elif self.state.phase is not Phase.CLOSED:
            self.state.close()
            self._log_limited(self._log.warning, "link_lost")
            self._put(None)

    def _send(self, message: FrontendMessage) -> None:
        if len(self._outgoing) >= self._settings.outgoing_max:
            self.fail(LinkProtocolError("the agent does not read"))
        elif self.state.phase is not Phase.CLOSED:
            self._last_sent_s = self._clock.monotonic()
            self._put(message)

    def _put(self, message: FrontendMessage | None) -> None:
        """Adds a message to those that `messages` yields; None is behind the last."""
        self._outgoing.append(message)
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)

    async def _next(self) -> FrontendMessage | None:
        while not self._outgoing:
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled
        return self._outgoing.pop(0)

    def _log_limited(self, write: Callable[..., object], event: str, **facts: object) -> None:
        """Logs an event that an agent can cause without end; omits lines above the rate limit."""
        unlogged = self._machine.rates.log_line(self._clock.monotonic())
        if unlogged is not None:
            write(event, **facts, **({"unlogged": unlogged} if unlogged else {}))
