import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.domain.id_tokens import ProviderUnavailableError, TokenRefusedError
from drink_frontend.system.oidc_settings import OidcSettings
from drink_frontend.system.providers import Provider, Providers
from tests.fakes.clock import FakeClock
from tests.fakes.openid import FakeProvider, fake_provider, oidc_settings, signed

TYPES = ("", "jwt")


class Bench:
    def __init__(self, fake: FakeProvider, clock: FakeClock, providers: Providers) -> None:
        self.fake = fake
        self.clock = clock
        self.provider: Provider = providers.all[0]

    async def refused(self, token: str) -> str:
        with pytest.raises(TokenRefusedError) as error:
            await self.provider.claims(token, types=TYPES)
        return str(error.value)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Bench]:
    async with fake_provider() as fake:
        clock = FakeClock()
        providers = Providers(oidc_settings(fake, **settings), clock)
        try:
            yield Bench(fake, clock, providers)
        finally:
            await providers.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running() as bench:
        yield bench


async def test_documents_are_read_once(bench: Bench) -> None:
    for _ in range(3):
        claims = await bench.provider.claims(bench.fake.id_token(), types=TYPES)
        assert claims["sub"] == "sub-of-mia"
    assert bench.fake.asked == ["/.well-known/openid-configuration", "/jwks"]
    endpoints = await bench.provider.endpoints()
    assert endpoints.token == f"{bench.fake.issuer}/token"
    assert endpoints.names_issuer


async def test_many_at_once_read_once(bench: Bench) -> None:
    token = bench.fake.id_token()
    await asyncio.gather(*(bench.provider.claims(token, types=TYPES) for _ in range(20)))
    assert len(bench.fake.asked) == 2


async def test_a_new_key_is_found_and_an_old_one_no_longer_good(bench: Bench) -> None:
    bench.fake.keys = ["rsa"]
    old = bench.fake.id_token()
    await bench.provider.claims(old, types=TYPES)
    bench.fake.keys = ["ec"]
    bench.clock.pass_s(11)
    await bench.provider.claims(signed(bench.fake.claims(), "ec", "ES256"), types=TYPES)
    assert await bench.refused(old) == "kid"


async def test_junk_keys_cause_one_read_in_a_while(bench: Bench) -> None:
    await bench.provider.claims(bench.fake.id_token(), types=TYPES)
    bench.clock.pass_s(11)
    for number in range(50):
        assert await bench.refused(signed({}, kid=f"junk-{number}")) == "kid"
    assert len(bench.fake.asked) == 4
    bench.clock.pass_s(11)
    assert await bench.refused(signed({}, kid="junk")) == "kid"
    assert len(bench.fake.asked) == 6


async def test_bad_tokens_cause_no_read(bench: Bench) -> None:
    for token in ("", "a.b.c", signed({}, typ="at+jwt"), signed({}, kid=None)):
        await bench.refused(token)
    assert bench.fake.asked == []


async def test_known_keys_are_good_while_the_provider_is_away(bench: Bench) -> None:
    token = bench.fake.id_token()
    await bench.provider.claims(token, types=TYPES)
    bench.fake.wrong = "error"
    bench.clock.pass_s(86_000)
    # Reading anew fails, and nobody waits for it.
    await bench.provider.claims(token, types=TYPES)
    bench.clock.pass_s(500)
    with pytest.raises(ProviderUnavailableError):
        await bench.provider.claims(token, types=TYPES)
    with pytest.raises(ProviderUnavailableError):
        await bench.provider.endpoints()
    bench.fake.wrong = ""
    bench.clock.pass_s(11)
    await bench.provider.claims(token, types=TYPES)


async def test_an_unknown_key_while_the_provider_is_away_is_not_called_wrong(bench: Bench) -> None:
    await bench.provider.claims(bench.fake.id_token(), types=TYPES)
    bench.fake.wrong = "error"
    bench.clock.pass_s(11)
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError):
            await bench.provider.claims(signed({}, kid="new"), types=TYPES)


async def test_a_provider_that_hangs_delays_the_first_only(bench: Bench) -> None:
    bench.fake.wrong = "hang"
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(ProviderUnavailableError):
            await bench.provider.claims(bench.fake.id_token(), types=TYPES)
    assert len(bench.fake.asked) == 1
    assert time.monotonic() - began < 10


async def test_whoever_goes_away_takes_the_answer_from_nobody(bench: Bench) -> None:
    token = bench.fake.id_token()
    first = asyncio.create_task(bench.provider.claims(token, types=TYPES))
    second = asyncio.create_task(bench.provider.claims(token, types=TYPES))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)["sub"] == "sub-of-mia"
    assert (await asyncio.gather(first, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )


def _other_issuer(fake: FakeProvider) -> None:
    fake.metadata = {"issuer": "https://evil.example"}


def _no_keys(fake: FakeProvider) -> None:
    fake.metadata = {"jwks_uri": None}


def _plain_keys(fake: FakeProvider) -> None:
    fake.metadata = {"jwks_uri": "http://sso.example.org/jwks"}


def _wrong(how: str) -> Callable[[FakeProvider], None]:
    return lambda fake: setattr(fake, "wrong", how)


@pytest.mark.parametrize(
    "spoil",
    [
        _other_issuer,
        _no_keys,
        _plain_keys,
        *(_wrong(how) for how in ("huge", "redirect", "error", "refuse", "text", "list", "deep")),
    ],
)
async def test_documents_that_are_none(bench: Bench, spoil: Callable[[FakeProvider], None]) -> None:
    spoil(bench.fake)
    with pytest.raises(ProviderUnavailableError):
        await bench.provider.claims(bench.fake.id_token(), types=TYPES)
    await bench.provider.look()
    assert not bench.provider.has_answered


async def test_endpoints_without_tls_are_left_out(bench: Bench) -> None:
    bench.fake.metadata = {
        "token_endpoint": "http://sso.example.org/token",
        "end_session_endpoint": "javascript:alert(1)",
        "userinfo_endpoint": 5,
        "authorization_endpoint": "https://user:secret@sso.example.org/auth",
    }
    endpoints = await bench.provider.endpoints()
    assert (endpoints.token, endpoints.end_session, endpoints.userinfo) == ("", "", "")
    assert endpoints.authorization == ""
    with pytest.raises(ProviderUnavailableError):
        await bench.provider.userinfo("token")


async def test_more_claims(bench: Bench) -> None:
    bench.fake.userinfo = {"sub": "sub-of-mia", "groups": ["a"]}
    assert (await bench.provider.userinfo("token"))["groups"] == ["a"]
    bench.fake.wrong = "refuse"
    with pytest.raises(TokenRefusedError):
        await bench.provider.userinfo("token")


async def test_introspection(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    async with running(
        access_tokens="introspection",
        access_clients=("webdrink",),
        access_audiences=("drink-api",),
        introspection_client_id="drink-frontend",
        introspection_secret_file=secret,
    ) as bench:
        with pytest.raises(TokenRefusedError, match="not active"):
            await bench.provider.introspect("opaque")
        bench.fake.active = {"active": True, "sub": "mia"}
        assert (await bench.provider.introspect("opaque"))["sub"] == "mia"
        assert bench.fake.forms[-1]["token"] == ["opaque"]
        for wrong in ("refuse", "error", "text"):
            bench.fake.wrong = wrong
            with pytest.raises(ProviderUnavailableError):
                await bench.provider.introspect("opaque")


async def test_a_look_does_not_wait_for_long(bench: Bench) -> None:
    await bench.provider.look()
    assert bench.provider.has_answered
    assert bench.provider.known_endpoints is not None


def test_without_providers_nothing_is_made() -> None:
    providers = Providers(OidcSettings(), FakeClock())
    assert providers.all == ()
    assert providers.named("home") is None
    asyncio.run(providers.close())
