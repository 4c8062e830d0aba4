"""What is counted of requests, by the page's real routes."""

import asyncio
from pathlib import Path

import pytest

from drink_web.metrics.instruments import Metrics, RequestMetrics
from tests.support.tasks import cancel
from tests.web.visitor import LIMIT_S, Visitor, away_house, running_house

REQUESTS = "drink_web_requests_total"


def counted(metrics: Metrics, route: str, method: str, status: str) -> float | None:
    labels = {"route": route, "method": method, "status": status}
    return metrics.registry.get_sample_value(REQUESTS, labels)


def timed(metrics: Metrics, route: str) -> float | None:
    return metrics.registry.get_sample_value("drink_web_request_seconds_count", {"route": route})


def routes(metrics: Metrics) -> set[str]:
    return {
        sample.labels["route"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == REQUESTS
    }


async def test_requests_are_counted_by_the_template_of_their_path(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        metrics = house.site.metrics
        ann = await house.ann()
        for slot in (1, 2, 9_999):
            await ann.get(f"/machines/d/{slot}")
        await ann.get("/history?x=secret")
    assert counted(metrics, "/machines/{machine}/{slot}", "GET", "2xx") == 2
    assert counted(metrics, "/machines/{machine}/{slot}", "GET", "4xx") == 1
    assert timed(metrics, "/machines/{machine}/{slot}") == 3
    assert counted(metrics, "/login", "POST", "3xx") == 1
    assert counted(metrics, "/history", "GET", "2xx") == 1


async def test_strangers_make_no_labels(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        metrics, stranger = house.site.metrics, house.visitor()
        for number in range(20):
            await stranger.get(f"/wp-admin/{number}")
            await stranger.ask(f"BREW{number}", "/login", b"", {})
    assert counted(metrics, "other", "GET", "4xx") == 20
    assert counted(metrics, "/login", "other", "4xx") == 20
    assert routes(metrics) == {"other", "/login"}


async def test_a_page_without_its_frontend_counts_too(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    assert (await visitor.get("/readyz")).status == 503
    assert counted(site.metrics, "/readyz", "GET", "5xx") == 1
    await site.api.close()


async def test_an_event_stream_is_timed_at_its_beginning_and_counted_at_its_end(
    tmp_path: Path,
) -> None:
    async with running_house(tmp_path) as house:
        metrics = house.site.metrics
        async with house.visitor().stream("/events?page=0123456789012345678901") as parts:
            assert await asyncio.wait_for(parts.get(), LIMIT_S) == "200"
            assert timed(metrics, "/events") == 1
            assert counted(metrics, "/events", "GET", "2xx") is None
        assert counted(metrics, "/events", "GET", "2xx") == 1


async def test_a_request_that_is_not_answered_is_counted_as_such() -> None:
    metrics, begun = Metrics(), asyncio.Event()

    async def silent(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    asking = asyncio.create_task(Visitor(RequestMetrics(silent, metrics)).get("/"))
    await asyncio.wait_for(begun.wait(), LIMIT_S)
    await cancel(asking)
    assert counted(metrics, "other", "GET", "none") == 1
    assert timed(metrics, "other") is None


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: dict[str, str], *_: object) -> None:
        seen.append(scope["type"])

    metrics = Metrics()
    await RequestMetrics(app, metrics)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    assert routes(metrics) == set()


async def test_nothing_is_counted_where_no_port_is_set(tmp_path: Path) -> None:
    async with running_house(tmp_path, metrics={"listen": ""}) as house:
        assert (await house.visitor().get("/login")).status == 200
        assert routes(house.site.metrics) == set()


@pytest.mark.parametrize(("late", "total"), [(0.2, 0.2), (-0.001, 0.0)])
def test_lag_is_never_negative(late: float, total: float) -> None:
    metrics = Metrics()
    metrics.lag(late)
    value = metrics.registry.get_sample_value("drink_web_event_loop_lag_seconds_sum")
    assert value == pytest.approx(total)


def test_refused_scrapes_are_counted() -> None:
    metrics = Metrics()
    metrics.scrape_refused()
    assert metrics.registry.get_sample_value("drink_web_scrapes_refused_total") == 1
