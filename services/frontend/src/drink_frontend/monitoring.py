"""Measures the parts of a running frontend for its metrics, and serves them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import DrinkError
from drink_frontend.domain.house import House
from drink_frontend.domain.ports import Clock
from drink_frontend.metrics.collect import LinkFacts, Snapshot, families
from drink_frontend.metrics.exposition import Exposition, MetricsServer, Recent
from drink_frontend.metrics.health import DatabaseFacts, report
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.metrics.settings import MetricsSettings
from drink_frontend.rpc.server import RpcServer
from drink_frontend.sessions.server import SessionServer
from drink_frontend.storage.database import Database
from drink_frontend.system.certificate_end import certificate_end_ms
from drink_frontend.usecases.links import Links

LAG_INTERVAL_S = 0.5
"""Seconds between two measurements of the event loop's lag."""

CERTIFICATE_INTERVAL_S = 60.0
"""Seconds between two looks at the files of certificates."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is measured.

    Attributes:
        storage: The database.
        links: The links of agents.
        rpc: The gRPC edge.
        sessions: The sessions.
        logins: Returns attempts to log in since the start, by their result.
        certificates: Files of the listeners' certificates, by a name of the listener.
    """

    storage: Database
    links: Links
    rpc: RpcServer
    sessions: SessionServer
    logins: Mapping[str, int]
    certificates: Mapping[str, Path]


class Monitoring:
    """The metrics of one frontend.

    Args:
        settings: Where they are served, and limits.
        metrics: What is counted while it happens.
        parts: What is measured at a scrape.
        clock: Time.
    """

    def __init__(
        self, settings: MetricsSettings, metrics: Metrics, parts: Parts, clock: Clock
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._parts = parts
        self._clock = clock
        self._certificates: Mapping[str, float] = {}
        self._looked_at = float("-inf")
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=metrics.registry)
        self.exposition = Exposition(metrics, self.measure, settings.interval_s)
        """The text of the metrics."""
        self._recent_house = Recent(self._house, settings.interval_s)
        self._server = MetricsServer(
            settings, self.exposition.text, self.report, metrics.scrape_refused
        )

    @property
    def port(self) -> int | None:
        """The port of the metrics, while it listens."""
        return self._server.port

    async def run(self) -> None:
        """Measures and serves until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.run(), name="metrics server")
            tasks.create_task(_measure_lag(self._metrics.lag), name="loop lag")

    async def measure(self) -> Iterator[Metric]:
        """What is measured now, as families of samples."""
        return families(await self._snapshot(await self._house()))

    async def report(self) -> Mapping[str, Any]:
        """Whether this frontend serves, and why not.

        What comes from the database is at most `metrics.interval_s` old, all else is of now.
        """
        storage, rpc = self._parts.storage, self._parts.rpc
        database = DatabaseFacts(storage.engine_name, storage.schema_known, storage.broken)
        return report(await self._snapshot(await self._recent_house.get()), database, rpc.port)

    async def _snapshot(self, house: House | None) -> Snapshot:
        parts = self._parts
        await self._look_at_certificates()
        links = parts.links.all()
        strangers = parts.sessions.strangers
        stats = parts.storage.stats
        return Snapshot(
            version=version("drink-frontend"),
            now_ms=self._clock.now_ms(),
            links=[
                LinkFacts(machine, link.reach is Reach.READY, link.agent_version, link.stats)
                for machine, link in links[: self._settings.machines_max]
            ],
            links_total=len(links),
            house=house,
            waiting=parts.storage.unfinished,
            commits=stats.commits,
            failed_commits=stats.failed_commits,
            retries=stats.retries,
            round_trips=parts.storage.round_trips,
            calls=parts.rpc.calls,
            watches=parts.rpc.watches,
            serving=parts.rpc.serving,
            draining=parts.rpc.draining,
            logins=parts.logins,
            sessions={False: strangers, True: parts.sessions.sessions - strangers},
            certificates=self._certificates,
        )

    async def _house(self) -> House | None:
        """What the database has; None if it does not answer in time."""
        most = self._settings.machines_max
        try:
            async with asyncio.timeout(self._settings.read_limit_s):
                return await self._parts.storage.read(lambda tx: tx.house.read(most))
        except (DrinkError, TimeoutError) as error:
            log.warning("metrics_without_database", error=type(error).__name__)
            return None

    async def _look_at_certificates(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= CERTIFICATE_INTERVAL_S:
            self._certificates = await asyncio.to_thread(_ends, self._parts.certificates)
            self._looked_at = now


def _ends(files: Mapping[str, Path]) -> Mapping[str, float]:
    """When certificates end, in Unix seconds; without those that cannot be read."""
    ends = {}
    for name, file in files.items():
        try:
            ends[name] = certificate_end_ms(file) / 1000
        except (OSError, ValueError) as error:
            log.warning("certificate_unreadable", listener=name, error=type(error).__name__)
    return ends


async def _measure_lag(count: Callable[[float], None]) -> None:
    """Counts by how much a timer of the loop is late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        count(loop.time() - due)
