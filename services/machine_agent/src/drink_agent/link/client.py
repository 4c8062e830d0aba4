"""Keeps a link to a frontend: dials, sends Hello, reads, and dials again when the link ends.

Messages on a link that breaks may be lost, and this module does not repeat them. The agent reports
results again on the next link, because the journal has them; all other messages are outdated by
then.
"""

import asyncio
import logging
import random as default_random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc

from drink.v1.machine_link_service_pb2 import (
    ConnectRequest,
    ConnectResponse,
    Goodbye,
    Welcome,
)
from drink.v1.machine_link_service_pb2_grpc import MachineLinkServiceStub
from drink_agent.domain.events import BoardStatus, LinkDown, LinkEvent
from drink_agent.link import convert
from drink_agent.link.channel import (
    LinkSetupError,
    authorization,
    certificate_problem,
    open_channel,
)
from drink_agent.link.convert import AgentStats, Hello, LinkViolationError
from drink_agent.link.reconnect import ReconnectPolicy, Retry, retry_for
from drink_agent.link.settings import LinkSettings
from drink_agent.link.stream import LinkStream

REASON_METADATA_KEY = "drink-error-reason"
"""Trailing metadata with the reason of the frontend's ErrorInfo, for peers without google.rpc."""

SUPERSEDED = "another agent with this machine's token or certificate has taken the link"
"""Explains a Goodbye for that reason to a person."""

DETAIL_MAX = 300
"""Largest number of logged characters of a text from the frontend."""

_log = logging.getLogger("drink_agent.link")

_Call = grpc.aio.StreamStreamCall[ConnectRequest, ConnectResponse]


@dataclass(frozen=True, slots=True)
class _Ending:
    retry: Retry
    reason: str
    detail: str = ""


class LinkClient:
    """The agent's end of the link.

    Args:
        settings: Addresses, credentials and limits of the link.
        make_hello: Returns the agent's identity and status; called for each link.
        on_event: Receives `LinkUp`, `Command`, `Ack` and `LinkDown`, in order. No further message
            is read from the frontend until it returns.
        clock: Monotonic seconds, since the host booted for times of receipt that the journal keeps.
        random: Returns a number from 0 up to 1.
        dial: Opens the channel of each link to an address.
    """

    def __init__(
        self,
        settings: LinkSettings,
        make_hello: Callable[[], Hello],
        on_event: Callable[[LinkEvent], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = default_random.random,
        dial: Callable[[LinkSettings, str], grpc.aio.Channel] = open_channel,
    ) -> None:
        self._settings = settings
        self._make_hello = make_hello
        self._on_event = on_event
        self._clock = clock
        self._dial = dial
        self._policy = ReconnectPolicy(settings, random)
        self._stream: LinkStream | None = None
        self._since = _now()
        self._problem = "dialling for the first time"
        self._retry_at: float | None = None
        self.lost = 0
        """Number of links that were up and have ended."""
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def is_up(self) -> bool:
        """Whether there is a link and the frontend has sent Welcome."""
        return self._stream is not None and self._stream.up_since is not None

    @property
    def heartbeat_at(self) -> float | None:
        """Time of the next heartbeat on the client's clock; None without a link."""
        return self._stream.heartbeat_at if self._stream else None

    @property
    def stats_at(self) -> float | None:
        """Time of the next statistics on the client's clock; None if none are due."""
        return self._stream.stats_at if self._stream else None

    def describe(self) -> dict[str, object]:
        """Returns the status of the link for a person, as values that JSON can encode."""
        left_s = None if self._retry_at is None else max(0.0, self._retry_at - self._clock())
        return {
            "up": self.is_up,
            "since": self._since,
            "address": self._policy.address,
            "problem": None if self.is_up else self._problem,
            "next_try_s": None if left_s is None else round(left_s, 1),
        }

    def send_heartbeat(self, journal_sequence: int) -> None:
        """Sends a heartbeat.

        To be called by the loop that dispenses, so that the frontend notices when that loop hangs.

        Args:
            journal_sequence: Number of the journal's last durable entry.
        """
        if self._stream is not None and self.is_up:
            number = self._stream.next_heartbeat(journal_sequence)
            self.send(convert.heartbeat(number, journal_sequence))

    def must_tell(self, journal_sequence: int) -> None:
        """Tells the frontend how far the journal has come, as soon as it wants to know that.

        Args:
            journal_sequence: Number of the last durable entry; a result that tells it will do too.
        """
        if self._stream is None or not self.is_up:
            return
        self._stream.must_tell(journal_sequence)
        due = self._stream.heartbeat_at
        if due is not None and due <= self._clock():
            self.send_heartbeat(journal_sequence)

    def send_status(self, status: BoardStatus) -> None:
        """Sends the board's status, if the link is up, in place of a queued older one."""
        if self._stream is not None and self.is_up:
            self._stream.put_status(convert.board_status(status))

    def send_stats(self, stats: AgentStats) -> None:
        """Sends the agent's statistics, if the link is up."""
        if self._stream is not None and self.is_up:
            self._stream.put_stats(convert.agent_stats(stats))

    def send_card(self, number: str) -> None:
        """Sends a card that was held to the reader, now or never.

        It is dropped without a link, while the one before it waits, and after some seconds: nobody
        stands there any more.
        """
        if self._stream is not None and self.is_up:
            self._stream.put_card(convert.card_read(number))

    def send(self, message: ConnectRequest) -> None:
        """Sends a message, if the link is up; it may be lost together with the link."""
        if self._stream is None or not self.is_up:
            return
        if self._stream.outgoing.qsize() < self._settings.outbox_limit:
            self._stream.put(message)
        else:
            _log.warning("outbox_full", extra={"kind": message.WhichOneof("message")})

    async def run(self) -> None:
        """Keeps a link, over any number of connections, until `close` is called."""
        while not self._closing.is_set():
            stream = LinkStream(self._settings, self._clock)
            self._ended.clear()
            try:
                ending = await self._link(stream)
            finally:
                self._stream = None
                self._ended.set()
            up_s = stream.up_s()
            self._problem = f"{ending.reason}: {ending.detail[:DETAIL_MAX]}".rstrip(": ")
            if stream.up_since is not None:
                self._since = _now()
                self.lost += 1
                await self._on_event(LinkDown())
            if not self._closing.is_set():
                await self._wait(ending, up_s)

    async def close(self) -> None:
        """Sends Goodbye and waits for the frontend to end the stream, up to `goodbye_limit_s`.

        `run` returns when the stream ends. If the frontend does not end it, the caller has to
        cancel `run`.
        """
        self._closing.set()
        if self._stream is None:
            return
        self.send(convert.goodbye())
        self._stream.outgoing.put_nowait(None)
        try:
            async with asyncio.timeout(self._settings.goodbye_limit_s):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("goodbye_unanswered")

    async def _wait(self, ending: _Ending, up_s: float) -> None:
        address = self._policy.address
        ready = self._make_hello().board.ready
        wait_s = self._policy.next_wait_s(ending.retry, up_s, board_ready=ready)
        needs_person = ending.retry in (Retry.SLOW, Retry.STANDBY)
        level = logging.ERROR if needs_person else logging.WARNING
        facts: dict[str, object] = {
            "address": address,
            "reason": ending.reason,
            "detail": ending.detail[:DETAIL_MAX],
            "up_s": round(up_s, 1),
            "retry_s": round(wait_s, 1),
            "retry_address": self._policy.address,
        }
        if ending.retry is Retry.STANDBY:
            facts["times"] = self._policy.superseded
        _log.log(level, "link_lost", extra=facts)
        self._retry_at = self._clock() + wait_s
        try:
            async with asyncio.timeout(wait_s):
                await self._closing.wait()
        except TimeoutError:
            pass
        finally:
            self._retry_at = None

    async def _link(self, stream: LinkStream) -> _Ending:
        """Dials once, keeps the link and returns how it ended."""
        try:
            hello = self._make_hello()
            self._log_certificate_problem(hello.machine)
            metadata = authorization(self._settings)
            async with self._dial(self._settings, self._policy.address) as channel:
                stream.outgoing.put_nowait(convert.hello(hello))
                self._stream = stream
                call: _Call = MachineLinkServiceStub(channel).Connect(
                    stream.messages(), metadata=metadata
                )
                try:
                    async with stream.heartbeat_monitor() as check_deadline:
                        return await self._read(call, stream, check_deadline)
                finally:
                    # gRPC's task that sends the messages does not end with a call that has ended.
                    stream.outgoing.put_nowait(None)
                    call.cancel()
        except grpc.aio.AioRpcError as error:
            code, reason = error.code().name, _reason_of(error)
            return _Ending(retry_for(code, reason), reason or code, error.details() or "")
        except TimeoutError:
            return _Ending(Retry.BACKOFF, "SILENT" if stream.up_since is not None else "NO_WELCOME")
        except LinkViolationError as error:
            return _Ending(Retry.SLOW, "VIOLATION", str(error))
        except LinkSetupError as error:
            return _Ending(Retry.SLOW, "SETUP", str(error))

    def _log_certificate_problem(self, machine: str) -> None:
        cert_file, key_file = self._settings.cert_file, self._settings.key_file
        if cert_file is None or key_file is None:
            return
        if problem := certificate_problem(cert_file, key_file, machine):
            _log.error("certificate_unfit", extra={"problem": problem})

    async def _read(
        self, call: _Call, stream: LinkStream, check_deadline: Callable[[], None]
    ) -> _Ending:
        while True:
            response = await call.read()
            if not isinstance(response, ConnectResponse):  # grpc.aio.EOF
                return _Ending(Retry.BACKOFF, "ENDED")
            now = self._clock()
            events = convert.link_events(response, int(now * 1000))
            if response.HasField("welcome"):
                self._take_welcome(response.welcome, stream)
                check_deadline()
            elif stream.up_since is None and not response.HasField("goodbye"):
                raise LinkViolationError("a message before Welcome")
            stream.received_at = now
            for event in events:
                await self._on_event(event)
            if response.HasField("goodbye"):
                if response.goodbye.reason == Goodbye.REASON_SUPERSEDED:
                    return _Ending(Retry.STANDBY, "LINK_SUPERSEDED", SUPERSEDED)
                return _Ending(Retry.IMMEDIATE, "SHUTTING_DOWN")

    def _take_welcome(self, welcome: Welcome, stream: LinkStream) -> None:
        wanted = len(welcome.wanted_drops)
        stream.welcome(
            welcome.heartbeat_interval_seconds,
            welcome.journal_report_ms,
            wanted,
            welcome.stats_interval_seconds,
        )
        self._since = _now()
        facts = {"address": self._policy.address, "epoch": welcome.epoch, "wanted": wanted}
        _log.info("link_up", extra=facts)


def _now() -> str:
    """Returns the time of day, which is only shown to people."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason_of(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == REASON_METADATA_KEY and isinstance(value, str):
            return value
    return ""
