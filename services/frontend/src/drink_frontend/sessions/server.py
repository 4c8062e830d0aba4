"""The session server: listeners, who may come in, and an orderly end."""

import asyncio
import errno
import socket
from collections.abc import Coroutine
from typing import Any

import structlog

from drink_frontend.domain.origin import is_within, place
from drink_frontend.sessions.buffers import Buffers
from drink_frontend.sessions.connection import Connection
from drink_frontend.sessions.desk import Desk
from drink_frontend.sessions.dialects import DIALECTS
from drink_frontend.sessions.encoding import encode
from drink_frontend.sessions.finger import FingerServer
from drink_frontend.sessions.greeter import Greeter
from drink_frontend.sessions.listening import ip_address, keep_alive, listen
from drink_frontend.sessions.phrases import Phrase
from drink_frontend.sessions.proxy_layer import PROXIES, ProxyLayer
from drink_frontend.sessions.replies import Say
from drink_frontend.sessions.roll import Roll
from drink_frontend.sessions.services import Services
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.sessions.tls import Certificate
from drink_frontend.sessions.tls_layer import TlsLayer
from drink_frontend.sessions.turns import Turns

log = structlog.get_logger(__name__)

ACCEPT_PAUSE_S = 0.5
"""Seconds without accepting after the system refused to: it has run out of something."""

_NO_LISTENER = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
"""What accepting answers once the listening socket is gone; no pause mends that."""


class SessionServer:
    """Serves sessions, and finger, on the ports of the settings.

    Args:
        settings: Ports and limits.
        services: What sessions use.
        descriptors: Most sessions for which the process has open files.
    """

    def __init__(self, settings: SessionSettings, services: Services, *, descriptors: int) -> None:
        self._settings = settings
        self._services = services
        self._greeter = Greeter(services)
        members_max = min(settings.sessions_max, descriptors)
        self._idle_limits = {
            limit_s
            for listener in settings.listeners
            if (limit_s := settings.idle_limit(listener)) is not None
        }
        self._roll = Roll(
            members_max,
            settings.sessions_per_address_max or (members_max + 1) // 2,
            self._idle_limits,
        )
        self._buffers = Buffers(settings.buffered_bytes_max)
        self._turns = Turns(settings.turn_pause_ms / 1000)
        self._sockets: list[socket.socket] = []
        self._certificates: list[Certificate] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._finger: FingerServer | None = None

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Address and port of each listener, in the order of the settings."""
        return tuple(door.getsockname()[:2] for door in self._sockets)

    @property
    def finger_address(self) -> tuple[str, int] | None:
        """Address and port of finger, if it is served."""
        return None if self._finger is None else self._finger.address

    @property
    def sessions(self) -> int:
        """Sessions right now."""
        return len(self._roll)

    async def start(self) -> None:
        """Begins to serve.

        Raises:
            OSError: a port cannot be had, or a certificate cannot be used.
        """
        try:
            for listener in self._settings.listeners:
                self._listen(listener)
            if self._settings.finger is not None:
                self._finger = FingerServer(self._settings.finger, self._services.machines)
                await self._finger.start()
        except OSError:
            await self.stop()
            raise
        if self._idle_limits:
            self._keeping.append(self._spawn(self._time_out_idle(), "sessions-idle"))
        if self._certificates:
            self._keeping.append(self._spawn(self._refresh_certificates(), "sessions-tls"))

    async def ended(self) -> None:
        """Waits until something has ended that serves sessions, and raises what ended it."""
        works = [*self._accepting, *self._keeping]
        if not works:
            # No port is served, and nothing can end.
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def drain(self, limit_s: float) -> None:
        """Takes no new sessions and ends those there are, each after what it is at.

        Args:
            limit_s: Seconds after which drops that are still under way are left to themselves and
                their buyers told so.
        """
        self._close_doors()
        await asyncio.gather(*self._opening)
        for connection in self._roll:
            assert isinstance(connection, Connection | ProxyLayer)
            connection.finish()
        try:
            async with asyncio.timeout(limit_s):
                await self._roll.emptied()
        except TimeoutError:
            log.info("sessions_given_up", sessions=len(self._roll))
        for connection in self._roll:
            assert isinstance(connection, Connection | ProxyLayer)
            connection.give_up()

    async def stop(self) -> None:
        """Ends everything at once. May be called twice."""
        self._close_doors()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, *self._opening, return_exceptions=True)
        self._keeping.clear()
        for connection in self._roll:
            assert isinstance(connection, Connection | ProxyLayer)
            connection.abort()
        if self._finger is not None:
            await self._finger.stop()
            self._finger = None
        # An aborted connection is lost in the loop's next round.
        await asyncio.sleep(0)

    def _close_doors(self) -> None:
        for task in self._accepting:
            task.cancel()
        self._accepting.clear()
        for door in self._sockets:
            door.close()
        self._sockets.clear()

    def _listen(self, listener: ListenerSettings) -> None:
        certificate = None
        if listener.tls_certificate is not None and listener.tls_key is not None:
            certificate = Certificate(listener.tls_certificate, listener.tls_key)
            self._certificates.append(certificate)
        door = listen(
            listener.address,
            listener.port,
            received_max=self._settings.system_bytes_max,
            unsent_max=self._settings.system_bytes_max,
        )
        keep_alive(
            door,
            idle_s=self._settings.keepalive_idle_s,
            interval_s=self._settings.keepalive_interval_s,
            probes=self._settings.keepalive_probes,
        )
        self._sockets.append(door)
        desk = Desk(
            listener,
            self._settings,
            DIALECTS[listener.dialect],
            self._services,
            self._greeter,
            self._roll,
            self._buffers,
            self._turns,
        )
        self._accepting.append(
            self._spawn(self._accept(door, desk, certificate), "sessions-accept")
        )
        log.info(
            "sessions_listening",
            address=door.getsockname()[:2],
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
        self, door: socket.socket, desk: Desk, certificate: Certificate | None
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(door)
            except OSError as error:
                if error.errno in _NO_LISTENER:
                    raise
                log.warning("session_not_accepted", error=type(error).__name__)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            is_proxy = is_within(ip_address(peer), desk.listener.proxies)
            if self._roll.make_room(PROXIES if is_proxy else place(ip_address(peer))):
                opening = loop.create_task(self._open(client, desk, certificate, forwards=is_proxy))
                self._opening.add(opening)
                opening.add_done_callback(self._opening.discard)
                # Cancelled half-way it would leave a connection that nobody is told the end of.
                await asyncio.shield(opening)
            else:
                log.warning("session_turned_away", sessions=len(self._roll))
                _turn_away(client, _full(desk, certificate))
            # A burst of clients must not keep those waiting that are in already.
            await asyncio.sleep(0)

    async def _open(
        self,
        client: socket.socket,
        desk: Desk,
        certificate: Certificate | None,
        *,
        forwards: bool,
    ) -> None:
        settings = self._settings

        def meant() -> asyncio.Protocol:
            connection = Connection(desk)
            if certificate is None:
                return connection
            return TlsLayer(certificate.context, connection, settings.tls_handshake_limit_s)

        def forwarded() -> asyncio.Protocol:
            full, limit_s = _full(desk, certificate), settings.proxy_header_limit_s
            return ProxyLayer(self._roll, meant, limit_s=limit_s, full=full)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                forwarded if forwards else meant, client
            )
        except OSError as error:
            # The client has gone.
            log.debug("session_not_opened", error=type(error).__name__)
            client.close()

    async def _time_out_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:  # noqa: ASYNC110  what it waits for is time
            await asyncio.sleep(self._roll.time_out_idle(loop.time()))

    async def _refresh_certificates(self) -> None:
        while True:
            await asyncio.sleep(self._settings.tls_check_interval_s)
            for certificate in self._certificates:
                await asyncio.to_thread(certificate.refresh)


def _full(desk: Desk, certificate: Certificate | None) -> bytes:
    """What a client is told for whom there is no room; nothing where it expects TLS."""
    return b"" if certificate else b"".join(encode(desk.dialect, Say(Phrase.SESSIONS_FULL)))


def _turn_away(client: socket.socket, words: bytes) -> None:
    with client:
        try:
            client.setblocking(False)
            client.send(words)
        except OSError:
            log.debug("session_turned_away_unheard")
