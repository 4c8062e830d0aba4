"""Measures the running page for its metrics, and serves them."""

import asyncio
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from drink_web.metrics import specs
from drink_web.metrics.port import MetricsPort
from drink_web.visit import Site

LAG_INTERVAL_S = 0.5
"""Seconds between two measurements of the event loop's lag."""


class Monitoring:
    """The metrics of one page.

    Args:
        site: What is measured.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        registry = site.metrics.registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(self)
        self.port = MetricsPort(site.settings.metrics, site.metrics)
        """Where they are served."""

    def collect(self) -> Iterator[Metric]:
        """What is measured at a scrape, as the library asks for it."""
        house, streams = self._site.house, self._site.streams
        for spec, value in (
            (specs.STREAMS, streams.count),
            (specs.BROWSERS, streams.browsers),
            (specs.REACHABLE, house.is_current),
            (specs.REACHABLE_SINCE, house.changed_at),
        ):
            yield GaugeMetricFamily(spec.name, spec.help, value=value)
        retries = specs.WATCH_RETRIES
        yield CounterMetricFamily(retries.name, retries.help, value=house.retries)
        info = GaugeMetricFamily(
            specs.BUILD_INFO.name, specs.BUILD_INFO.help, labels=specs.BUILD_INFO.labels
        )
        info.add_metric((version("drink-web"),), 1)
        yield info

    async def run(self) -> None:
        """Measures and serves until cancelled; returns at once where no port is set."""
        if self._site.settings.metrics.address is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.port.run(), name="metrics port")
            tasks.create_task(self._measure_lag(), name="loop lag")

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self._site.metrics.lag(loop.time() - due)
