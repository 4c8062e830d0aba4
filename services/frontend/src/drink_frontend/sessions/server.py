"""The session server: listeners, limits of connections, and a graceful end."""

import asyncio
import errno
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from drink_frontend.domain.origin import is_within, place
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.sessions.connection import Connection
from drink_frontend.sessions.connection_tracker import ConnectionTracker
from drink_frontend.sessions.context import ListenerContext, Services
from drink_frontend.sessions.dialects import DIALECTS
from drink_frontend.sessions.finger import FingerServer
from drink_frontend.sessions.limits import BufferLimit, TurnQueue
from drink_frontend.sessions.proxy_layer import PROXIES, ProxyLayer
from drink_frontend.sessions.replies import StatusLine, encode
from drink_frontend.sessions.reply_codes import ReplyCode
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.sessions.tls import Certificate, TlsLayer
from drink_frontend.system import connection_filter
from drink_frontend.system.connection_rates import ConnectionRates
from drink_frontend.system.sockets import endpoint_address, keep_alive, listen

log = structlog.get_logger(__name__)

ACCEPT_PAUSE_S = 0.5
"""Seconds without accepting after the system refused to: it lacks a resource."""

RESUME_INTERVAL_S = 0.5
"""Seconds between two checks whether places that may not connect may do so again."""

REPORT_S = 60.0
"""Seconds between two lines that many sessions have no login."""

_NO_LISTENER = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
"""Errors of accepting once the listening socket is closed; another attempt would fail too."""


class SessionServer:
    """Serves sessions, and finger, on the ports of the settings.

    Args:
        settings: Ports and limits.
        services: The use cases.
        descriptors: Open files that the process has for sessions.
    """

    def __init__(self, settings: SessionSettings, services: Services, *, descriptors: int) -> None:
        self._settings = settings
        self._services = services
        connections_max = min(settings.sessions_max, descriptors)
        self._idle_limits = {
            limit_s
            for listener in settings.listeners
            if (limit_s := settings.idle_limit(listener)) is not None
        }
        self._strangers_reports = LogRateLimiter(1, REPORT_S)
        self._rates = ConnectionRates("sessions", settings.opening, self._ignore)
        self._tracker = ConnectionTracker(
            connections_max,
            settings.sessions_per_address_max or (connections_max + 1) // 2,
            self._idle_limits,
            self._rates.uncount,
        )
        self._buffers = BufferLimit(settings.buffered_bytes_max)
        self._turns = TurnQueue(settings.turn_pause_ms / 1000)
        self._sockets: list[socket.socket] = []
        self._certificates: list[Certificate] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._finger: FingerServer | None = None

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Address and port of each listener, in the order of the settings."""
        return tuple(listener.getsockname()[:2] for listener in self._sockets)

    @property
    def finger_address(self) -> tuple[str, int] | None:
        """Address and port of finger, if it is served."""
        return None if self._finger is None else self._finger.address

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return len(self._tracker)

    @property
    def strangers(self) -> int:
        """Number of sessions without a login."""
        return self._tracker.strangers

    async def start(self) -> None:
        """Begins to serve.

        Raises:
            OSError: a port or a certificate cannot be used.
        """
        try:
            for listener in self._settings.listeners:
                self._listen(listener)
            if self._settings.finger is not None:
                self._finger = FingerServer(
                    self._settings.finger, self._services.machines, self._settings.opening
                )
                await self._finger.start()
        except OSError:
            await self.stop()
            raise
        if self._idle_limits:
            self._keeping.append(self._spawn(self._time_out_idle(), "sessions-idle"))
        self._keeping.append(self._spawn(self._resume_places(), "sessions-resume"))
        if self._certificates:
            self._keeping.append(self._spawn(self._refresh_certificates(), "sessions-tls"))

    async def ended(self) -> None:
        """Waits until a task that serves sessions has ended, and raises its error."""
        works = [*self._accepting, *self._keeping]
        if not works:
            # No port is served, so no task can end.
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def drain(self, limit_s: float) -> None:
        """Accepts no new sessions and ends each existing one after its current command.

        Args:
            limit_s: Seconds after which sessions no longer wait for their drops, which go on; their
                clients receive the drop's id.
        """
        self._close_listeners()
        await asyncio.gather(*self._opening)
        for connection in self._tracker:
            connection.finish()
        try:
            async with asyncio.timeout(limit_s):
                await self._tracker.emptied()
        except TimeoutError:
            log.info("sessions_given_up", sessions=len(self._tracker))
        for connection in self._tracker:
            connection.give_up()

    async def stop(self) -> None:
        """Ends everything at once. May be called twice."""
        self._close_listeners()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, *self._opening, return_exceptions=True)
        self._keeping.clear()
        for connection in self._tracker:
            connection.abort()
        if self._finger is not None:
            await self._finger.stop()
            self._finger = None
        # connection_lost() of an aborted connection is called in the next iteration of the loop.
        await asyncio.sleep(0)

    def _ignore(self, places: Sequence[str]) -> bool:
        done = [connection_filter.ignore(listener, places) for listener in self._sockets]
        return all(done)

    def _close_listeners(self) -> None:
        for task in self._accepting:
            task.cancel()
        self._accepting.clear()
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()

    def _listen(self, listener: ListenerSettings) -> None:
        certificate = None
        if listener.tls_certificate is not None and listener.tls_key is not None:
            certificate = Certificate(listener.tls_certificate, listener.tls_key)
            self._certificates.append(certificate)
        accepting = listen(
            listener.address,
            listener.port,
            received_max=self._settings.system_bytes_max,
            unsent_max=self._settings.system_bytes_max,
        )
        keep_alive(
            accepting,
            idle_s=self._settings.keepalive_idle_s,
            interval_s=self._settings.keepalive_interval_s,
            probes=self._settings.keepalive_probes,
        )
        self._sockets.append(accepting)
        context = ListenerContext(
            listener,
            self._settings,
            DIALECTS[listener.dialect],
            self._services,
            self._tracker,
            self._buffers,
            self._turns,
        )
        self._accepting.append(
            self._spawn(self._accept(accepting, context, certificate), "sessions-accept")
        )
        log.info(
            "sessions_listening",
            address=accepting.getsockname()[:2],
            dialect=listener.dialect,
            tls=certificate is not None,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._check)
        return task

    @staticmethod
    def _check(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("sessions_broken", task=task.get_name(), exc_info=fault)

    async def _accept(
        self, accepting: socket.socket, context: ListenerContext, certificate: Certificate | None
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(accepting)
            except OSError as error:
                if error.errno in _NO_LISTENER:
                    raise
                log.warning("session_not_accepted", error=type(error).__name__)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            is_proxy = is_within(endpoint_address(peer), context.listener.proxies)
            here = PROXIES if is_proxy else place(endpoint_address(peer))
            if not is_proxy:
                is_crowded = self._tracker.is_crowded(here)
                crowded_cost = self._settings.opening.crowded_cost
                self._rates.count(here, loop.time(), crowded_cost if is_crowded else 1)
            self._report_strangers(loop.time())
            if self._tracker.make_room(here):
                opening = loop.create_task(
                    self._open(client, context, certificate, forwards=is_proxy)
                )
                self._opening.add(opening)
                opening.add_done_callback(self._opening.discard)
                # A half-open connection would never be removed from the tracker.
                await asyncio.shield(opening)
            else:
                log.warning("session_turned_away", sessions=len(self._tracker))
                _turn_away(client, _full(context, certificate))
            # A burst of new clients must not delay the connected ones.
            await asyncio.sleep(0)

    def _report_strangers(self, now: float) -> None:
        """Logs that many sessions have no login: an attack, or clients that do not end theirs."""
        strangers = self._tracker.strangers
        if (
            strangers >= self._settings.strangers_report_min
            and self._strangers_reports.passes(now) is not None
        ):
            log.warning(
                "sessions_without_login",
                sessions=strangers,
                most_from=self._tracker.most_strangers(),
            )

    async def _open(
        self,
        client: socket.socket,
        context: ListenerContext,
        certificate: Certificate | None,
        *,
        forwards: bool,
    ) -> None:
        settings = self._settings

        def make_connection() -> asyncio.Protocol:
            connection = Connection(context)
            if certificate is None:
                return connection
            return TlsLayer(certificate.context, connection, settings.tls_handshake_limit_s)

        def make_proxy_layer() -> asyncio.Protocol:
            full, limit_s = _full(context, certificate), settings.proxy_header_limit_s
            return ProxyLayer(self._tracker, make_connection, limit_s=limit_s, full=full)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make_proxy_layer if forwards else make_connection, client
            )
        except OSError as error:
            # The client has closed the connection.
            log.debug("session_not_opened", error=type(error).__name__)
            client.close()

    async def _time_out_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:  # noqa: ASYNC110  what it waits for is time
            await asyncio.sleep(self._tracker.time_out_idle(loop.time()))

    async def _resume_places(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RESUME_INTERVAL_S)
            self._rates.resume(loop.time())
            if self._finger is not None:
                self._finger.resume()

    async def _refresh_certificates(self) -> None:
        while True:
            await asyncio.sleep(self._settings.tls_check_interval_s)
            for certificate in self._certificates:
                await asyncio.to_thread(certificate.refresh)


def _full(context: ListenerContext, certificate: Certificate | None) -> bytes:
    """The last line for a client past the limit; empty where the client expects TLS."""
    full = StatusLine(ReplyCode.SESSIONS_FULL)
    return b"" if certificate else b"".join(encode(context.dialect, full))


def _turn_away(client: socket.socket, last_line: bytes) -> None:
    with client:
        try:
            client.setblocking(False)
            client.send(last_line)
        except OSError:
            log.debug("session_turned_away_unheard")
