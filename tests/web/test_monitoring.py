"""What a scrape of the page has: of parts in this process, and of the real processes over HTTP."""

import asyncio
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from drink_web.metrics.specs import SECTIONS
from drink_web.monitoring import Monitoring
from drink_web.visit import Site
from scripts.local_system import LocalSystem
from tests.support.tasks import cancel
from tests.web.visitor import LIMIT_S, away_house, running_house

Samples = Mapping[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    """All samples by name and values of labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(site: Site) -> Samples:
    return samples(generate_latest(site.metrics.registry).decode())


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        text: bytes = answer.read()
    return text.decode()


@asynccontextmanager
async def running(monitoring: Monitoring) -> AsyncIterator[int]:
    """Runs it, and has its port."""
    task = asyncio.create_task(monitoring.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            while monitoring.port.port is None:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)
        yield monitoring.port.port
    finally:
        await cancel(task)


async def test_browsers_and_streams_are_those_that_are_open(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        Monitoring(house.site)
        ann, page = await house.ann(), "/events?page=0123456789012345678901"
        async with (
            ann.stream(page) as first,
            ann.stream(page) as second,
            house.visitor().stream(page) as third,
        ):
            for stream in (first, second, third):
                assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
            found = scrape(house.site)
            assert found["drink_web_streams", ()] == 3
            assert found["drink_web_browsers", ()] == 2
        found = scrape(house.site)
        assert (found["drink_web_streams", ()], found["drink_web_browsers", ()]) == (0, 0)


async def test_a_frontend_that_goes_is_seen_with_the_time(tmp_path: Path) -> None:
    async with running_house(tmp_path, frontend={"rewatch_first_s": 0.01}) as house:
        Monitoring(house.site)
        known = house.site.house
        before = scrape(house.site)
        assert before["drink_web_frontend_reachable", ()] == 1
        await house.frontend.server.stop(0)
        async with asyncio.timeout(LIMIT_S):
            while known.is_current or not known.retries:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        after = scrape(house.site)
    assert after["drink_web_frontend_reachable", ()] == 0
    name = "drink_web_frontend_reachable_change_timestamp_seconds"
    assert after[name, ()] > before[name, ()]
    assert after["drink_web_watch_retries_total", ()] >= 1


async def test_a_page_that_never_reached_a_frontend_says_so(tmp_path: Path) -> None:
    site, _ = await away_house(tmp_path)
    Monitoring(site)
    found = scrape(site)
    assert found["drink_web_frontend_reachable", ()] == 0
    assert found["drink_web_build_info", (version("drink-web"),)] == 1
    await site.api.close()


async def test_lag_is_measured_while_it_runs_and_served(tmp_path: Path) -> None:
    served = {"listen": "127.0.0.1:0", "interval_s": 0}
    async with (
        running_house(tmp_path, metrics=served) as house,
        running(Monitoring(house.site)) as port,
        asyncio.timeout(LIMIT_S),
    ):
        found: Samples = {}
        while not found.get(("drink_web_event_loop_lag_seconds_count", ())):
            await asyncio.sleep(0.05)
            found = samples(await asyncio.to_thread(fetch, port))


async def test_without_an_address_nothing_runs(tmp_path: Path) -> None:
    site, _ = await away_house(tmp_path)
    off = site.settings.metrics.model_copy(update={"listen": ""})
    object.__setattr__(site, "settings", site.settings.model_copy(update={"metrics": off}))
    await asyncio.wait_for(Monitoring(site).run(), LIMIT_S)
    await site.api.close()


def test_a_real_page_is_scraped(house: LocalSystem) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{house.origin}/nothing", timeout=LIMIT_S)
    text = fetch(house.web_metrics_port)
    families = {family.name for family in text_string_to_metric_families(text)}
    assert families >= {
        spec.name.removesuffix("_total") for _, section in SECTIONS for spec in section
    }
    assert samples(text)["drink_web_frontend_reachable", ()] == 1
    assert {"process_cpu_seconds", "python_info"} <= families


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Debian's package prometheus is not installed"
)
def test_promtool_finds_nothing_wrong_in_either_text(house: LocalSystem) -> None:
    for port in (house.metrics_port, house.web_metrics_port):
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=fetch(port),
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
