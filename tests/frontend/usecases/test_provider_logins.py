"""Logins with OpenID providers, over gRPC, against a provider whose keys the test has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.entities import Account
from drink_frontend.usecases.provider_logins import ProviderLogins
from tests.fakes.openid import FakeProvider, fake_provider, oidc_settings, signed
from tests.support.rpc_frontend import Frontend, running_frontend

REFUSED = ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


class Bench:
    def __init__(self, fake: FakeProvider, frontend: Frontend) -> None:
        self.fake = fake
        self.frontend = frontend

    @property
    def logins(self) -> ProviderLogins:
        return self.frontend.server._use_cases.provider_logins

    def request(self, id_token: str, nonce: str = "nonce-1", **more: str) -> pb.LoginRequest:
        given = pb.OidcCredentials(provider="home", id_token=id_token, nonce=nonce, **more)
        return pb.LoginRequest(oidc=given)

    async def login(self, id_token: str = "", **more: str) -> Any:
        return await self.frontend.call(self.request(id_token or self.fake.id_token(), **more))

    async def refused(self, id_token: str, **more: str) -> tuple[str, str]:
        return (await self.frontend.refused(self.request(id_token, **more))).status

    async def access(self, token: str) -> Any:
        return await self.frontend.call(pb.LoginRequest(access_token=token))

    async def whose(self, token: str) -> Any:
        caller = (("authorization", f"Bearer {token}"),)
        return (await self.frontend.call(pb.GetAccountRequest(), caller)).account

    async def account(self, name: str) -> Account:
        return await self.frontend.bench.accounts.named(name)


@asynccontextmanager
async def running(limits: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Bench]:
    async with fake_provider() as fake:
        oidc = oidc_settings(fake, limits, **{"create_accounts": True, **settings})
        async with running_frontend(oidc=oidc) as frontend:
            yield Bench(fake, frontend)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running(member_group="/members", admin_group="/admins") as bench:
        yield bench


async def test_a_member_gets_an_account_and_a_token_of_ours(bench: Bench) -> None:
    answer = await bench.login()
    assert answer.account.name == "accounts/mia"
    assert answer.account.display_name == "Mia"
    assert not answer.account.admin
    assert (await bench.whose(answer.token)).name == "accounts/mia"
    again = await bench.login(bench.fake.id_token(preferred_username="renamed"))
    assert again.account.id == answer.account.id


async def test_a_token_logs_in_once(bench: Bench) -> None:
    token = bench.fake.id_token()
    await bench.login(token)
    assert await bench.refused(token) == REFUSED
    other = bench.fake.id_token(jti="2")
    answers = await asyncio.gather(
        *(bench.frontend.call(bench.request(other)) for _ in range(5)), return_exceptions=True
    )
    assert len([each for each in answers if isinstance(each, pb.LoginResponse)]) == 1


async def test_administrators_come_and_go_with_their_group(bench: Bench) -> None:
    groups = ["/members", "/admins"]
    assert (await bench.login(bench.fake.id_token(groups=groups))).account.admin
    assert not (await bench.login(bench.fake.id_token(groups=["/members"]))).account.admin


async def test_the_name_of_an_account_that_exists_gives_nothing(bench: Bench) -> None:
    for name in ("root", "Root", "ann"):
        token = bench.fake.id_token(preferred_username=name, groups=["/members", "/admins"])
        refusal = await bench.frontend.refused(bench.request(token))
        assert refusal.status == ("FAILED_PRECONDITION", "IDENTITY_NOT_LINKED")
        assert refusal.facts == {"source": bench.fake.issuer, "subject": "sub-of-mia"}
    link = bench.frontend.bench.accounts.identities.link
    await link("test", "ann", bench.fake.issuer, "sub-of-mia")
    assert (await bench.login()).account.name == "accounts/ann"


async def test_strangers_and_leavers(bench: Bench) -> None:
    stranger = bench.fake.id_token(groups=["/guests"], sub="sub-of-eve")
    assert await bench.refused(stranger) == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    inside = await bench.login()
    other = await bench.login(bench.fake.id_token(sub="sub-of-leo", preferred_username="leo"))
    left = bench.fake.id_token(groups=[])
    assert await bench.refused(left) == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    # The logins of who has left end; those of others do not.
    caller = (("authorization", f"Bearer {inside.token}"),)
    refusal = await bench.frontend.refused(pb.GetAccountRequest(), caller)
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert (await bench.whose(other.token)).name == "accounts/leo"


async def test_a_closed_account_stays_closed(bench: Bench) -> None:
    await bench.login()
    await bench.frontend.bench.accounts.change("test", "mia", closed=True)
    token = bench.fake.id_token(jti="2")
    assert await bench.refused(token) == ("FAILED_PRECONDITION", "ACCOUNT_CLOSED")


async def test_accounts_are_not_made_unless_the_setting_says_so() -> None:
    async with running(create_accounts=False) as bench:
        token = bench.fake.id_token()
        assert await bench.refused(token) == ("FAILED_PRECONDITION", "IDENTITY_NOT_LINKED")


async def test_bad_tokens(bench: Bench) -> None:
    # None of them waits for its turn here.
    bench.logins._logins._wait_s = lambda *_: 0.0  # type: ignore[method-assign]
    claims = bench.fake.claims()
    now_s = claims["iat"]
    for token in (
        bench.fake.id_token(nonce="another"),
        bench.fake.id_token(nonce=None),
        bench.fake.id_token(aud="another"),
        bench.fake.id_token(iss="https://evil.example"),
        bench.fake.id_token(iat=now_s + 100),
        bench.fake.id_token(exp=now_s - 100),
        signed(claims, "stolen"),
        signed(claims, kid="junk"),
        bench.fake.logout_token(),
        bench.fake.access_token(),
        "x" * 20_000,
        "",
    ):
        assert await bench.refused(token) == REFUSED


async def test_guesses_are_slowed_and_the_provider_is_left_in_peace(bench: Bench) -> None:
    bench.logins._logins._wait_max_s = 0
    found = [await bench.refused(signed({}, kid=f"junk-{number}")) for number in range(8)]
    assert found[:5] == [REFUSED] * 5
    assert found[-1] == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert len(bench.fake.asked) == 2


async def test_junk_from_an_address_keeps_nobody_out_who_has_signed_in_there(bench: Bench) -> None:
    await bench.login()
    bench.logins._logins._wait_max_s = 0
    limited = ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    for number in range(40):
        junk = signed({"sub": f"sub-of-{number}"}, kid="junk")
        assert await bench.refused(junk) in (REFUSED, limited)
        ended = pb.EndProviderSessionsRequest(logout_token="junk")
        assert (await bench.frontend.refused(ended)).status in (REFUSED, limited)
    other = bench.fake.id_token(sub="sub-of-leo", preferred_username="leo")
    assert await bench.refused(other) == limited
    await bench.login(bench.fake.id_token(jti="2"))


async def test_an_outage_is_no_wrong_password(bench: Bench) -> None:
    away = ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")
    bench.fake.wrong = "hang"
    # More often than guesses are free of waiting.
    for _ in range(8):
        assert await bench.refused(bench.fake.id_token()) == away


async def test_an_unknown_provider(bench: Bench) -> None:
    given = pb.OidcCredentials(provider="other", id_token=bench.fake.id_token())
    refusal = await bench.frontend.refused(pb.LoginRequest(oidc=given))
    assert refusal.status == ("NOT_FOUND", "PROVIDER_NOT_FOUND")
    refusal = await bench.frontend.refused(pb.LoginRequest(access_token="x"))
    assert refusal.status == ("NOT_FOUND", "PROVIDER_NOT_FOUND")


async def test_claims_of_the_userinfo_endpoint() -> None:
    async with running(userinfo=True, member_group="/members") as bench:
        token = bench.fake.id_token(groups=None, name=None, preferred_username=None)
        bench.fake.userinfo = {
            "sub": "sub-of-mia",
            "groups": ["/members"],
            "preferred_username": "mia",
            "iss": "https://evil.example",
        }
        assert (await bench.login(token, access_token="a")).account.name == "accounts/mia"
        bench.fake.userinfo = {"sub": "sub-of-eve", "groups": ["/members"]}
        token = bench.fake.id_token(groups=None, jti="2")
        assert await bench.refused(token, access_token="a") == REFUSED
        # Without an access token there is no group.
        token = bench.fake.id_token(groups=None, jti="3")
        assert await bench.refused(token) == ("PERMISSION_DENIED", "NOT_A_MEMBER")


async def test_cards_come_from_a_claim() -> None:
    async with running(cards_claim="card") as bench:
        await bench.login(bench.fake.id_token(card="0123456789ABCDEF0123"))
        cards = bench.frontend.bench.accounts.cards
        caller = await bench.account("mia")
        assert [card.length for card in await cards.list(caller, "mia")] == [20]
        await bench.login(bench.fake.id_token(card=[], jti="2"))
        assert not await cards.list(caller, "mia")


async def end(bench: Bench, token: str) -> int:
    answer = await bench.frontend.call(pb.EndProviderSessionsRequest(logout_token=token))
    return int(answer.count)


async def test_the_provider_ends_a_session_or_all_of_a_person(bench: Bench) -> None:
    one = await bench.login(bench.fake.id_token(sid="sid-1"))
    two = await bench.login(bench.fake.id_token(sid="sid-2"))
    assert await end(bench, bench.fake.logout_token(sid="sid-1")) == 1
    refusal = await bench.frontend.refused(
        pb.GetAccountRequest(), (("authorization", f"Bearer {one.token}"),)
    )
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert (await bench.whose(two.token)).name == "accounts/mia"
    assert await end(bench, bench.fake.logout_token(sid="sid-1", jti="2")) == 0
    assert await end(bench, bench.fake.logout_token(sid=None, sub="sub-of-mia")) == 1


async def test_bad_logout_tokens(bench: Bench) -> None:
    await bench.login(bench.fake.id_token(sid="sid-1"))
    for token in (
        bench.fake.id_token(sid="sid-1"),
        bench.fake.logout_token(nonce="n"),
        bench.fake.logout_token(aud="another"),
        "x",
    ):
        refusal = await bench.frontend.refused(pb.EndProviderSessionsRequest(logout_token=token))
        assert refusal.status == REFUSED


ACCESS: dict[str, Any] = {
    "access_tokens": "jwt",
    "access_clients": ("webdrink",),
    "access_audiences": ("drink-api",),
    "member_group": "/members",
}


async def test_access_tokens_give_a_token_for_minutes() -> None:
    async with running(**ACCESS) as bench:
        refusal = await bench.frontend.refused(
            pb.LoginRequest(access_token=bench.fake.access_token())
        )
        assert refusal.status == ("FAILED_PRECONDITION", "IDENTITY_NOT_LINKED")
        await bench.login()
        answer = await bench.access(bench.fake.access_token())
        assert (await bench.whose(answer.token)).name == "accounts/mia"
        left_s = answer.expire_time.seconds - bench.frontend.bench.clock.now_ms() / 1000
        assert 0 < left_s <= 300
        # It may be used again: it is no proof of a single login.
        token = bench.fake.access_token()
        await bench.access(token)
        await bench.access(token)


async def test_bad_access_tokens() -> None:
    async with running(**ACCESS) as bench:
        await bench.login()
        for token in (
            bench.fake.access_token(client_id="another"),
            bench.fake.access_token(aud="another"),
            bench.fake.id_token(jti="2"),
        ):
            refusal = await bench.frontend.refused(pb.LoginRequest(access_token=token))
            assert refusal.status == REFUSED
        left = bench.fake.access_token(groups=None)
        refusal = await bench.frontend.refused(pb.LoginRequest(access_token=left))
        assert refusal.status == ("PERMISSION_DENIED", "NOT_A_MEMBER")


async def test_opaque_access_tokens(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    how: dict[str, Any] = {
        "access_tokens": "introspection",
        "introspection_client_id": "drink-frontend",
        "introspection_secret_file": secret,
    }
    async with running(**{**ACCESS, **how}) as bench:
        await bench.login()
        refusal = await bench.frontend.refused(pb.LoginRequest(access_token="opaque"))
        assert refusal.status == REFUSED
        bench.fake.active = {
            "active": True,
            **bench.fake.claims(nonce=None, iss=None, aud="drink-api", client_id="webdrink"),
        }
        assert (await bench.access("opaque")).account.name == "accounts/mia"
        bench.fake.wrong = "refuse"
        refusal = await bench.frontend.refused(pb.LoginRequest(access_token="opaque"))
        assert refusal.status == ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")


async def test_the_list_of_providers(bench: Bench) -> None:
    answer = await bench.frontend.call(pb.ListSignInProvidersRequest())
    (home,) = answer.providers
    assert (home.name, home.display_name, home.client_id) == ("home", "Home", "page")
    assert home.reachable
    assert home.token_endpoint == f"{bench.fake.issuer}/token"


async def test_the_list_does_not_wait_for_a_provider_that_hangs() -> None:
    async with running({"fetch_limit_s": 30}) as bench:
        bench.fake.wrong = "hang"
        answer = await bench.frontend.call(pb.ListSignInProvidersRequest())
        assert not answer.providers[0].reachable
