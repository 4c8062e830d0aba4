"""What a link is encrypted with, and that nothing is said to a frontend that is not ours."""

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from drink_agent.domain.events import BoardStatus, Event, LinkUp
from drink_agent.link.channel import KEEPALIVE_OPTIONS, authorization, open_channel
from drink_agent.link.client import LinkClient
from drink_agent.link.convert import Introduction
from drink_agent.link.errors import LinkSetupError
from drink_agent.link.settings import LinkSettings
from tests.fakes.frontend import LIMIT_S, FakeFrontend, welcome_all
from tests.fakes.logwatch import watching


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes `frontend` and `stranger`, two self-signed certificates for this host."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("frontend", "stranger"):
        words = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN={name} -addext subjectAltName=DNS:localhost "
            f"-keyout {folder}/{name}.key -out {folder}/{name}.pem"
        )
        subprocess.run(words.split(), check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> LinkSettings:
    token_file = tmp_path / "token"
    token_file.write_text("token")
    token_file.chmod(0o600)
    return LinkSettings(token_file=token_file, backoff_first_s=0.05, backoff_limit_s=0.1)


def introduce() -> Introduction:
    return Introduction("d", "boot", "journal", 0, "0", BoardStatus(ready=False))


@pytest.mark.parametrize(("authority", "taken"), [("frontend", True), ("stranger", False)])
async def test_fault_19_only_a_frontend_with_the_right_certificate_hears_the_token(
    settings: LinkSettings, certificates: Path, authority: str, taken: bool
) -> None:
    key = (certificates / "frontend.key").read_bytes()
    certificate = (certificates / "frontend.pem").read_bytes()
    frontend = FakeFrontend(welcome_all())
    await frontend.start(grpc.ssl_server_credentials([(key, certificate)]))
    settings = replace(
        settings,
        address=f"localhost:{frontend.port}",
        ca_file=certificates / f"{authority}.pem",
    )
    events: asyncio.Queue[Event] = asyncio.Queue()
    client = LinkClient(settings, introduce, events.put)
    with watching("drink_agent.link", "link_lost") as lost:
        running = asyncio.create_task(client.run())
        if taken:
            assert await asyncio.wait_for(events.get(), LIMIT_S) == LinkUp(1)
            link = await frontend.next_link()
            assert link.metadata["authorization"] == "Bearer token"
        else:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
            assert frontend._links.empty()
    await client.close()
    running.cancel()
    await asyncio.wait([running])
    await frontend.stop()


async def test_a_certificate_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    with pytest.raises(LinkSetupError, match=r"nothing\.pem"):
        open_channel(replace(settings, ca_file=Path("nothing.pem")))


def test_a_token_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    settings.token_file.unlink()
    with pytest.raises(LinkSetupError, match="token"):
        authorization(settings)


def test_fault_20_pings_are_slower_than_the_frontend_allows() -> None:
    options = dict(KEEPALIVE_OPTIONS)
    assert options["grpc.keepalive_time_ms"] == 20_000
    assert options["grpc.http2.ping_timeout_ms"] == options["grpc.keepalive_timeout_ms"]
    assert options["grpc.http2.max_pings_without_data"] == 0


def test_grpc_does_not_meddle_with_forks() -> None:
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"
