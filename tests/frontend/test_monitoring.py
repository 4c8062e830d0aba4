"""What a scrape of a whole frontend has, on a real database and real sockets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.metrics.settings import MetricsSettings
from drink_frontend.monitoring import Monitoring, Parts
from drink_frontend.storage.tables import SCHEMA_REVISION
from drink_frontend.system.authority import facts_of
from tests.support.bench import Bench
from tests.support.certificates import Certificates

Samples = Mapping[tuple[str, tuple[str, ...]], float]

LIMIT_S = 30.0


class Edge:
    """The numbers of an edge that is not under test."""

    calls, watches, serving, draining, port = 3, 2, True, False, 50_051
    sessions, strangers = 5, 4


def monitoring(
    bench: Bench, *, files: Mapping[str, Path] | None = None, **settings: object
) -> Monitoring:
    edge = Edge()
    parts = Parts(
        bench.storage,
        bench.links,
        edge,  # type: ignore[arg-type]
        edge,  # type: ignore[arg-type]
        bench.accounts.kiosks.logins.results,
        files or {},
    )
    chosen = MetricsSettings(**{"listen": "127.0.0.1:0", "interval_s": 0, **settings})  # type: ignore[arg-type]
    return Monitoring(chosen, bench.metrics, parts, bench.clock)


@asynccontextmanager
async def running(watched: Monitoring) -> AsyncIterator[int]:
    """Runs it, and has its port."""
    task = asyncio.create_task(watched.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            while watched.port is None:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)
        yield watched.port
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def scrape(watched: Monitoring) -> Samples:
    text = (await watched.exposition.text()).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_has_what_was_counted_and_what_is_measured(bench: Bench) -> None:
    await bench.unknown()
    with suppress(Exception):
        await bench.accounts.login_password("ann", "wrong", "192.0.2.1")
    found = await scrape(monitoring(bench))
    assert found["drink_drops_total", ("board_silent", "d", "unknown")] == 1
    assert found["drink_drops_open", ("unknown",)] == 1
    assert found["drink_credits_held", ("unknown",)] == 50
    assert found["drink_slot_available_items", ("d", "1")] == 2
    assert found["drink_logins_total", ("refused",)] == 1
    assert found["drink_sessions", ("false",)] == 4
    assert found["drink_sessions", ("true",)] == 1
    assert found["drink_rpc_calls_in_flight", ()] == 3
    assert found["drink_storage_waiting", ("write",)] == 0
    assert found["drink_storage_commits_total", ()] > 3
    assert found["process_resident_memory_bytes", ()] > 1 << 20


async def test_the_port_answers_and_the_lag_is_measured(bench: Bench) -> None:
    watched = monitoring(bench)
    async with running(watched) as port, asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"drink_machine_linked" in await reader.read()
        writer.close()
        count = partial(
            bench.metrics.registry.get_sample_value, "drink_event_loop_lag_seconds_count"
        )
        while not count():  # noqa: ASYNC110 - the loop's lag has no event
            await asyncio.sleep(0.05)


async def test_a_database_that_does_not_answer_leaves_the_rest(bench: Bench) -> None:
    watched = monitoring(bench)
    bench.storage.error = StorageUnavailableError("away")
    with capture_logs() as logs:
        found = await scrape(watched)
    assert found["drink_house_read_success", ()] == 0
    assert ("drink_machines", ()) not in found
    assert [line["event"] for line in logs] == ["metrics_without_database"]
    bench.storage.error = None
    assert (await scrape(watched))["drink_house_read_success", ()] == 1


async def test_however_often_it_is_scraped_the_database_is_asked_once(bench: Bench) -> None:
    watched = monitoring(bench, interval_s=60)
    before = bench.storage.reads
    for _ in range(20):
        await scrape(watched)
    assert bench.storage.reads == before + 1


async def test_the_report_says_what_the_database_has_and_asks_it_seldom(bench: Bench) -> None:
    await bench.unknown()
    watched = monitoring(bench, interval_s=60)
    before = bench.storage.reads
    for _ in range(20):
        found = await watched.report()
    assert bench.storage.reads == before + 1
    assert (found["status"], found["rpc_port"]) == ("SERVING", 50_051)
    assert found["database"] == {
        "engine": "sqlite",
        "reachable": True,
        "schema_revision": SCHEMA_REVISION,
        "schema_known": SCHEMA_REVISION,
        "schema_as_known": True,
        "writer_broken": False,
    }
    assert found["unknown_drops"]["count"] == 1
    assert found["machines"]["total"] == 2


async def test_the_report_of_a_frontend_without_its_database(bench: Bench) -> None:
    bench.storage.error = StorageUnavailableError("away")
    found = await monitoring(bench).report()
    bench.storage.error = None
    assert found["database"]["reachable"] is False
    assert found["machines"] is None


async def test_only_so_many_machines_have_series(bench: Bench) -> None:
    found = await scrape(monitoring(bench, machines_max=1))
    assert [labels for name, labels in found if name == "drink_machine_linked"] == [("d",)]
    assert found["drink_machines_unlisted", ()] == 1


async def test_certificates_are_watched(bench: Bench, tmp_path: Path) -> None:
    file = Certificates(tmp_path).server().certificate
    files = {"rpc": file, "session 4242": tmp_path / "missing.pem"}
    found = await scrape(monitoring(bench, files=files))
    until = facts_of(file.read_bytes()).until.timestamp()
    assert found["drink_certificate_expiry_timestamp_seconds", ("rpc",)] == until
    assert ("drink_certificate_expiry_timestamp_seconds", ("session 4242",)) not in found
