"""Signing in with a real OpenID provider: in a browser, by `drink`, over gRPC and at the REST face.

Member, administrator, stranger and leaver; the provider goes away, hangs, and comes back with
another key.
"""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, Page, expect

from drink.v1 import account_service_pb2 as pb
from drink_cli.errors import Exit
from scripts.processes import wait_until
from tests.integration.openid_home import (
    ADMIN,
    ALICE,
    Home,
    access_token,
    credits_of,
    drink,
    drink_login,
    id_token,
    in_a_browser_without_scripts,
    local_token,
    running_home,
    sign_out_at_the_provider,
)
from tests.support.openid import MEMBERS, person, sign_in, signing_in
from tests.web.browser import LIMIT_MS, needs_browser, running_browser

LIMIT_S = 20.0
"""Seconds within which a login is answered, whatever the provider does: the limit is 2 at most."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with running_home(tmp_path_factory.mktemp("home")) as home:
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
def test_an_administrator_of_the_provider_is_one_here_in_a_browser(page: Page, home: Home) -> None:
    signed_in(page, "sub-of-ada")
    page.wait_for_url("**/account")
    page.goto("/admin")
    expect(page.locator("h1").first).to_be_visible()
    assert page.url.endswith("/admin")


@needs_browser
def test_a_stranger_stays_outside(page: Page) -> None:
    signed_in(page, "sub-of-eve")
    expect(page.locator("[role=alert]")).to_contain_text("does not count you among the members")
    page.goto("/account")
    assert "/login" in page.url


@needs_browser
def test_a_leaver_is_shut_out_in_a_browser(browser: Browser, page: Page, home: Home) -> None:
    signed_in(page, "sub-of-lea")
    page.wait_for_url("**/account")
    home.provider.change("sub-of-lea", person("lea"))
    with browser.new_context(base_url=home.origin, locale="en") as context:
        context.set_default_timeout(LIMIT_MS)
        other = context.new_page()
        signed_in(other, "sub-of-lea")
        expect(other.locator("[role=alert]")).to_contain_text("does not count you among")
    # The login of before has ended as well.
    page.goto("/account")
    assert "/login" in page.url


def test_the_provider_ends_a_login_by_itself(home: Home) -> None:
    with signing_in() as client:
        client.get(f"{home.origin}/")
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"
        assert client.get(f"{home.origin}/account").status_code == 200
        sign_out_at_the_provider(home, client)
        wait_until(
            lambda: client.get(f"{home.origin}/account").status_code != 200, "the login has ended"
        )


def test_drink_lets_in_members_and_administrators_and_no_others(home: Home, tmp_path: Path) -> None:
    def at_once(*names: str) -> dict[str, tuple[int, str]]:
        """Logins take the 5 s of the provider's interval each."""
        for name in names:
            (tmp_path / name).mkdir(exist_ok=True)
        with ThreadPoolExecutor(len(names)) as pool:
            begun = {
                name: pool.submit(drink_login, home, tmp_path / name, f"sub-of-{name}")
                for name in names
            }
            return {name: login.result() for name, login in begun.items()}

    def whoami(name: str) -> tuple[int, str]:
        process = drink(tmp_path / name, "whoami")
        said, failed = process.communicate(timeout=60)
        return process.returncode, said + failed

    logins = at_once("mia", "ada", "len")
    assert {code for code, _ in logins.values()} == {Exit.DONE}, logins
    assert "mia can spend" in logins["mia"][1]
    assert whoami("mia")[1].startswith("Mia at home (mia), member")
    assert whoami("ada")[1].startswith("Ada at home (ada), administrator")
    home.provider.change("sub-of-len", person("len"))
    refused = at_once("eve", "len")
    assert {code for code, _ in refused.values()} == {Exit.FORBIDDEN}, refused
    # The leaver's login of before has ended, and the stranger has none.
    assert [whoami(name)[0] for name in ("eve", "len")] == [Exit.LOGIN, Exit.LOGIN]


def test_id_tokens_log_members_and_administrators_in_over_grpc(home: Home) -> None:
    for name, is_administrator in (("mia", False), ("ada", True)):
        response = home.log_in(id_token(home, f"sub-of-{name}"))
        assert response.account.name == f"accounts/{name}"
        assert response.account.admin is is_administrator
        listing = pb.ListAccountsRequest()
        if is_administrator:
            assert home.rpc(listing, response.token).accounts
        else:
            with pytest.raises(grpc.RpcError) as refused:
                home.rpc(listing, response.token)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    given = id_token(home, "sub-of-mia")
    assert refusal(home, given) == ("", "")
    # It logs in once.
    assert refusal(home, given) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


def test_id_tokens_of_strangers_and_leavers_are_refused_over_grpc(home: Home) -> None:
    assert refusal(home, id_token(home, "sub-of-eve")) == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    before = home.log_in(id_token(home, "sub-of-liv")).token
    home.give("liv", 100)
    home.buy(before, "of-liv-1")
    home.provider.change("sub-of-liv", person("liv"))
    assert refusal(home, id_token(home, "sub-of-liv")) == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    with pytest.raises(grpc.RpcError) as refused:
        home.buy(before, "of-liv-2")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    request = pb.GetAccountRequest(name="accounts/liv")
    kept = home.rpc(request, local_token(home, ADMIN)).account.posted_credits
    # Who comes back has the credits that were left.
    home.provider.change("sub-of-liv", person("liv", MEMBERS))
    again = home.log_in(id_token(home, "sub-of-liv")).account.posted_credits
    assert (kept, again) == (50, 50)


def refusal(home: Home, given: pb.OidcCredentials) -> tuple[str, str]:
    """Status and reason of a refused login; both empty for one that was let in."""
    try:
        home.log_in(given)
    except grpc.RpcError as error:
        details = {each.key: each.value for each in error.trailing_metadata() or ()}
        return error.code().name, str(details.get("drink-error-reason", ""))
    return "", ""


def test_drink_tells_which_providers_there_are(home: Home, tmp_path: Path) -> None:
    process = drink(tmp_path, "login", "--provider", "work", "--server", home.address)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "it has home" in said


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
        home.provider.change("sub-of-leo", person("leo"))
        assert in_a_browser_without_scripts(home, after, "sub-of-leo") == "403"
        assert before.get(f"{home.origin}/account").status_code == 303


def test_a_restarted_provider_with_another_key_is_known_at_once(home: Home) -> None:
    home.provider.stop()
    home.provider.key_id = "key-2"
    home.provider.start()
    time.sleep(1.1)  # the least time between two reads
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"


@contextmanager
def killed(home: Home) -> Iterator[None]:
    home.provider.stop()
    try:
        yield
    finally:
        home.provider.start()


@contextmanager
def frozen(home: Home) -> Iterator[None]:
    home.provider.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        home.provider.signal(signal.SIGCONT)


@contextmanager
def slow(home: Home) -> Iterator[None]:
    """It stands still for most of the time."""
    ends = threading.Event()

    def brake() -> None:
        while not ends.is_set():
            with frozen(home):
                ends.wait(1.5)
            ends.wait(0.02)

    thread = threading.Thread(target=brake)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


STRANGE_KEY = RSAKey.generate_key(2048, {"kid": "never-published"})

AWAY = ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")


def with_an_unknown_key(home: Home) -> pb.OidcCredentials:
    """An ID token of which only the provider can say whether the key is its own."""
    claims = {"iss": home.provider.issuer, "aud": "drink", "sub": "sub-of-mia"}
    token = jwt.encode({"alg": "RS256", "kid": STRANGE_KEY.kid}, claims, STRANGE_KEY)
    return pb.OidcCredentials(provider="home", id_token=token)


@pytest.mark.parametrize("trouble", [killed, frozen, pytest.param(slow, marks=pytest.mark.slow)])
def test_sales_go_on_while_the_provider_is_in_trouble(
    home: Home, trouble: Callable[[Home], AbstractContextManager[None]]
) -> None:
    """Logins are told so in a bounded time, and nobody else is touched."""
    tokens = [local_token(home, ALICE), home.log_in(id_token(home, "sub-of-mia")).token]
    home.give("mia", 50)
    known = id_token(home, "sub-of-mia")
    opaque = [access_token(home, "webdrink", "sub-of-mia", "urn:drink:opaque") for _ in range(3)]
    with (
        signing_in() as inside,
        ThreadPoolExecutor(9) as pool,
        socket.create_connection(("127.0.0.1", home.session_port), LIMIT_S) as peer,
    ):
        lines = peer.makefile("rwb", buffering=0)
        lines.readline()
        lines.write(f"USER {ALICE.name}\r\nPASS {ALICE.password}\r\n".encode())
        assert [lines.readline()[:2] for _ in range(2)] == [b"OK", b"OK"]
        assert in_a_browser_without_scripts(home, inside, "sub-of-mia") == "/account"
        backs = [before_the_return(home) for _ in range(3)]
        # The provider was read so long ago that it is asked again.
        time.sleep(1.1)
        with trouble(home):
            began = time.monotonic()
            pages = [pool.submit(client.get, back) for client, back in backs]
            rests = [pool.submit(credits_of, home, token, "mia") for token in opaque]
            strange = [pool.submit(refusal, home, with_an_unknown_key(home)) for _ in range(3)]
            for number, token in enumerate(tokens):
                home.buy(token, f"{trouble.__name__}-{number}")
            lines.write(b"DROP 1\r\n")
            assert lines.readline().startswith(b"OK")
            assert inside.get(f"{home.origin}/account").status_code == 200
            assert local_token(home, ADMIN)
            # What the provider signed before is verified without it.
            assert refusal(home, known) == ("", "")
            statuses = {page.result(LIMIT_S).status_code for page in pages}
            codes = {rest.result(LIMIT_S).status_code for rest in rests}
            reasons = {each.result(LIMIT_S) for each in strange}
            assert time.monotonic() - began < LIMIT_S
        if trouble is slow:
            # Who is answered between is let in; nobody is told that a login is wrong.
            assert statuses <= {303, 503}
            assert codes <= {200, 503}
        else:
            assert (statuses, codes, reasons) == ({503}, {503}, {AWAY})
            assert all("does not answer at the moment" in page.result().text for page in pages)
        for client, _ in backs:
            client.close()


def before_the_return(home: Home) -> tuple[httpx2.Client, str]:
    """A browser that has signed in at the provider, and where it is sent back to."""
    client = httpx2.Client(follow_redirects=False, trust_env=False, timeout=LIMIT_S)
    begun = client.get(f"{home.origin}/oidc/login/home").headers["location"]
    return client, sign_in(client, begun, "sub-of-mia", home.origin)


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
