"""A system whose people sign in with a real OpenID provider, and how they do."""

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import httpx2

from drink.v1 import account_service_pb2 as pb
from drink.v1 import account_service_pb2_grpc, drop_service_pb2_grpc
from drink.v1 import drop_service_pb2 as drops
from drink_cli.device_login import GRANT
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import BIN, wait_until
from tests.fakes.openid import encoded
from tests.support.openid import (
    ADMINISTRATORS,
    MEMBERS,
    OpenIdProvider,
    query_of,
    sign_in,
    signing_in,
)
from tests.support.ports import free_port, with_own_ports

ALICE = UserPlan("alice", "correct-horse", 5_000)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)
"""Local accounts, beside those of the provider."""

SECRET, API_SECRET = "secret-of-the-page-of-32-characters", "secret-of-the-api-of-32-characters"

PLAN = Plan(
    machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 40),)),),
    users=(ALICE, ADMIN),
    web_port=0,
)

REST = "http://localhost:1/back"
"""Where the browser of an old client is sent; nobody listens there."""


class Home(LocalSystem):
    """A system whose people sign in with the provider."""

    def __init__(self, folder: Path, plan: Plan, provider: OpenIdProvider) -> None:
        super().__init__(folder, plan)
        self.provider = provider
        self.issued: dict[str, int] = {}
        """The second of the last ID token for a device, by its subject."""

    def _write_web(self) -> None:
        super()._write_web()
        secret = self.folder / "page.secret"
        secret.write_text(SECRET)
        with (self.folder / "web.toml").open("a") as file:
            file.write(self.page_settings(secret.absolute()))

    def page_settings(self, secret: Path) -> str:
        """The page's settings for the provider; `secret` is the file with its secret there."""
        return (
            f'[oidc]\nbase_url = "{self.origin}"\nrefresh_s = 0.5\nanswer_limit_s = 2\n'
            f'[oidc.client_secret_files]\nhome = "{secret}"\n'
        )

    def rpc(self, request: Any, token: str = "") -> Any:
        """Calls the method of AccountService that takes this request."""
        name = type(request).__name__.removesuffix("Request")
        caller = (("authorization", f"Bearer {token}"),) if token else ()
        with grpc.insecure_channel(self.address) as channel:
            stub = account_service_pb2_grpc.AccountServiceStub(channel)
            return getattr(stub, name)(request, metadata=caller, timeout=30)

    def log_in(self, given: pb.OidcCredentials) -> pb.LoginResponse:
        """Logs in with what the provider gave."""
        response: pb.LoginResponse = self.rpc(pb.LoginRequest(oidc=given))
        return response

    def give(self, name: str, number: int) -> None:
        """Adds credits to an account."""
        request = pb.AddCreditsRequest(
            request_id=secrets.token_hex(8), account=f"accounts/{name}", credits=number
        )
        self.rpc(request, local_token(self, ADMIN))

    def buy(self, token: str, request_id: str) -> None:
        """Buys a can with a token, and waits until it has fallen."""
        order = drops.DropRequest(request_id=request_id, slot="machines/d/slots/1")
        with grpc.insecure_channel(self.address) as channel:
            stub = drop_service_pb2_grpc.DropServiceStub(channel)
            caller = (("authorization", f"Bearer {token}"),)
            bought = stub.Drop(order, metadata=caller, timeout=30).drop
        assert bought.state == drops.Drop.STATE_DISPENSED


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


@contextmanager
def running_home(folder: Path) -> Iterator[Home]:
    """A running system and its provider, in a folder."""
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


def in_a_browser_without_scripts(home: Home, client: httpx2.Client, subject: str) -> str:
    """Signs somebody in on the page; returns where it leads, or the status of a refusal."""
    begun = client.get(f"{home.origin}/oidc/login/home?next=/account").headers["location"]
    back = sign_in(client, begun, subject, home.origin)
    answer = client.get(back)
    return answer.headers.get("location", str(answer.status_code))


def local_token(home: Home, user: UserPlan) -> str:
    """The token of a login with a password."""
    credentials = pb.PasswordCredentials(account=f"accounts/{user.name}", password=user.password)
    return str(home.rpc(pb.LoginRequest(password=credentials)).token)


def drink(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Runs `drink` for somebody whose files are in a folder."""
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
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sign_out_at_the_provider(home: Home, client: httpx2.Client) -> None:
    """Signs somebody out there, as from another client's page."""
    answer = client.get(f"{home.provider.issuer}/session/end")
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text))
    action = re.search(r'action="([^"]+)"', answer.text)
    assert action is not None
    client.post(action[1], data={**fields, "logout": "yes"})


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


def drink_login(home: Home, folder: Path, subject: str) -> tuple[int, str]:
    """Signs somebody in by `drink login` and a browser; its exit code and what it printed."""
    process = drink(folder, "login", "--provider", "home", "--server", home.address)
    assert process.stderr is not None
    with process:
        address = process.stderr.readline().removeprefix("open ").strip()
        code = process.stderr.readline().removeprefix("and type the code ").strip()
        assert address == f"{home.provider.issuer}/device"
        confirm(home, f"{address}?user_code={code}", subject)
        said, failed = process.communicate(timeout=60)
    return process.returncode, said + failed


def id_token(home: Home, subject: str, client_id: str = "drink") -> pb.OidcCredentials:
    """What a program has after somebody has confirmed its code in a browser (RFC 8628)."""
    # The provider's tokens for a device and somebody are the same within a second, and each logs
    # in once.
    last_s = home.issued.get(subject, 0)
    wait_until(lambda: int(time.time()) > last_s, "another second")
    form = {"client_id": client_id, "scope": "openid profile"}
    with signing_in() as client:
        begun = client.post(f"{home.provider.issuer}/device/auth", data=form).json()
        confirm(home, begun["verification_uri_complete"], subject)
        form = {
            "grant_type": GRANT,
            "device_code": begun["device_code"],
            "client_id": client_id,
        }
        answer = client.post(f"{home.provider.issuer}/token", data=form).json()
    home.issued[subject] = int(time.time())
    return pb.OidcCredentials(provider="home", id_token=answer["id_token"])


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
