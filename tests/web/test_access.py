"""Access tokens of an OpenID provider at the REST face."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.openid import FakeProvider, fake_provider, oidc_settings
from tests.web.visitor import House, running_house

ACCESS: dict[str, Any] = {
    "access_tokens": "jwt",
    "access_clients": ["webdrink"],
    "access_audiences": ["drink-api"],
    "member_group": "/members",
}


class Bench:
    def __init__(self, fake: FakeProvider, house: House) -> None:
        self.fake = fake
        self.house = house

    async def link(self, name: str = "ann", subject: str = "sub-of-mia") -> None:
        identities = self.house.bench.accounts.identities
        await identities.link("test", name, self.fake.issuer, subject)

    async def credits(self, token: str, uid: str = "ann") -> tuple[int, Any]:
        answer = await self.house.visitor().get(
            f"/users/credits?uid={uid}", authorization=f"Bearer {token}"
        )
        return answer.status, json.loads(answer.text)


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Bench]:
    async with (
        fake_provider() as fake,
        running_house(folder, oidc_settings(fake, **{**ACCESS, **settings})) as house,
    ):
        yield Bench(fake, house)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path) as bench:
        yield bench


async def test_an_access_token_is_taken_and_verified_once(bench: Bench) -> None:
    await bench.link()
    token = bench.fake.access_token()
    for _ in range(3):
        status, body = await bench.credits(token)
        assert status == 200
        assert isinstance(body["user"]["drinkBalance"], str)
    tokens = await bench.house.bench.accounts.tokens.list(
        await bench.house.bench.accounts.named("ann"), "ann"
    )
    assert len([each for each in tokens if each.name == "REST"]) == 1


async def test_the_frontends_own_tokens_are_taken_as_before(bench: Bench) -> None:
    assert (await bench.credits("token-of-ann"))[0] == 200
    assert bench.fake.asked == []


async def test_bad_tokens_are_refused_in_the_shape_of_old_clients(bench: Bench) -> None:
    await bench.link()
    for token in (
        bench.fake.access_token(aud="another"),
        bench.fake.access_token(client_id="another"),
        bench.fake.id_token(),
        "x" * 43,
        "x" * 100,
    ):
        status, body = await bench.credits(token)
        assert (status, body["errorCode"]) == (401, 401)
        assert "not valid" in body["error"]


async def test_who_is_not_linked_or_no_member(bench: Bench) -> None:
    status, body = await bench.credits(bench.fake.access_token())
    assert (status, body["message"]) == (400, "IDENTITY_NOT_LINKED")
    status, body = await bench.credits(bench.fake.access_token(groups=[]))
    assert (status, body["message"]) == (401, "NOT_A_MEMBER")


async def test_an_outage_is_told(bench: Bench) -> None:
    bench.fake.wrong = "error"
    status, body = await bench.credits(bench.fake.access_token())
    assert (status, body["message"]) == (503, "PROVIDER_UNAVAILABLE")


async def test_a_token_that_was_revoked_here_is_exchanged_again(bench: Bench) -> None:
    await bench.link()
    token = bench.fake.access_token()
    assert (await bench.credits(token))[0] == 200
    await bench.house.frontend.revoke("ann")
    assert (await bench.credits(token))[0] == 200


async def test_an_administrator_asks_for_others(bench: Bench) -> None:
    await bench.link("root", "sub-of-root")
    token = bench.fake.access_token(sub="sub-of-root")
    assert (await bench.credits(token, "bob"))[0] == 200
    await bench.link("ann")
    assert (await bench.credits(bench.fake.access_token(), "bob"))[0] == 401


async def test_opaque_tokens_are_asked_for(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    how: dict[str, Any] = {
        "access_tokens": "introspection",
        "introspection_client_id": "drink-frontend",
        "introspection_secret_file": str(secret),
    }
    async with running(tmp_path, **how) as bench:
        await bench.link()
        own = {"nonce": None, "aud": "drink-api", "client_id": "webdrink"}
        bench.fake.active = {"active": True, **bench.fake.claims(**own)}
        # As long as a token of the frontend's own.
        assert (await bench.credits("o" * 43))[0] == 200
        assert (await bench.credits("o" * 43))[0] == 200
        assert bench.fake.asked.count("/introspect") == 1
