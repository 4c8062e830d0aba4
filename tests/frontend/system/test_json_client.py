import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drink_frontend.domain.id_tokens import ProviderUnavailableError
from drink_frontend.system.json_client import JsonClient
from tests.fakes.openid import FakeProvider, fake_provider


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as provider:
        yield provider


@pytest.fixture
async def client() -> AsyncIterator[JsonClient]:
    client = JsonClient(None, 0.5, 100_000)
    yield client
    await client.close()


async def test_an_object(provider: FakeProvider, client: JsonClient) -> None:
    found = await client.get(f"{provider.issuer}/jwks")
    assert found is not None
    assert [key["kid"] for key in found["keys"]] == ["rsa", "ec", "ed"]


async def test_a_form(provider: FakeProvider, client: JsonClient) -> None:
    url = f"{provider.issuer}/introspect"
    assert await client.post(url, {"token": "a b"}, ("me", "secret")) == {"active": False}
    assert provider.forms == [{"token": ["a b"]}]


async def test_a_refusal_is_no_outage(provider: FakeProvider, client: JsonClient) -> None:
    assert await client.get(f"{provider.issuer}/missing") is None
    provider.wrong = "refuse"
    assert await client.get(f"{provider.issuer}/jwks") is None


@pytest.mark.parametrize(
    "wrong", ["hang", "huge", "redirect", "error", "text", "list", "deep", "gzip"]
)
async def test_answers_that_are_none(
    provider: FakeProvider, client: JsonClient, wrong: str
) -> None:
    provider.wrong = wrong
    if wrong == "gzip":
        # It says that it is compressed, and is taken as it is.
        assert await client.get(f"{provider.issuer}/jwks") is not None
        return
    with pytest.raises(ProviderUnavailableError):
        await client.get(f"{provider.issuer}/jwks")
    assert provider.asked == ["/jwks"]


async def test_nobody_there(client: JsonClient) -> None:
    for url in ("http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://", "gopher://x/"):
        with pytest.raises(ProviderUnavailableError):
            await client.get(url)


async def test_a_provider_whose_handshake_hangs(client: JsonClient) -> None:
    """It takes connections and never answers what begins TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        async with asyncio.timeout(60):
            with pytest.raises(ProviderUnavailableError):
                await client.get(url)
        connection, _ = listener.accept()
        with connection:
            # The client hello: a TLS handshake record.
            assert connection.recv(1) == b"\x16"


async def test_proxies_of_the_environment_are_not_used(
    provider: FakeProvider, client: JsonClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    other = JsonClient(None, 0.5, 100_000)
    assert await other.get(f"{provider.issuer}/jwks") is not None
    await other.close()


async def test_many_at_once_wait_for_their_turn(provider: FakeProvider) -> None:
    client = JsonClient(None, 60, 100_000)
    found = await asyncio.gather(*(client.get(f"{provider.issuer}/jwks") for _ in range(30)))
    assert all(found)
    await client.close()


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        JsonClient(tmp_path / "missing.pem", 1, 1_000)
