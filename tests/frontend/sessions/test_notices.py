import asyncio

import pytest
import structlog.testing

from drink_frontend.sessions import notices
from drink_frontend.sessions.notices import Notices
from tests.fakes.sessions import until


async def test_a_flood_is_two_lines() -> None:
    with structlog.testing.capture_logs() as logged:
        told = Notices()
        for number in range(1_000):
            told.note("turned_away", number=number)
        told.stop()
    assert [(line["times"], line["number"]) for line in logged] == [(1, 0), (999, 999)]


async def test_each_kind_of_event_is_counted_for_itself() -> None:
    with structlog.testing.capture_logs() as logged:
        told = Notices()
        told.note("one")
        told.note("another")
        told.stop()
    assert [line["event"] for line in logged] == ["one", "another"]


async def test_what_was_counted_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "INTERVAL_S", 0.02)
    with structlog.testing.capture_logs() as logged:
        told = Notices()
        for _ in range(3):
            told.note("turned_away")
        await until(lambda: len(logged) == 2)
        assert logged[1]["times"] == 2
        # Two quiet intervals later the next one is told at once again.
        await until(lambda: not told._timers)
        told.note("turned_away")
        assert logged[2]["times"] == 1
        told.stop()
        await asyncio.sleep(0)
