"""The composition root: builds every part, starts them in order, and stops them in order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import grpc
import structlog

from drink_frontend.config import Settings
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.ports import Clock, Directory, PasswordHasher, Randomness
from drink_frontend.links.server import LinkServer
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.monitoring import Monitoring, Parts
from drink_frontend.rpc.server import RpcServer
from drink_frontend.sessions.context import Services
from drink_frontend.sessions.server import SessionServer
from drink_frontend.spans.tracer import Tracer
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify_process import verify_beside
from drink_frontend.system.card_key import read_card_key
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.descriptors import DescriptorBudget, raise_file_limit, share_out
from drink_frontend.system.directory.ldap import LdapDirectory
from drink_frontend.system.passwords import Argon2Hasher
from drink_frontend.system.providers import Providers
from drink_frontend.system.randomness import SystemRandomness
from drink_frontend.system.sockets import AcceptedConnections
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.agents import Agents
from drink_frontend.usecases.alarm_watch import AlarmWatch
from drink_frontend.usecases.alarms import AlarmReview
from drink_frontend.usecases.audit import Alarms, Notes
from drink_frontend.usecases.counting import Counting
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.drop_traces import DropTraces
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.events import Events
from drink_frontend.usecases.items import Items
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.leavers import Leavers, LookTimes
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.notifications import Notifications
from drink_frontend.usecases.permits import Permits
from drink_frontend.usecases.presence import Presence
from drink_frontend.usecases.provider_logins import ProviderLogins
from drink_frontend.usecases.statistics import Statistics
from drink_frontend.usecases.temperatures import Temperatures
from drink_frontend.usecases.transfers import Transfers
from drink_frontend.usecases.upkeep import Upkeep
from drink_frontend.usecases.views import Views

log = structlog.get_logger(__name__)


class StorageBrokenError(Exception):
    """The database can no longer be trusted in this process."""

    def __init__(self) -> None:
        super().__init__("the database failed; nothing is written any more")


class PartEndedError(Exception):
    """A part of the frontend has ended by itself while the rest still runs.

    A process without it would look alive and not do its work; a new one has all parts.

    Args:
        part: Its name.
    """

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} has ended by itself, and the process ends with it")


STOP = "stop"
"""Name of the one task whose end is wanted."""


class Frontend:
    """One frontend process: its parts, their start and their end.

    Args:
        settings: Everything that can be set.
        storage: The open database.
        clock: Time.
        randomness: Ids and secrets.
        hasher: Password hashes.
        directory: A directory that knows passwords too; None if there is none.
        make_server: Makes gRPC's servers; takes the keywords of `grpc.aio.server`.
        accepted: Finds and ends gRPC's connections; None for a server that is not supervised.
        metrics: What counts; that of `storage`.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Database,
        clock: Clock,
        randomness: Randomness,
        hasher: PasswordHasher,
        *,
        directory: Directory | None = None,
        make_server: Callable[..., grpc.aio.Server] = grpc.aio.server,
        accepted: AcceptedConnections | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics or Metrics(settings.metrics.machines_max)
        self._descriptors = _shared_out(settings)
        self._storage = storage
        name, program = f"{socket.gethostname()}:{settings.rpc.port}", version("drink-frontend")
        self._me = me = FrontendInstance(randomness.id(), name, program, clock.now_ms())
        self._open_links = open_links = Links()
        self._journals = Journals(storage, settings.links.journal_keep_s)
        self._alarms = alarms = Alarms(storage, clock, settings.alarms)
        self._review = AlarmReview(storage, clock)
        self._temperatures = Temperatures(storage, clock, settings.temperatures)
        self._presence = Presence(storage, open_links, clock, settings.presence, me)
        self._tracer = Tracer(settings.tracing, "drink-frontend", me.version)
        traces = DropTraces(self._tracer)
        self._deadlines = Deadlines(storage, open_links, clock, settings.drops, traces)
        self._drops = Drops(
            storage,
            open_links,
            clock,
            randomness,
            deadlines=self._deadlines,
            settings=settings.drops,
            traces=traces,
        )
        self._permits = Permits(storage, clock)
        self._leavers = _leavers(settings, storage, clock, me, directory)
        dispatch = Dispatch(storage, clock, self._journals, alarms, self._metrics, traces=traces)
        self._stop = asyncio.Event()
        self._restart = False
        accounts = Accounts(
            storage,
            hasher,
            clock,
            randomness,
            settings.accounts,
            card_key=read_card_key(settings.accounts.card_key_file),
            directory=directory,
        )
        agents, cards = self._agents(clock, traces), accounts.kiosks.cards
        self._links = LinkServer(open_links, agents, dispatch, clock, settings.links, cards=cards)
        self._rpc, self._sessions = self._edges(accounts, clock, randomness, make_server, accepted)
        self._monitoring = self._watched(accounts, clock)

    def _watched(self, accounts: Accounts, clock: Clock) -> Monitoring:
        """What measures this frontend."""
        parts = Parts(
            self._storage,
            self._open_links,
            self._rpc,
            self._sessions,
            accounts.kiosks.logins.results,
            self._settings.certificates,
        )
        return Monitoring(self._settings.metrics, self._metrics, parts, clock)

    def _agents(self, clock: Clock, traces: DropTraces) -> Agents:
        """What agents report."""
        return Agents(
            self._storage,
            clock,
            self._journals,
            self._alarms,
            self._me.id,
            temperatures=self._temperatures,
            two_agents_alarm_s=self._settings.links.two_agents_alarm_s,
            traces=traces,
        )

    def _edges(
        self,
        accounts: Accounts,
        clock: Clock,
        randomness: Randomness,
        make_server: Callable[..., grpc.aio.Server],
        accepted: AcceptedConnections | None,
    ) -> tuple[RpcServer, SessionServer]:
        """The two edges for buyers, over the same use cases."""
        settings = self._settings
        self._watch = _alarm_watch(settings, self._storage, clock, self._me, self._open_links)
        self._notifications = Notifications(self._storage, clock)
        self._events = Events(self._storage, clock, settings.events)
        self._counting = Counting(self._storage, settings.statistics)
        transfers = Transfers(self._storage, clock, randomness, settings.accounts)
        machines = Machines(self._storage, clock, randomness)
        views = Views(self._storage.changes, accounts.balance, machines.get)
        links_max = min(settings.rpc.connections.links_max, self._descriptors.reserved // 2)
        rpc = RpcServer(
            settings.rpc,
            drops=self._drops,
            accounts=accounts,
            provider_logins=self._provider_logins(accounts, clock),
            transfers=transfers,
            alarms=self._review,
            notifications=self._notifications,
            events=self._events,
            items=Items(self._storage, clock),
            statistics=Statistics(self._storage, clock),
            temperatures=self._temperatures,
            balances=views.accounts,
            machines=machines,
            links=self._links,
            permits=self._permits,
            randomness=randomness,
            tracer=self._tracer,
            ready=self._ready,
            connections_max=(self._descriptors.calls, links_max),
            accepted=accepted,
            make_server=make_server,
            metrics=self._metrics,
        )
        services = Services(
            accounts=accounts,
            transfers=transfers,
            permits=self._permits,
            drops=self._drops,
            machines=machines,
            notes=Notes(self._storage, clock),
            views=views,
            version=version("drink-frontend"),
            started_ms=clock.now_ms(),
            tracer=self._tracer,
            shutdown=self.stop if settings.sessions.shutdown_command else None,
        )
        return rpc, SessionServer(
            settings.sessions, services, descriptors=self._descriptors.sessions
        )

    def _provider_logins(self, accounts: Accounts, clock: Clock) -> ProviderLogins:
        self._providers = Providers(self._settings.oidc, clock)
        limits = self._settings.accounts.logins
        return ProviderLogins(self._storage, self._providers, accounts.identities, clock, limits)

    def stop(self, restart: bool = False) -> None:
        """Ends `run` in order.

        Args:
            restart: Whether a supervisor should start the frontend again.
        """
        self._restart = restart
        self._stop.set()

    async def run(self) -> bool:
        """Serves until `stop`, then ends in order; drops under way get their outcome first.

        Returns:
            Whether a supervisor should start the frontend again.

        Raises:
            OSError: an address cannot be listened on.
            StorageBrokenError: the database can no longer be trusted; a new process reads its
                true state.
            PartEndedError: a part that must always run has ended.
        """
        await self._presence.enter()
        with contextlib.suppress(StorageUnavailableError):
            await self._review.catch_up()
        works = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("deadlines", self._deadlines.run()),
                ("presence", self._presence.run()),
                ("permits", self._permits.run()),
                ("journals", self._journals.run()),
                ("alarms", self._alarms.run()),
                ("monitor", self._watch.run()),
                *(("leavers", each.run()) for each in self._leavers),
                ("events", self._events.run()),
                ("statistics", self._counting.run()),
                ("temperatures", self._temperatures.run()),
                ("metrics", self._monitoring.run()),
                ("follow others", self._presence.follow_others()),
                ("storage", self._storage_failure()),
                (STOP, self._stop.wait()),
            )
        ]
        try:
            rpc_port = await self._rpc.start()
            await self._sessions.start()
            session_ports = [port for _, port in self._sessions.addresses]
            log.info("serving", rpc_port=rpc_port, session_ports=session_ports)
            works += [
                asyncio.create_task(self._rpc.ended(), name="gRPC server"),
                asyncio.create_task(self._sessions.ended(), name="session server"),
            ]
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            _check_ends(done)
            return self._restart
        finally:
            await self._end()
            for task in works:
                task.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            await self._providers.close()
            with contextlib.suppress(StorageUnavailableError):
                await self._journals.keep()
                await self._alarms.keep()
                await self._temperatures.keep(unfinished=True)
                await self._presence.leave()
            await self._tracer.close()

    async def _end(self) -> None:
        """Stops the parts in order; nothing is lost if the process is killed at any step."""
        log.info("stopping")
        limit_s = self._settings.shutdown.drops_limit_s
        await self._rpc.drain()
        self._drops.drain()
        await asyncio.gather(self._sessions.drain(limit_s), self._settle_drops(limit_s))
        self._links.drain()
        await self._sessions.stop()
        await self._rpc.stop(self._settings.shutdown.calls_limit_s)
        log.info("stopped")

    async def _settle_drops(self, limit_s: float) -> None:
        with contextlib.suppress(TimeoutError, StorageUnavailableError):
            async with asyncio.timeout(limit_s):
                await self._drops.settle()

    async def _storage_failure(self) -> None:
        failure = await self._storage.failure()
        raise StorageBrokenError from failure

    async def _ready(self) -> bool:
        """Whether the database takes changes and answers every reader."""

        def beat(tx: Transaction) -> None:
            tx.exercise()
            # A unit without a change would not be written to the disk, which may be full.
            tx.frontends.beat(self._me)

        await self._storage.write(beat)
        return await self._storage.readable()


def _alarm_watch(
    settings: Settings, storage: Database, clock: Clock, me: FrontendInstance, links: Links
) -> AlarmWatch:
    served = [settings.rpc.tls_certificate]
    served += [listener.tls_certificate for listener in settings.sessions.listeners]
    return AlarmWatch(
        storage,
        clock,
        settings.monitor,
        me,
        links,
        time_zone=settings.statistics.time_zone,
        certificates=list(dict.fromkeys(path for path in served if path is not None)),
        check_books=partial(verify_beside, settings.storage, settings.monitor.books_limit_s),
    )


def _leavers(
    settings: Settings,
    storage: Database,
    clock: Clock,
    me: FrontendInstance,
    directory: Directory | None,
) -> Sequence[Leavers]:
    """What looks for leavers, if there is a directory that can be asked."""
    ldap = settings.ldap
    if directory is None or not ldap.looks_for_leavers:
        return ()
    times = LookTimes(ldap.check_hours * 3_600, ldap.check_first_s, ldap.check_retry_s)
    return (Leavers(storage, directory, clock, me, times, share_max=ldap.check_share_max),)


def _shared_out(settings: Settings) -> DescriptorBudget:
    """How many files each part may have open."""
    return share_out(
        raise_file_limit(),
        reserved=settings.sessions.files_reserved,
        sessions=settings.sessions.sessions_max,
        calls=settings.rpc.connections.max,
    )


def _check_ends(ended: Iterable["asyncio.Task[Any]"]) -> None:
    """Fails if a task has ended that must not.

    Raises:
        StorageBrokenError: the one that waits for it.
        PartEndedError: any other.
    """
    for task in ended:
        if task.get_name() == STOP and not task.cancelled():
            continue
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StorageBrokenError):
            raise error
        log.critical("part_ended", part=task.get_name(), exc_info=error)
        raise PartEndedError(task.get_name()) from error


async def serve(settings: Settings) -> bool:
    """Runs a frontend until SIGTERM or SIGINT; a second one ends it at once.

    Returns:
        Whether a supervisor should start the frontend again.

    Raises:
        StorageError: the database cannot be opened.
        StorageBrokenError: the database failed.
        PartEndedError: a part that must always run has ended.
        OSError: an address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    limits = settings.accounts
    clock = SystemClock()
    metrics = Metrics(settings.metrics.machines_max)
    async with Database.open(settings.storage, now_ms=clock.now_ms, metrics=metrics) as storage:
        hasher = Argon2Hasher(
            limits.password_threads, limits.password_waiting_max, limits.password_niceness
        )
        directory = None if settings.ldap.url is None else LdapDirectory(settings.ldap, clock)
        frontend = Frontend(
            settings,
            storage,
            clock,
            SystemRandomness(),
            hasher,
            directory=directory,
            accepted=AcceptedConnections(),
            metrics=metrics,
        )

        def on_signal() -> None:
            frontend.stop()
            # The operating system handles the next signal: it ends the process.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        with contextlib.closing(hasher), contextlib.closing(directory or hasher):
            return await frontend.run()


@dataclass(frozen=True, slots=True)
class Administration:
    """The use cases of a command beside the frontend process."""

    accounts: Accounts
    transfers: Transfers
    alarms: AlarmReview
    events: Events
    items: Items
    machines: Machines
    drops: Drops
    counting: Counting
    upkeep: Upkeep
    storage: Database


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[Administration]:
    """The use cases on the database itself, whether a frontend runs or not."""
    clock, randomness, links = SystemClock(), SystemRandomness(), Links()
    hasher, card_key = Argon2Hasher(), read_card_key(settings.accounts.card_key_file)
    try:
        async with Database.open(settings.storage, beside=True, now_ms=clock.now_ms) as storage:
            # They do not run here: the frontend that serves reacts to the commits.
            deadlines = Deadlines(storage, links, clock, settings.drops)
            yield Administration(
                accounts=Accounts(
                    storage, hasher, clock, randomness, settings.accounts, card_key=card_key
                ),
                transfers=Transfers(storage, clock, randomness, settings.accounts),
                alarms=AlarmReview(storage, clock),
                events=Events(storage, clock, settings.events),
                items=Items(storage, clock),
                machines=Machines(storage, clock, randomness),
                drops=Drops(
                    storage, links, clock, randomness, deadlines=deadlines, settings=settings.drops
                ),
                counting=Counting(storage, settings.statistics),
                upkeep=Upkeep(storage, clock),
                storage=storage,
            )
    finally:
        hasher.close()
