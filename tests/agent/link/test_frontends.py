"""A link client with the addresses of several frontends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from drink.v1.machine_link_service_pb2 import Goodbye
from drink_agent.domain.events import LinkDown, LinkUp
from drink_agent.link.settings import LinkSettings
from tests.fakes.frontend import LIMIT_S, FakeFrontend, welcome_all
from tests.fakes.names import name_server
from tests.support.link_client import running, with_token

FIRST, SECOND = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def settings(tmp_path: Path) -> LinkSettings:
    # Waits that no test outlasts: a frontend that is dialled soon is dialled without a wait.
    return with_token(
        LinkSettings(
            welcome_limit_s=LIMIT_S,
            backoff_first_s=LIMIT_S * 4,
            backoff_limit_s=LIMIT_S * 4,
            backoff_slow_s=LIMIT_S * 4,
            goodbye_limit_s=0.5,
        ),
        tmp_path,
    )


@contextlib.asynccontextmanager
async def two_frontends() -> AsyncIterator[tuple[FakeFrontend, FakeFrontend]]:
    """Two frontends on the same port of two addresses, which one name can have."""
    async with (
        FakeFrontend(welcome_all(), FIRST) as first,
        FakeFrontend(welcome_all(), SECOND, first.port) as second,
    ):
        yield first, second


async def test_fault_21_an_unreachable_frontend_is_skipped(
    settings: LinkSettings,
) -> None:
    async with two_frontends() as (first, second):
        await first.stop()
        async with running(settings, first.address, second.address) as peer:
            assert isinstance(await peer.event(), LinkUp)
            await second.next_link()


async def test_fault_21_an_agent_whose_frontend_dies_links_to_the_other_at_once(
    settings: LinkSettings,
) -> None:
    async with (
        two_frontends() as (first, second),
        running(settings, first.address, second.address) as peer,
    ):
        await first.next_link()
        assert isinstance(await peer.event(), LinkUp)
        await first.stop()
        assert await peer.event() == LinkDown()
        assert isinstance(await peer.event(), LinkUp)
        await second.next_link()


async def test_a_goodbye_moves_the_agent_at_once(settings: LinkSettings) -> None:
    settings = replace(settings, backoff_first_s=0.001)
    async with (
        two_frontends() as (first, second),
        running(settings, first.address, second.address) as peer,
    ):
        for frontend in (first, second) * 2:
            link = await frontend.next_link()
            assert isinstance(await peer.event(), LinkUp)
            link.goodbye(Goodbye.REASON_SHUTTING_DOWN)
            assert await peer.event() == LinkDown()


@pytest.mark.parametrize("reason", ["SHUTTING_DOWN", "STORAGE_UNAVAILABLE", "INTERNAL"])
async def test_a_frontend_that_refuses_the_link_is_skipped(
    settings: LinkSettings, reason: str
) -> None:
    async with (
        FakeFrontend() as first,
        FakeFrontend(welcome_all(), SECOND) as second,
        running(settings, first.address, second.address) as peer,
    ):
        (await first.next_link()).fail(grpc.StatusCode.UNAVAILABLE, reason)
        assert isinstance(await peer.event(), LinkUp)
        await second.next_link()


async def test_fault_18_an_agent_that_was_superseded_does_not_return_by_another_frontend(
    settings: LinkSettings,
) -> None:
    async with (
        two_frontends() as (first, second),
        running(settings, first.address, second.address) as peer,
    ):
        (await first.next_link()).goodbye(Goodbye.REASON_SUPERSEDED)
        assert isinstance(await peer.event(), LinkUp)
        assert await peer.event() == LinkDown()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await second.next_link()


async def test_one_name_of_several_frontends_leads_to_one_that_answers(
    settings: LinkSettings,
) -> None:
    settings = replace(settings, insecure=True, backoff_first_s=0.01, backoff_limit_s=0.01)
    async with two_frontends() as (first, second), name_server(FIRST, SECOND) as names:
        await first.stop()
        name = f"dns://127.0.0.1:{names.port}/frontend.test:{first.port}"
        async with running(settings, name) as peer:
            assert isinstance(await peer.event(), LinkUp)
            await second.next_link()
            await second.stop()
            await first.start()
            assert await peer.event() == LinkDown()
            assert isinstance(await peer.event(), LinkUp)
            await first.next_link()


async def test_a_name_is_resolved_anew_for_each_link(settings: LinkSettings) -> None:
    settings = replace(settings, insecure=True, backoff_first_s=0.01, backoff_limit_s=0.01)
    async with two_frontends() as (first, second), name_server(FIRST) as names:
        name = f"dns://127.0.0.1:{names.port}/frontend.test:{first.port}"
        async with running(settings, name) as peer:
            link = await first.next_link()
            assert isinstance(await peer.event(), LinkUp)
            asked, names.addresses = names.asked, (SECOND,)
            link.cut()
            await second.next_link()
            assert names.asked > asked


async def test_the_frontends_behind_one_name_share_the_agents(settings: LinkSettings) -> None:
    settings = replace(settings, insecure=True, backoff_first_s=0.001, backoff_limit_s=0.01)
    async with two_frontends() as (first, second), name_server(FIRST, SECOND) as names:
        name = f"dns://127.0.0.1:{names.port}/frontend.test:{first.port}"
        seen, both = set(), asyncio.Event()

        async def cut_all(frontend: FakeFrontend) -> None:
            while True:
                link = await frontend.next_link()
                seen.add(frontend.address)
                link.cut()
                if len(seen) == 2:
                    both.set()

        async with running(settings, name), asyncio.timeout(LIMIT_S):
            cutting = [asyncio.create_task(cut_all(each)) for each in (first, second)]
            await both.wait()
            for task in cutting:
                task.cancel()
            await asyncio.wait(cutting)
