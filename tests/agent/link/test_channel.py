"""What a link is encrypted with, and that nothing is said to a frontend that is not ours."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from drink_agent.domain.events import BoardStatus, Event, LinkUp
from drink_agent.link.channel import KEEPALIVE_OPTIONS, authorization, open_channel
from drink_agent.link.client import LinkClient
from drink_agent.link.convert import Introduction
from drink_agent.link.errors import LinkSetupError
from drink_agent.link.settings import LinkSettings
from drink_frontend.rpc.tls import server_credentials
from tests.fakes.certificates import Certificates
from tests.fakes.frontend import LIMIT_S, FakeFrontend, welcome_all
from tests.fakes.http_proxy import PROXY_VARIABLES, HttpProxy
from tests.fakes.logwatch import watching


@pytest.fixture
def settings(tmp_path: Path) -> LinkSettings:
    token_file = tmp_path / "token"
    token_file.write_text("token")
    token_file.chmod(0o600)
    return LinkSettings(token_file=token_file, backoff_first_s=0.05, backoff_limit_s=0.1)


def introduce() -> Introduction:
    return Introduction("d", "boot", "journal", 0, "0", BoardStatus(ready=False))


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "theirs")


@contextlib.asynccontextmanager
async def served(certificates: Certificates, client_ca: Path | None) -> AsyncIterator[FakeFrontend]:
    """A frontend with TLS; with `client_ca` it requires a certificate."""
    frontend = FakeFrontend(welcome_all())
    await frontend.start(server_credentials(*certificates.server(), client_ca))
    try:
        yield frontend
    finally:
        await frontend.stop()


@contextlib.asynccontextmanager
async def dialling(
    settings: LinkSettings, frontend: FakeFrontend
) -> AsyncIterator[asyncio.Queue[Event]]:
    """An agent that dials the frontend; what it delivers."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    settings = replace(settings, addresses=(f"localhost:{frontend.port}",))
    client = LinkClient(settings, introduce, events.put)
    running = asyncio.create_task(client.run())
    try:
        yield events
    finally:
        await client.close()
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("variable", PROXY_VARIABLES)
async def test_a_proxy_of_the_environment_is_not_used(
    settings: LinkSettings, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with FakeFrontend(welcome_all()) as frontend, HttpProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with dialling(settings, frontend) as events:
            assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
            assert proxy.asked == []


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_link_goes_through_the_proxy_that_is_set(
    settings: LinkSettings, ours: Certificates, encrypted: bool
) -> None:
    frontend = FakeFrontend(welcome_all())
    await frontend.start(server_credentials(*ours.server(), None) if encrypted else None)
    async with HttpProxy() as proxy:
        settings = replace(settings, proxy=proxy.url, ca_file=ours.ca if encrypted else None)
        async with dialling(settings, frontend) as events:
            assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
            assert proxy.asked == [f"localhost:{frontend.port}"]
    await frontend.stop()


@pytest.mark.parametrize("right", [True, False])
async def test_fault_19_only_a_frontend_with_the_right_certificate_hears_the_token(
    settings: LinkSettings, ours: Certificates, theirs: Certificates, right: bool
) -> None:
    settings = replace(settings, ca_file=(ours if right else theirs).ca)
    with watching("drink_agent.link", "link_lost") as lost:
        async with served(ours, None) as frontend, dialling(settings, frontend) as events:
            if right:
                assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
                link = await frontend.next_link()
                assert link.metadata["authorization"] == "Bearer token"
            else:
                await asyncio.wait_for(lost.wait(), LIMIT_S)
                assert frontend._links.empty()


@pytest.mark.parametrize("trusted", [True, False])
async def test_without_a_file_of_its_own_a_link_trusts_the_system_s_authorities(
    settings: LinkSettings,
    ours: Certificates,
    theirs: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str((ours if trusted else theirs).ca))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    certificate, key = ours.machine("d")
    settings = replace(settings, token_file=None, cert_file=certificate, key_file=key)
    with watching("drink_agent.link", "link_lost") as lost:
        async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as events:
            if trusted:
                assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
            else:
                await asyncio.wait_for(lost.wait(), LIMIT_S)
                assert frontend._links.empty()


async def test_a_certificate_needs_no_token_beside_it(
    settings: LinkSettings, ours: Certificates
) -> None:
    certificate, key = ours.machine("d")
    settings = replace(
        settings, token_file=None, ca_file=ours.ca, cert_file=certificate, key_file=key
    )
    async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as events:
        assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
        assert "authorization" not in (await frontend.next_link()).metadata


@pytest.mark.parametrize("expired", [True, False])
async def test_fault_19_a_renewed_certificate_is_taken_up_with_the_next_link(
    settings: LinkSettings,
    ours: Certificates,
    theirs: Certificates,
    expired: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate, key = (ours if expired else theirs).machine("d", expired=expired)
    settings = replace(settings, ca_file=ours.ca, cert_file=certificate, key_file=key)
    async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as events:
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
        assert frontend._links.empty()
        good = ours.machine("d", file="renewed")
        good.key.replace(key)
        good.certificate.replace(certificate)
        assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
    told = [vars(each)["problem"] for each in caplog.records if each.msg == "certificate_unfit"]
    assert all("certificate has expired" in problem for problem in told)
    assert bool(told) is expired


async def test_a_certificate_without_its_key_is_not_even_tried(
    settings: LinkSettings, ours: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(
        settings, cert_file=ours.machine("d").certificate, key_file=ours.server().key
    )
    async with FakeFrontend(welcome_all()) as frontend, dialling(settings, frontend):
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
    facts = next(vars(each) for each in caplog.records if each.msg == "link_lost")
    assert facts["reason"] == "SETUP"
    assert "do not fit" in facts["detail"]


async def test_a_certificate_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    with pytest.raises(LinkSetupError, match=r"nothing\.pem"):
        open_channel(replace(settings, ca_file=Path("nothing.pem")), "localhost:1")


def test_a_token_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    assert settings.token_file is not None
    settings.token_file.unlink()
    with pytest.raises(LinkSetupError, match="token"):
        authorization(settings)


def test_no_token_is_sent_where_there_is_none_to_send(settings: LinkSettings) -> None:
    settings = replace(settings, token_file=None, cert_file=Path("a"), key_file=Path("b"))
    assert authorization(settings) == ()


def test_fault_20_pings_are_slower_than_the_frontend_allows() -> None:
    options = dict(KEEPALIVE_OPTIONS)
    assert options["grpc.keepalive_time_ms"] == 20_000
    assert options["grpc.http2.ping_timeout_ms"] == options["grpc.keepalive_timeout_ms"]
    assert options["grpc.http2.max_pings_without_data"] == 0


def test_grpc_does_not_meddle_with_forks() -> None:
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"
