"""Signing in with a real OpenID provider: in a browser, by `drink`, over gRPC and at the REST face.

Member, administrator, stranger and leaver; the provider goes away, hangs, and comes back with
another key.
"""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from drink.v1 import account_service_pb2 as pb
from drink.v1 import account_service_pb2_grpc
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import BIN, wait_until
from tests.fakes.openid import encoded
from tests.support.openid import (
    ADMINISTRATORS,
    MEMBERS,
    OpenIdProvider,
    person,
    query_of,
    sign_in,
    signing_in,
)
from tests.support.ports import free_port, with_own_ports
from tests.web.browser import needs_browser, running_browser

SECRET, API_SECRET = "secret-of-the-page-of-32-characters", "secret-of-the-api-of-32-characters"

PLAN = Plan(
    machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 40),)),),
    users=(UserPlan("admin", "hunter2-not", 0, admin=True),),
    web_port=0,
)

REST = "http://localhost:1/back"
"""Where the browser of an old client is sent; nobody listens there."""

LIMIT_MS = 30_000


class Home(LocalSystem):
    """A system whose people sign in with the provider."""

    def __init__(self, folder: Path, plan: Plan, provider: OpenIdProvider) -> None:
        super().__init__(folder, plan)
        self.provider = provider

    def _write_web(self) -> None:
        super()._write_web()
        secret = self.folder / "page.secret"
        secret.write_text(SECRET)
        with (self.folder / "web.toml").open("a") as file:
            file.write(
                f'[oidc]\nbase_url = "{self.origin}"\nrefresh_s = 0.5\nanswer_limit_s = 2\n'
                f'[oidc.client_secret_files]\nhome = "{secret.absolute()}"\n'
            )

    def rpc(self, request: Any, token: str = "") -> Any:
        """Calls the method of AccountService that takes this request."""
        name = type(request).__name__.removesuffix("Request")
        caller = (("authorization", f"Bearer {token}"),) if token else ()
        with grpc.insecure_channel(self.address) as channel:
            stub = account_service_pb2_grpc.AccountServiceStub(channel)
            return getattr(stub, name)(request, metadata=caller, timeout=30)


def clients(origin: str) -> list[dict[str, Any]]:
    """The clients at the provider: the page, `drink`, an old client, and this frontend."""
    return [
        {
            "client_id": "page",
            "client_secret": SECRET,
            "redirect_uris": [f"{origin}/oidc/callback/home"],
            "post_logout_redirect_uris": [f"{origin}/"],
            "backchannel_logout_uri": f"{origin}/oidc/back-channel-logout",
            "backchannel_logout_session_required": True,
        },
        {
            "client_id": "drink",
            "token_endpoint_auth_method": "none",
            "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": [],
            "redirect_uris": [],
        },
        *(
            {"client_id": name, "token_endpoint_auth_method": "none", "redirect_uris": [REST]}
            for name in ("webdrink", "stranger")
        ),
        {
            "client_id": "api",
            "client_secret": API_SECRET,
            "redirect_uris": [],
            "response_types": [],
            "grant_types": [],
        },
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running system and its provider."""
    folder = tmp_path_factory.mktemp("home")
    plan = with_own_ports(PLAN)
    provider = OpenIdProvider(folder, clients(f"http://localhost:{plan.web_port}"))
    provider.port = free_port()
    secret = folder / "api.secret"
    secret.write_text(API_SECRET)
    settings = f"""allow_plain_loopback = true
fetch_limit_s = 1
refresh_min_s = 1
[[oidc.providers]]
name = "home"
display_name = "Home"
issuer = "{provider.issuer}"
client_id = "page"
device_client_id = "drink"
member_group = "{MEMBERS}"
admin_group = "{ADMINISTRATORS}"
create_accounts = true
access_tokens = "introspection"
access_clients = ["webdrink"]
access_audiences = ["urn:drink:opaque", "urn:drink:jwt"]
introspection_client_id = "api"
introspection_secret_file = "{secret}"
"""
    with provider, Home(folder, replace(plan, frontend={"oidc": settings}), provider) as home:
        home.set_up()
        yield home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, home: Home) -> Iterator[Page]:
    """A page of a browser that nobody has used."""
    with browser.new_context(base_url=home.origin, locale="en") as context:
        context.set_default_timeout(LIMIT_MS)
        yield context.new_page()


def at_the_provider(page: Page, subject: str) -> None:
    """Fills in the form of the provider."""
    page.fill("input[name=login]", subject)
    page.fill("input[name=password]", "any")
    page.click("button[type=submit]")


def signed_in(page: Page, subject: str) -> None:
    page.goto("/login?next=/account")
    page.click("text=Sign in with Home")
    at_the_provider(page, subject)


@needs_browser
def test_a_member_signs_in_and_out_in_a_browser(page: Page, home: Home) -> None:
    signed_in(page, "sub-of-mia")
    page.wait_for_url("**/account")
    expect(page.locator("body")).to_contain_text("Mia at home")
    page.click("text=Log out")
    page.wait_for_url("**/signed-out")
    page.click("text=Sign out at Home")
    page.click("button[value=yes]")
    page.wait_for_url(f"{home.origin}/")
    # The provider asks again who it is.
    page.goto("/login")
    page.click("text=Sign in with Home")
    expect(page.locator("input[name=login]")).to_be_visible()


@needs_browser
def test_an_administrator_is_not_the_local_one_until_linked(page: Page, home: Home) -> None:
    signed_in(page, "sub-of-root")
    expect(page.locator("[role=alert]")).to_contain_text("tell this number: sub-of-root")
    admin = home.rpc(
        pb.LoginRequest(
            password=pb.PasswordCredentials(account="accounts/admin", password="hunter2-not")
        )
    )
    home.rpc(
        pb.LinkIdentityRequest(
            parent="accounts/admin", source=home.provider.issuer, subject="sub-of-root"
        ),
        admin.token,
    )
    page.click("text=Try again with Home")
    page.wait_for_url(f"{home.origin}/")
    page.goto("/admin")
    expect(page.locator("h1").first).to_be_visible()
    assert page.url.endswith("/admin")


@needs_browser
def test_a_stranger_stays_outside(page: Page) -> None:
    signed_in(page, "sub-of-eve")
    expect(page.locator("[role=alert]")).to_contain_text("does not count you among the members")
    page.goto("/account")
    assert "/login" in page.url


def test_the_provider_ends_a_login_by_itself(home: Home) -> None:
    with signing_in() as client:
        client.get(f"{home.origin}/")
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"
        assert client.get(f"{home.origin}/account").status_code == 200
        # Signing out there, from another client's page.
        answer = client.get(f"{home.provider.issuer}/session/end")
        fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text))
        action = re.search(r'action="([^"]+)"', answer.text)
        assert action is not None
        client.post(action[1], data={**fields, "logout": "yes"})
        wait_until(
            lambda: client.get(f"{home.origin}/account").status_code != 200, "the login has ended"
        )


def in_a_browser_without_scripts(home: Home, client: httpx2.Client, subject: str) -> str:
    """Signs somebody in on the page; returns where it leads, or the status of a refusal."""
    begun = client.get(f"{home.origin}/oidc/login/home?next=/account").headers["location"]
    back = sign_in(client, begun, subject, home.origin)
    answer = client.get(back)
    return answer.headers.get("location", str(answer.status_code))


def drink(home: Home, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {
        "PATH": str(BIN),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    return subprocess.Popen(
        [str(BIN / "drink"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_drink_signs_in_on_another_device(home: Home, tmp_path: Path) -> None:
    process = drink(home, tmp_path, "login", "--provider", "home", "--server", home.address)
    assert process.stderr is not None
    with process:
        address = process.stderr.readline().removeprefix("open ").strip()
        code = process.stderr.readline().removeprefix("and type the code ").strip()
        assert address == f"{home.provider.issuer}/device"
        confirm(home, f"{address}?user_code={code}", "sub-of-mia")
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "mia can spend" in said
    whoami = drink(home, tmp_path, "whoami")
    said, _ = whoami.communicate(timeout=60)
    assert said.startswith("Mia at home (mia), member")


def confirm(home: Home, url: str, subject: str) -> None:
    """Confirms the code of a device, in a browser."""
    with signing_in() as client:
        answer = client.get(url)
        for _ in range(10):
            if answer.is_redirect:
                answer = client.get(httpx2.URL(answer.url).join(answer.headers["location"]))
                continue
            if "success" in answer.text.lower() and "<form" not in answer.text:
                return
            action = re.search(r'action="([^"]+)"', answer.text)
            if action is None:
                assert "Success" in answer.text, answer.text
                return
            fields = dict(re.findall(r'name="([^"]+)"[^>]*value="([^"]*)"', answer.text))
            if 'name="login"' in answer.text:
                fields |= {"prompt": "login", "login": subject, "password": "any"}
            else:
                fields["confirm"] = "yes"
            answer = client.post(httpx2.URL(answer.url).join(action[1]), data=fields)
        raise AssertionError(answer.text)


def test_drink_tells_which_providers_there_are(home: Home, tmp_path: Path) -> None:
    process = drink(home, tmp_path, "login", "--provider", "work", "--server", home.address)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "it has home" in said


def access_token(home: Home, client_id: str, subject: str, resource: str) -> str:
    """What an old client has after a login in its browser."""
    verifier = "v" * 43
    asked = {
        "client_id": client_id,
        "response_type": "code",
        "scope": "openid profile",
        "redirect_uri": REST,
        "code_challenge": encoded(sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
        **({"resource": resource} if resource else {}),
    }
    with signing_in() as client:
        url = f"{home.provider.issuer}/auth?{urlencode(asked)}"
        code = query_of(sign_in(client, url, subject, REST))["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REST,
            "client_id": client_id,
            "code_verifier": verifier,
        }
        answer = client.post(f"{home.provider.issuer}/token", data=form)
        return str(answer.json()["access_token"])


def credits_of(home: Home, token: str, uid: str) -> httpx2.Response:
    return httpx2.get(
        f"{home.origin}/users/credits?uid={uid}",
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )


def test_old_clients_bring_access_tokens(home: Home) -> None:
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"
    for resource in ("urn:drink:opaque",):
        token = access_token(home, "webdrink", "sub-of-mia", resource)
        for _ in range(2):
            answer = credits_of(home, token, "mia")
            assert answer.status_code == 200, answer.text
            assert answer.json()["user"]["drinkBalance"] == "0"
    for client_id, resource in (("stranger", "urn:drink:opaque"), ("webdrink", "")):
        token = access_token(home, client_id, "sub-of-mia", resource)
        assert credits_of(home, token, "mia").json()["errorCode"] == 401
    token = access_token(home, "webdrink", "sub-of-eve", "urn:drink:opaque")
    assert credits_of(home, token, "mia").json()["message"] == "NOT_A_MEMBER"


def test_a_leaver_is_out_with_the_next_login(home: Home) -> None:
    with signing_in() as before, signing_in() as after:
        assert in_a_browser_without_scripts(home, before, "sub-of-leo") == "/account"
        home.provider.people["sub-of-leo"] = person("leo")
        home.provider.stop()
        home.provider.start()
        assert in_a_browser_without_scripts(home, after, "sub-of-leo") == "403"
        assert before.get(f"{home.origin}/account").status_code == 303


def test_a_restarted_provider_with_another_key_is_known_at_once(home: Home) -> None:
    home.provider.stop()
    home.provider.key_id = "key-2"
    home.provider.start()
    time.sleep(1.1)  # the least time between two reads
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"


def test_a_provider_that_hangs_or_is_away_stops_nobody_else(home: Home) -> None:
    with signing_in() as inside, signing_in() as outside:
        assert in_a_browser_without_scripts(home, inside, "sub-of-mia") == "/account"
        begun = outside.get(f"{home.origin}/oidc/login/home").headers["location"]
        back = sign_in(outside, begun, "sub-of-mia", home.origin)
        home.provider.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            answer = outside.get(back)
            assert answer.status_code == 503
            assert "does not answer at the moment" in answer.text
            assert time.monotonic() - began < 20
            assert inside.get(f"{home.origin}/account").status_code == 200
            login = inside.get(f"{home.origin}/login")
            assert login.status_code in (200, 303)
        finally:
            home.provider.signal(signal.SIGCONT)
    home.provider.stop()
    with signing_in() as client:
        answer = client.get(f"{home.origin}/oidc/login/home")
        # The keys are still known, and so may be where browsers begin.
        assert answer.status_code in (303, 503)
        password = {"account": "accounts/admin", "password": "hunter2-not"}
        assert home.rpc(pb.LoginRequest(password=pb.PasswordCredentials(**password))).token
    home.provider.start()


def test_many_bad_tokens_do_not_stop_sales(home: Home) -> None:
    """Sales with tokens go on while somebody tries tokens."""
    stop = threading.Event()
    tried: list[str] = []

    def guess() -> None:
        while not stop.is_set():
            given = pb.OidcCredentials(provider="home", id_token="e30.e30.e30")
            try:
                home.rpc(pb.LoginRequest(oidc=given))
            except grpc.RpcError as error:
                tried.append(error.code().name)

    thread = threading.Thread(target=guess)
    thread.start()
    try:
        wait_until(lambda: len(tried) > 3, "tokens are tried")
        password = {"account": "accounts/admin", "password": "hunter2-not"}
        assert home.rpc(pb.LoginRequest(password=pb.PasswordCredentials(**password))).token
    finally:
        stop.set()
        thread.join(timeout=90)
    assert set(tried) <= {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"}
