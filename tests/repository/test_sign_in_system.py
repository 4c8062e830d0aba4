"""docs/sign-in.md on OpenID Connect and on cards, followed literally at a running system.

What differs in each house is exchanged: addresses, and the places of files.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from scripts.plan import UserPlan
from scripts.processes import BIN, run, wait_until
from tests.integration.openid_home import (
    ADMIN,
    ALICE,
    PLAN,
    REST,
    SECRET,
    Home,
    access_token,
    credits_of,
    drink,
    drink_login,
    in_a_browser_without_scripts,
    sign_out_at_the_provider,
)
from tests.support.openid import OpenIdProvider, person, signing_in
from tests.support.ports import free_port, with_own_ports
from tests.web.browser import context_of, needs_browser, running_browser
from tests.web.test_kiosk_browser import falls, shows, type_code

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "sign-in.md").read_text("utf-8")

HOUSE, ISSUER = "https://drink.example.org", "https://sso.example.org/realms/home"
"""The addresses on the page."""

PEOPLE = {
    "sub-of-mia": person("mia", "/members"),
    "sub-of-ada": person("ada", "/members", "/drink-admins"),
    "sub-of-alice": person("alice", "/members"),
    "sub-of-eve": person("eve"),
}

CARD = "04A2B3C4"


def below(heading: str, page: str = PAGE) -> str:
    """What stands below a heading, up to the next one."""
    _, found, rest = page.partition(f"{heading}\n")
    assert found, heading
    return re.split("(?m)^#", rest)[0]


def blocks(text: str) -> list[str]:
    """The blocks of code in a text."""
    found = re.findall(r"(?m)(?:^ {4,}\S.*\n(?:\n(?= {4}))?)+", text)
    return [re.sub(f"(?m)^ {{{len(each) - len(each.lstrip())}}}", "", each) for each in found]


def registered(origin: str) -> list[dict[str, Any]]:
    """The clients at the provider, as the table says, and an old client beside them."""
    rows = re.findall(
        r"(?m)^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", below("### At the provider")
    )
    kinds = {name: kind for name, kind, _ in rows}
    assert list(kinds) == ["drink-page", "drink-cli", "drink-rest"]
    assert kinds["drink-page"] == "confidential, authorization code"
    assert kinds["drink-cli"] == "public, device authorization"
    addresses = re.findall(rf"`{HOUSE}(/[^`]*)`", rows[0][2])
    redirect, after_logout, back_channel = (f"{origin}{each}" for each in addresses)
    return [
        {
            "client_id": "drink-page",
            "client_secret": SECRET,
            "redirect_uris": [redirect],
            "post_logout_redirect_uris": [after_logout],
            "backchannel_logout_uri": back_channel,
            "backchannel_logout_session_required": True,
        },
        {
            "client_id": "drink-cli",
            "token_endpoint_auth_method": "none",
            "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": [],
            "redirect_uris": [],
        },
        *(
            {"client_id": name, "token_endpoint_auth_method": "none", "redirect_uris": [REST]}
            for name in ("webdrink", "stranger")
        ),
    ]


class DocumentedHome(Home):
    """A system with the page's settings."""

    def page_settings(self, secret: Path) -> str:
        """The block of the page."""
        (settings,) = blocks(below("### At the page"))
        in_place = ("/etc/drink/oidc-home.secret", str(secret))
        return settings.replace(HOUSE, self.origin).replace(*in_place)


def key_for_cards(folder: Path) -> str:
    """Makes the key as the page of operators says, and returns the frontend's setting."""
    (block,) = blocks(below("## The key for cards", (DOCS / "operations.md").read_text("utf-8")))
    command, settings = block.split("\n\n")
    in_place = ("/etc/drink", str(folder))
    subprocess.run(["sh", "-c", command.replace(*in_place)], check=True)
    assert (folder / "card.key").stat().st_mode & 0o777 == 0o600
    return settings.replace(*in_place).removeprefix("[accounts]\n")


def reader_settings(folder: Path) -> str:
    """The agent's reader, with the emulated one's port."""
    (settings,) = (each for each in blocks(below("### In short")) if "[reader]" in each)
    port = re.sub("(?m)^port = .*$", f'port = "{folder / "reader"}"', settings)
    return port.removeprefix("[reader]\n")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[subprocess.Popen[str]]":
    """The emulated reader, as the page starts it; its folder is its `cwd`."""
    (command,) = (each for each in blocks(below("### In short")) if "emulator" in each)
    name, link = shlex.split(command)
    folder = tmp_path_factory.mktemp("documented")
    where = str(folder / Path(link).name)
    with subprocess.Popen([BIN / name, where], stdin=subprocess.PIPE, text=True) as process:
        wait_until(Path(where).is_symlink, "the reader is there")
        yield process
        process.kill()


@pytest.fixture(scope="module")
def home(emulator: "subprocess.Popen[str]") -> Iterator[DocumentedHome]:
    """The system and its provider."""
    folder = Path(str(emulator.args[1])).parent  # type: ignore[index]
    plan = with_own_ports(PLAN)
    provider = OpenIdProvider(
        folder, registered(f"http://localhost:{plan.web_port}"), dict(PEOPLE), free_port()
    )
    (settings,) = blocks(below("### At the frontend"))[:1]
    (rest,) = blocks(below("### Access tokens at the REST face"))
    oidc = f"allow_plain_loopback = true\n{settings}{rest}".replace(ISSUER, provider.issuer)
    plan = replace(
        plan,
        frontend={"oidc": oidc, "accounts": key_for_cards(folder)},
        agent={"reader": reader_settings(folder)},
    )
    with provider, DocumentedHome(folder, plan, provider) as home:
        home.set_up()
        yield home


def typed(folder: Path, command: Sequence[str], text: str = "") -> str:
    """Runs a command of `drink`, which has to succeed, and returns what it printed."""
    process = drink(folder, *command)
    said, failed = process.communicate(text, timeout=60)
    assert process.returncode == 0, failed
    return said


def logged_in(home: Home, folder: Path, user: UserPlan) -> Path:
    """The folder of somebody who has logged in with `drink` and a password."""
    folder.mkdir()
    typed(folder, ["login", user.name, "--server", home.address], f"{user.password}\n")
    return folder


def test_who_follows_the_page_signs_in_with_the_provider(home: Home, tmp_path: Path) -> None:
    with signing_in() as client:
        assert "Sign in with Example House" in client.get(f"{home.origin}/login").text
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"
        assert client.get(f"{home.origin}/admin").status_code == 403
        sign_out_at_the_provider(home, client)
        wait_until(
            lambda: client.get(f"{home.origin}/account").status_code != 200, "the login has ended"
        )
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-ada") == "/account"
        assert client.get(f"{home.origin}/admin", follow_redirects=True).status_code == 200
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-eve") == "403"
    code, said = drink_login(home, tmp_path, "sub-of-mia")
    assert code == 0, said


def test_who_follows_the_page_links_an_account_that_exists(home: Home, tmp_path: Path) -> None:
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-alice") == "403"
    (command,) = blocks(below("### At the frontend"))[1:]
    drink_, *words, account, source, _ = shlex.split(command)
    assert (drink_, account, source) == ("drink", "alice", ISSUER)
    admin = logged_in(home, tmp_path / "admin", ADMIN)
    typed(admin, [*words, account, home.provider.issuer, "sub-of-alice"])
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-alice") == "/account"


def test_who_follows_the_page_brings_access_tokens(home: Home) -> None:
    with signing_in() as client:
        assert in_a_browser_without_scripts(home, client, "sub-of-mia") == "/account"
    taken = access_token(home, "webdrink", "sub-of-mia", "urn:drink:api")
    assert credits_of(home, taken, "mia").status_code == 200
    for client_id, resource in (("stranger", "urn:drink:api"), ("webdrink", "urn:drink:jwt")):
        refused = access_token(home, client_id, "sub-of-mia", resource)
        assert credits_of(home, refused, "mia").json()["errorCode"] == 401


@pytest.mark.slow
@needs_browser
def test_who_follows_the_page_buys_with_a_card(
    home: Home, emulator: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    admin = logged_in(home, tmp_path / "admin", ADMIN)
    alice = logged_in(home, tmp_path / "alice", ALICE)
    (pair,) = re.findall(r"`drink (admin kiosks pair [^`]+)`", below("### In short"))
    code = re.search(r"pairing code (\d+)", typed(admin, shlex.split(pair)))
    assert code is not None
    with running_browser() as browser, context_of(browser, home.origin, size="kiosk") as context:
        page = context.new_page()
        page.goto("/kiosk")
        type_code(page, code[1])
        shows(page, "start")
        hold(page, emulator, "code")
        offered = page.locator("#offered").inner_text()
        (add,) = re.findall(r"`drink (cards add --code)`", below("### In short"))
        typed(alice, shlex.split(add), f"{offered}\n")
        hold(page, emulator, "tiles")
        expect(page.locator(".guest strong")).to_have_text(ALICE.name)
        page.click("#ware-d-1")
        falls(page, "dispensed")
    assert home.boards["d"].counts()["motor_runs"] == 1
    status = run(["drink-machine-agent", "--config=d.toml", "status"], home.folder)
    (well,) = re.findall(r"status` shows `(reader[^`]+)`", below("### In short"))
    assert well in status.splitlines()
    assert int(re.findall(r"(?m)^reader\.read: (\d+)$", status)[0]) >= 2


def hold(page: Page, emulator: "subprocess.Popen[str]", kind: str) -> None:
    """Types the number that the page names and Enter; again if the screen did not watch yet."""
    assert f"`{CARD}`" in below("### In short")
    assert emulator.stdin is not None
    for _ in range(5):
        emulator.stdin.write(f"{CARD}\n")
        emulator.stdin.flush()
        with suppress(AssertionError):
            expect(page.locator(f"#main[data-kind={kind}]")).to_be_visible(timeout=3_000)
            return
    shows(page, kind)
