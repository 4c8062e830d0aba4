"""An OpenID provider in this process, whose keys a test has and which can go wrong in every way."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from drink_frontend.system.oidc_settings import OidcSettings

CLIENT, DEVICE = "page", "drink"

KEYS: Mapping[str, Key] = {
    "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
    "ed": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    # A key of the same name that the provider does not have.
    "stolen": RSAKey.generate_key(2048, {"kid": "rsa"}),
}

_ANY = jws.JWSRegistry(algorithms=["RS256", "PS256", "ES256", "Ed25519", "HS256"])


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: Mapping[str, Any], key: str = "rsa", alg: str = "RS256", **header: Any) -> str:
    """A token with these claims."""
    whole = {"alg": alg, "kid": KEYS[key].kid, **header}
    text = json.dumps(claims).encode()
    return jws.serialize_compact(
        {name: value for name, value in whole.items() if value is not None},
        text,
        KEYS[key],
        registry=jws.JWSRegistry(algorithms=[alg], strict_check_header=False),
    )


class FakeProvider:
    """What a provider publishes, and how it answers.

    Attributes:
        keys: Names of the keys that it publishes.
        asked: Paths that were asked for, in order.
        metadata: Members of the discovery document in place of its own.
        wrong: How it answers instead: `hang`, `huge`, `redirect`, `error`, `text`, `gzip`, or
            nothing.
        active: What it says about access tokens.
        userinfo: What it says to who has one.
        forms: The forms that it got, in order.
        tokens: What it gives for a code.
    """

    def __init__(self) -> None:
        self.keys = ["rsa", "ec", "ed"]
        self.asked: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.metadata: dict[str, Any] = {}
        self.extra_keys: list[Any] = []
        self.wrong = ""
        self.active: dict[str, Any] = {"active": False}
        self.userinfo: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.port = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good ID token; None leaves one out."""
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "sub-of-mia",
            "nonce": "nonce-1",
            "iat": now_s,
            "exp": now_s + 600,
            "preferred_username": "mia",
            "name": "Mia",
            "groups": ["/members"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def id_token(self, **changes: Any) -> str:
        """A good ID token but for the changes."""
        return signed(self.claims(**changes))

    def logout_token(self, **changes: Any) -> str:
        """A good logout token but for the changes."""
        event: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        own = {"nonce": None, "events": event, "jti": "jti-1", "sid": "sid-1", **changes}
        return signed(self.claims(**own), typ="logout+jwt")

    def access_token(self, **changes: Any) -> str:
        """A good access token but for the changes."""
        own = {"nonce": None, "aud": "drink-api", "client_id": "webdrink", **changes}
        return signed(self.claims(**own), typ="at+jwt")

    def documents(self) -> dict[str, Any]:
        """What it answers, by path."""
        own = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/me",
            "introspection_endpoint": f"{self.issuer}/introspect",
            "end_session_endpoint": f"{self.issuer}/end",
            "device_authorization_endpoint": f"{self.issuer}/device",
            "authorization_response_iss_parameter_supported": True,
        }
        published = [KEYS[name].as_dict(private=False) for name in self.keys]
        return {
            "/.well-known/openid-configuration": {**own, **self.metadata},
            "/jwks": {"keys": [*published, *self.extra_keys]},
            "/introspect": self.active,
            "/me": self.userinfo,
            "/token": self.tokens,
        }

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            self.asked.append(path)
            length = [
                int(line.partition(":")[2])
                for line in head.lower().splitlines()
                if line.startswith("content-length:")
            ]
            if length:
                self.forms.append(parse_qs((await reader.readexactly(length[0])).decode()))
            if self.wrong == "hang":
                await reader.read()
                return
            writer.write(self._response(path))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _response(self, path: str) -> bytes:
        status, headers, body = "200 OK", "", json.dumps(self.documents().get(path)).encode()
        match self.wrong:
            case "huge":
                body = b'{"keys": [' + b" " * 10_000_000 + b"]}"
            case "redirect":
                status, headers = "302 Found", "location: /elsewhere\r\n"
            case "error":
                status = "500 Broken"
            case "refuse":
                status = "401 Unauthorized"
            case "text":
                body = b"<html>"
            case "list":
                body = b"[]"
            case "deep":
                body = b"[" * 100_000
            case "gzip":
                headers = "content-encoding: gzip\r\n"
        if path not in self.documents():
            status = "404 Not Found"
        length = f"content-length: {len(body)}\r\n"
        return f"HTTP/1.1 {status}\r\nconnection: close\r\n{headers}{length}\r\n".encode() + body


def oidc_settings(
    provider: FakeProvider, limits: Mapping[str, Any] | None = None, **own: Any
) -> OidcSettings:
    """Settings with this provider as `home`.

    Args:
        provider: The provider.
        limits: Settings for all providers.
        own: Settings of this one.
    """
    return OidcSettings.model_validate(
        {
            "allow_plain_loopback": True,
            "fetch_limit_s": 2,
            **(limits or {}),
            "providers": [
                {
                    "name": "home",
                    "display_name": "Home",
                    "issuer": provider.issuer,
                    "client_id": CLIENT,
                    "device_client_id": DEVICE,
                    **own,
                }
            ],
        }
    )


@asynccontextmanager
async def fake_provider() -> AsyncIterator[FakeProvider]:
    """A provider that listens on loopback."""
    provider = FakeProvider()
    server = await asyncio.start_server(provider._answer, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
