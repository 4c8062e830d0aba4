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

from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse, Goodbye
from drink.v1.machine_link_service_pb2_grpc import MachineLinkServiceStub
from drink_agent.domain.events import BoardStatus, Event, LinkDown, LinkUp
from drink_agent.domain.records import Result
from drink_agent.link import convert
from drink_agent.link.channel import (
    LinkSetupError,
    authorization,
    certificate_problem,
    open_channel,
)
from drink_agent.link.convert import Hello
from drink_agent.link.reconnect import ReconnectPolicy, Retry, retry_for
from drink_agent.link.settings import LinkSettings
from drink_agent.link.state import LinkState, LinkViolationError
from drink_agent.link.stream import Outbox, heartbeat_monitor

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
        clock: Monotonic seconds.
        random: Returns a number from 0 up to 1.
        dial: Opens the channel of each link to an address.
    """

    def __init__(
        self,
        settings: LinkSettings,
        make_hello: Callable[[], Hello],
        on_event: Callable[[Event], Awaitable[None]],
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
        self._state: LinkState | None = None
        self._outbox: Outbox | None = None
        self._since = _now()
        self._problem = "dialling for the first time"
        self._retry_at: float | None = None
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def is_up(self) -> bool:
        """Whether there is a link and the frontend has sent Welcome."""
        return self._state is not None and self._state.is_up

    @property
    def heartbeat_at(self) -> float | None:
        """Time of the next heartbeat on the client's clock; None without a link."""
        return self._state.heartbeat_at if self._state else None

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
        if self._state is not None and self._state.is_up:
            self._send(
                convert.heartbeat(self._state.next_heartbeat(self._clock()), journal_sequence)
            )

    def report(self, sequence: int, result: Result) -> None:
        """Sends a durable result, if there is a link.

        Args:
            sequence: Number of its entry in the journal.
            result: The result.
        """
        self._send(convert.result(sequence, result))

    def report_not_received(self, drop: str) -> None:
        """Reports that the journal has no entry of a drop, if there is a link."""
        self._send(convert.not_received(drop))

    def report_status(self, status: BoardStatus) -> None:
        """Sends the board's status, if there is a link, in place of a queued older one."""
        if self._outbox is not None and self.is_up:
            self._outbox.put_status(convert.board_status(status))

    async def run(self) -> None:
        """Keeps a link, over any number of connections, until `close` is called."""
        while not self._closing.is_set():
            state = LinkState(self._settings, self._clock())
            self._ended.clear()
            try:
                ending = await self._link(state)
            finally:
                self._state = self._outbox = None
                self._ended.set()
            up_s = state.up_s(self._clock())
            self._problem = f"{ending.reason}: {ending.detail[:DETAIL_MAX]}".rstrip(": ")
            if state.is_up:
                self._since = _now()
                await self._on_event(LinkDown())
            if not self._closing.is_set():
                await self._wait(ending, up_s)

    async def close(self) -> None:
        """Sends Goodbye and waits for the frontend to end the stream, up to `goodbye_limit_s`.

        `run` returns when the stream ends. If the frontend does not end it, the caller has to
        cancel `run`.
        """
        self._closing.set()
        if self._outbox is None:
            return
        if self.is_up:
            self._outbox.put(convert.goodbye())
        self._outbox.close()
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

    async def _link(self, state: LinkState) -> _Ending:
        """Dials once, keeps the link and returns how it ended."""
        try:
            hello = self._make_hello()
            self._log_certificate_problem(hello.machine)
            metadata = authorization(self._settings)
            async with self._dial(self._settings, self._policy.address) as channel:
                outbox = Outbox(self._settings.outbox_limit)
                outbox.put(convert.hello(hello))
                self._state, self._outbox = state, outbox
                call: _Call = MachineLinkServiceStub(channel).Connect(
                    aiter(outbox), metadata=metadata
                )
                try:
                    async with heartbeat_monitor(state, self._clock) as check_deadline:
                        return await self._read(call, state, check_deadline)
                finally:
                    # gRPC's task that reads the outbox does not end with a call that has ended.
                    outbox.close()
                    call.cancel()
        except grpc.aio.AioRpcError as error:
            code, reason = error.code().name, _reason_of(error)
            return _Ending(retry_for(code, reason), reason or code, error.details() or "")
        except TimeoutError:
            return _Ending(Retry.BACKOFF, "SILENT" if state.is_up else "NO_WELCOME")
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
        self, call: _Call, state: LinkState, check_deadline: Callable[[], None]
    ) -> _Ending:
        while True:
            response = await call.read()
            if not isinstance(response, ConnectResponse):  # grpc.aio.EOF
                return _Ending(Retry.BACKOFF, "ENDED")
            if response.HasField("goodbye"):
                if response.goodbye.reason == Goodbye.REASON_SUPERSEDED:
                    return _Ending(Retry.STANDBY, "LINK_SUPERSEDED", SUPERSEDED)
                return _Ending(Retry.IMMEDIATE, "SHUTTING_DOWN")
            event = convert.link_event(response)
            if isinstance(event, LinkUp):
                interval_s = response.welcome.heartbeat_interval_seconds
                state.record_welcome(interval_s, len(event.wanted), self._clock())
                check_deadline()
                self._since = _now()
                facts = {"epoch": event.epoch, "wanted": len(event.wanted)}
                _log.info("link_up", extra={"address": self._policy.address, **facts})
            else:
                state.record_message(self._clock())
            if event is not None:
                await self._on_event(event)

    def _send(self, message: ConnectRequest) -> None:
        if self._outbox is not None and self.is_up and not self._outbox.put(message):
            _log.warning("outbox_full", extra={"kind": message.WhichOneof("message")})


def _now() -> str:
    """Returns the time of day, which is only shown to people."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason_of(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == REASON_METADATA_KEY and isinstance(value, str):
            return value
    return ""
