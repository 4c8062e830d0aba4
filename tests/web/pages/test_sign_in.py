"""Signing in with an OpenID provider, in this process."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.fakes.openid import FakeProvider, fake_provider, oidc_settings
from tests.web.visitor import HOST, Answer, House, Visitor, running_house

BASE = f"http://{HOST}"


class Bench:
    def __init__(self, fake: FakeProvider, house: House) -> None:
        self.fake = fake
        self.house = house

    async def begin(self, visitor: Visitor, goal: str = "/account") -> dict[str, str]:
        """Begins a login; returns what the browser takes to the provider."""
        answer = await visitor.get(f"/oidc/login/home?{urlencode({'next': goal})}")
        assert answer.status == 303, answer.text
        assert answer.goal.startswith(f"{self.fake.issuer}/auth?")
        return {name: one for name, (one,) in parse_qs(urlsplit(answer.goal).query).items()}

    def gives(self, sent: dict[str, str], **claims: Any) -> None:
        """Lets the provider give a token for the code of a login."""
        own = {"nonce": sent["nonce"], "jti": sent["state"], **claims}
        self.fake.tokens = {
            "token_type": "Bearer",
            "access_token": "access",
            "id_token": self.fake.id_token(**own),
        }

    async def finish(
        self, visitor: Visitor, sent: dict[str, str], provider: str = "home", **facts: Any
    ) -> Answer:
        """Brings a browser back from the provider."""
        own = {"state": sent["state"], "code": "c-1", "iss": self.fake.issuer, **facts}
        query = urlencode({name: text for name, text in own.items() if text is not None})
        return await visitor.get(f"/oidc/callback/{provider}?{query}", sec_fetch_site="cross-site")

    async def log_in(self, visitor: Visitor, **claims: Any) -> Answer:
        sent = await self.begin(visitor)
        self.gives(sent, **claims)
        return await self.finish(visitor, sent)


@asynccontextmanager
async def running(
    folder: Path, page: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Bench]:
    async with fake_provider() as fake:
        own = {"create_accounts": True, "member_group": "/members", **settings}
        secret = folder / "secret"
        secret.write_text("of the page\n")
        oidc = {"base_url": BASE, "client_secret_files": {"home": secret}, "answer_limit_s": 2}
        oidc |= page or {}
        async with running_house(folder, oidc_settings(fake, **own), oidc=oidc) as house:
            yield Bench(fake, house)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path) as bench:
        yield bench


async def test_somebody_signs_in_by_a_link(bench: Bench) -> None:
    visitor = bench.house.visitor()
    page = await visitor.get("/login?next=/account")
    assert "Sign in with Home" in page.text
    assert 'name="password"' in page.text
    link = re.search(r'href="(/oidc/login/home[^"]*)"', page.text)
    assert link is not None
    assert link[1] == "/oidc/login/home?next=/account"
    sent = await bench.begin(visitor)
    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"] == f"{BASE}/oidc/callback/home"
    assert sent["scope"] == "openid profile"
    bench.gives(sent)
    answer = await bench.finish(visitor, sent)
    assert (answer.status, answer.goal) == (303, "/account")
    assert "mia" in (await visitor.get("/account")).text
    form = bench.fake.forms[-1]
    assert form["redirect_uri"] == [sent["redirect_uri"]]
    assert len(form["code_verifier"][0]) >= 43
    # Nothing that is secret is readable in a cookie.
    for cookie in visitor.cookies.values():
        assert sent["nonce"] not in cookie
        assert form["code_verifier"][0] not in cookie


async def test_in_german(bench: Bench) -> None:
    visitor = bench.house.visitor()
    page = await visitor.get("/login", accept_language="de")
    assert "Mit Home anmelden" in page.text


async def test_an_answer_counts_once(bench: Bench) -> None:
    visitor = bench.house.visitor()
    sent = await bench.begin(visitor)
    bench.gives(sent)
    assert (await bench.finish(visitor, sent)).status == 303
    asked = len(bench.fake.asked)
    # The button for going back shows no error to who is logged in, and changes nothing.
    assert (await bench.finish(visitor, sent)).goal == "/"
    await visitor.post("/logout")
    again = await bench.finish(visitor, sent)
    assert again.status == 400
    assert "not begun in this browser" in again.text
    assert len(bench.fake.asked) == asked


async def test_a_login_of_somebody_else_is_refused(bench: Bench) -> None:
    evil, victim = bench.house.visitor(), bench.house.visitor()
    sent = await bench.begin(evil)
    bench.gives(sent)
    assert (await bench.finish(victim, sent)).status == 400
    # Nor while the victim has begun a login of its own.
    await bench.begin(victim)
    assert (await bench.finish(victim, sent)).status == 400
    assert "/token" not in bench.fake.asked
    assert not victim.cookies.get("drink")


async def test_several_tabs(bench: Bench) -> None:
    visitor = bench.house.visitor()
    tabs = [await bench.begin(visitor, f"/drops/{number}") for number in range(6)]
    for number in (0, 1):
        assert (await bench.finish(visitor, tabs[number])).status == 400
    bench.gives(tabs[3])
    assert (await bench.finish(visitor, tabs[3])).goal == "/drops/3"
    assert max(map(len, visitor.cookies.values())) < 4_000


async def test_the_answer_of_another_provider_is_refused(bench: Bench) -> None:
    for issuer in ("https://evil.example", "", None):
        visitor = bench.house.visitor()
        sent = await bench.begin(visitor)
        bench.gives(sent)
        answer = await bench.finish(visitor, sent, iss=issuer)
        assert answer.status == 400, issuer
        assert "has not confirmed" in answer.text
    assert "/token" not in bench.fake.asked
    assert (await bench.finish(visitor, sent, provider="other")).status == 404


@pytest.mark.parametrize("goal", ["https://evil.example", "//evil.example", "/\\evil", "x"])
async def test_nobody_is_sent_elsewhere(bench: Bench, goal: str) -> None:
    visitor = bench.house.visitor()
    sent = await bench.begin(visitor, goal)
    bench.gives(sent)
    assert (await bench.finish(visitor, sent)).goal == "/"


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"error": "access_denied", "code": None}, 403),
        ({"code": None}, 403),
        ({"code": "x" * 5_000}, 403),
        ({"state": ""}, 400),
        ({"state": "ä"}, 400),
        ({"state": None}, 400),
    ],
)
async def test_answers_that_are_none(bench: Bench, facts: dict[str, Any], status: int) -> None:
    visitor = bench.house.visitor()
    sent = await bench.begin(visitor)
    bench.gives(sent)
    answer = await bench.finish(visitor, sent, **facts)
    assert answer.status == status
    assert "/token" not in bench.fake.asked


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"nonce": "another"}, "has not confirmed"),
        ({"aud": "another"}, "has not confirmed"),
        ({"iss": "https://evil.example"}, "has not confirmed"),
        ({"groups": []}, "does not count you among the members"),
        ({"preferred_username": "root"}, "tell this number: sub-of-mia"),
    ],
)
async def test_tokens_that_log_nobody_in(bench: Bench, claims: dict[str, Any], words: str) -> None:
    visitor = bench.house.visitor()
    answer = await bench.log_in(visitor, **claims)
    assert answer.status == 403
    assert words in answer.text
    assert "drink" not in visitor.cookies


@pytest.mark.parametrize("wrong", ["hang", "huge", "error", "redirect", "text"])
async def test_a_provider_that_fails_is_no_wrong_password(bench: Bench, wrong: str) -> None:
    visitor = bench.house.visitor()
    sent = await bench.begin(visitor)
    bench.gives(sent)
    bench.fake.wrong = wrong
    answer = await bench.finish(visitor, sent)
    assert answer.status == 503
    assert "does not answer at the moment" in answer.text
    # The password form still logs in.
    assert (await visitor.log_in()).status == 303


async def test_a_refused_code(bench: Bench) -> None:
    visitor = bench.house.visitor()
    sent = await bench.begin(visitor)
    bench.fake.tokens = {"error": "invalid_grant"}
    assert (await bench.finish(visitor, sent)).status == 403
    sent = await bench.begin(visitor)
    bench.fake.tokens = {"access_token": "a", "token_type": "Bearer"}
    assert (await bench.finish(visitor, sent)).status == 403


async def test_a_stranger_with_many_codes_costs_the_provider_few_requests(tmp_path: Path) -> None:
    async with running(tmp_path, {"codes_per_address_per_minute_max": 3}) as bench:
        bench.fake.tokens = {"error": "invalid_grant"}
        stranger = bench.house.visitor()
        answers = [await bench.finish(stranger, await bench.begin(stranger)) for _ in range(5)]
        assert [answer.status for answer in answers] == [403, 403, 403, 429, 429]
        assert "Too many attempts" in answers[-1].text
        assert bench.fake.asked.count("/token") == 3
        # The password form still logs in.
        assert (await bench.house.visitor().log_in()).status == 303


async def test_a_provider_that_is_away_is_shown_so(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.fake.wrong = "error"
        visitor = bench.house.visitor()
        page = await visitor.get("/login")
        assert page.status == 200
        assert "Home does not answer at the moment" in page.text
        assert "/oidc/login/home" not in page.text
        assert (await visitor.get("/oidc/login/home")).status == 503


async def test_signing_out_leads_to_the_provider_by_a_link(bench: Bench) -> None:
    visitor = bench.house.visitor()
    await bench.log_in(visitor)
    # Nobody is signed out there by a link alone.
    assert (await visitor.get("/oidc/logout")).goal == "/"
    answer = await visitor.post("/logout")
    assert answer.goal == "/signed-out"
    assert "drink" not in visitor.cookies
    page = await visitor.get("/signed-out")
    assert "Sign out at Home" in page.text
    answer = await visitor.get("/oidc/logout")
    assert answer.goal.startswith(f"{bench.fake.issuer}/end?")
    query = parse_qs(urlsplit(answer.goal).query)
    assert query["post_logout_redirect_uri"] == [f"{BASE}/"]
    assert query["client_id"] == ["page"]
    assert query["id_token_hint"][0].count(".") == 2
    assert not visitor.cookies
    assert (await visitor.get("/signed-out")).goal == "/"


async def test_a_long_token_is_not_kept(bench: Bench) -> None:
    visitor = bench.house.visitor()
    groups = ["/members", *(f"/group-{number}" for number in range(300))]
    assert (await bench.log_in(visitor, groups=groups)).status == 303
    assert max(map(len, visitor.cookies.values())) < 4_000
    await visitor.post("/logout")
    query = parse_qs(urlsplit((await visitor.get("/oidc/logout")).goal).query)
    assert "id_token_hint" not in query


async def test_a_password_login_forgets_the_provider(bench: Bench) -> None:
    visitor = bench.house.visitor()
    await bench.log_in(visitor)
    del visitor.cookies["drink"]
    await visitor.log_in()
    assert (await visitor.post("/logout")).goal == "/"


async def back_channel(visitor: Visitor, token: str) -> Answer:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    body = urlencode({"logout_token": token}).encode()
    return await visitor.ask("POST", "/oidc/back-channel-logout", body, kind)


async def test_the_provider_ends_a_login(bench: Bench) -> None:
    visitor, other = bench.house.visitor(), bench.house.visitor()
    await bench.log_in(visitor, sid="sid-1")
    await bench.log_in(other, sid="sid-2")
    provider = bench.house.visitor(address="192.0.2.99")
    answer = await back_channel(provider, bench.fake.logout_token())
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (await visitor.get("/account")).goal == "/login?next=/account&ended=1"
    assert (await other.get("/account")).status == 200


async def test_logout_tokens_of_others_end_nothing(bench: Bench) -> None:
    visitor = bench.house.visitor()
    await bench.log_in(visitor, sid="sid-1")
    provider = bench.house.visitor(address="192.0.2.99")
    for token in ("", "x", bench.fake.id_token(sid="sid-1"), bench.fake.logout_token(aud="b")):
        answer = await back_channel(provider, token)
        assert answer.status == 400
        assert "invalid_request" in answer.text
    answer = await provider.ask("POST", "/oidc/back-channel-logout", b"x" * 70_000, {})
    assert answer.status == 413
    assert (await visitor.get("/account")).status == 200


async def test_without_an_address_of_its_own_the_page_offers_nobody(tmp_path: Path) -> None:
    async with fake_provider() as fake, running_house(tmp_path, oidc_settings(fake)) as house:
        visitor = house.visitor()
        assert "Sign in with" not in (await visitor.get("/login")).text
        assert (await visitor.get("/oidc/login/home")).status == 404
