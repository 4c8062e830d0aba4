"""OpenID providers, as the page uses them: the list, and the code flow with PKCE by Authlib.

What a provider answers is believed by the frontend only, which verifies it.
"""

import asyncio
import logging
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from drink.v1 import account_service_pb2 as pb
from drink_web.api import Api
from drink_web.errors import CallError
from drink_web.settings import ConfigError, OidcSettings
from drink_web.streams import network

_log = logging.getLogger(__name__)

SECRET_BYTES_MAX = 4_096
"""Bytes of the largest file with a client's secret."""

OK = 200

ATTEMPT_AGE_MAX_S = 600
"""Seconds that somebody may take at the provider."""

MINUTE_S = 60


class ProviderError(Exception):
    """A provider did not do its part.

    Attributes:
        is_away: Whether it did not answer; otherwise it refused.
    """

    def __init__(self, message: str, *, is_away: bool) -> None:
        super().__init__(message)
        self.is_away = is_away


class TooManyCodesError(Exception):
    """A limit of codes is reached.

    Attributes:
        retry_s: Seconds after which it may be tried again.
    """

    def __init__(self, retry_s: int) -> None:
        super().__init__()
        self.retry_s = retry_s


class CodeLimits:
    """Limits how often providers are asked for the tokens of a code, which nobody has verified yet.

    Args:
        settings: The limits.
        monotonic: Seconds of a clock that is never set.
    """

    def __init__(
        self, settings: OidcSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._at_once = 0
        self._counts: Counter[str] = Counter()
        self._minute_ends = monotonic()

    @contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        """Counts one code while the context lasts, and for its address until the minute ends.

        Args:
            address: The browser's.

        Raises:
            TooManyCodesError: there are too many.
        """
        now = self._monotonic()
        if now >= self._minute_ends:
            self._counts.clear()
            self._minute_ends = now + MINUTE_S
        key = network(address)
        if self._counts[key] >= self._settings.codes_per_address_per_minute_max:
            raise TooManyCodesError(ceil(self._minute_ends - now))
        if self._at_once >= self._settings.codes_max:
            raise TooManyCodesError(1)
        self._counts[key] += 1
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that a browser has begun.

    Attributes:
        state: What the provider has to send back.
        nonce: What the ID token has to repeat.
        verifier: Of PKCE: who has it may use the code.
        provider: The provider's name.
        goal: Path of the page to go to after it.
        begun_s: When, in seconds since the epoch.
    """

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    provider: str
    goal: str
    begun_s: str

    @classmethod
    def new(cls, provider: str, goal: str) -> Self:
        """A new one."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, provider, goal, str(int(time.time())))

    @classmethod
    def unpacked(cls, packed: Sequence[str]) -> Self | None:
        """The attempt of a cookie; None if it is none, or too old."""
        if len(packed) != 6 or not all(isinstance(each, str) for each in packed):
            return None
        found = cls(*packed)
        if not found.begun_s.isdecimal():
            return None
        age_s = time.time() - int(found.begun_s)
        return found if age_s <= ATTEMPT_AGE_MAX_S else None

    def packed(self) -> Sequence[str]:
        """The attempt for a cookie."""
        return astuple(self)


class Providers:
    """The providers with which people sign in here.

    Args:
        api: The frontend.
        settings: Of this page.

    Raises:
        ConfigError: a file that the settings name cannot be used.
    """

    def __init__(self, api: Api, settings: OidcSettings) -> None:
        self._api = api
        self._settings = settings
        self._listed: Sequence[pb.SignInProvider] = ()
        self._listed_at: float | None = None
        self._asking = asyncio.Lock()
        self._codes = CodeLimits(settings)
        self._secrets = {
            name: _secret(name, path) for name, path in settings.client_secret_files.items()
        }
        try:
            self._trust = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:
            raise ConfigError(f"oidc.ca_file: {error}") from None

    async def all(self) -> Sequence[pb.SignInProvider]:
        """The frontend's providers, as they were a moment ago.

        Without the frontend they are those of before.
        """
        async with self._asking:
            now = time.monotonic()
            if self._listed_at is None or now - self._listed_at > self._settings.refresh_s:
                try:
                    answer = await self._api.call(
                        self._api.accounts.ListSignInProviders,
                        pb.ListSignInProvidersRequest(),
                        self._api.caller(),
                    )
                except CallError as error:
                    # A frontend of an older release has none.
                    if not error.is_away:
                        self._listed, self._listed_at = (), now
                else:
                    self._listed = tuple(answer.providers)
                    # One that does not answer is asked for again at the next page.
                    whole = all(each.reachable for each in self._listed)
                    self._listed_at = now if whole else None
        return self._listed

    async def offered(self) -> Sequence[pb.SignInProvider]:
        """Those with which people sign in in a browser."""
        if not self._settings.base_url:
            return ()
        return [each for each in await self.all() if each.client_id]

    async def named(self, name: str) -> pb.SignInProvider | None:
        """The one of a name, of those that are offered."""
        return next((each for each in await self.offered() if each.name == name), None)

    def begin(self, provider: pb.SignInProvider, attempt: Attempt) -> str:
        """The address at the provider at which a browser signs in."""
        url, _ = self._client(provider).create_authorization_url(
            provider.authorization_endpoint,
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
        )
        return str(url)

    def leave(self, provider: pb.SignInProvider, id_token: str) -> str:
        """The address at the provider at which a browser signs out; empty if it has none."""
        if not provider.end_session_endpoint:
            return ""
        facts = {
            "client_id": provider.client_id,
            "post_logout_redirect_uri": f"{self._settings.base_url}/",
        }
        if id_token:
            facts["id_token_hint"] = id_token
        mark = "&" if "?" in provider.end_session_endpoint else "?"
        return f"{provider.end_session_endpoint}{mark}{urlencode(facts)}"

    async def exchange(
        self, provider: pb.SignInProvider, attempt: Attempt, code: str, address: str
    ) -> Mapping[str, str]:
        """The tokens that a provider gives for a code: `id_token`, and `access_token` if any.

        Args:
            provider: The provider.
            attempt: The login that the code ends.
            code: As the browser brought it.
            address: The browser's.

        Raises:
            ProviderError: it gives none, or does not answer in time.
            TooManyCodesError: the provider was asked too often.
        """
        try:
            with self._codes.one_more(address):
                answer = await self._fetch(provider, attempt, code)
        except OAuthError as error:
            raise ProviderError(f"it refuses the code: {error.error}", is_away=False) from None
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise ProviderError(f"no answer: {type(error).__name__}", is_away=True) from None
        tokens = {
            name: answer[name]
            for name in ("id_token", "access_token")
            if isinstance(answer.get(name), str)
        }
        if "id_token" not in tokens:
            raise ProviderError("it gives no ID token", is_away=False)
        return tokens

    async def _fetch(self, provider: pb.SignInProvider, attempt: Attempt, code: str) -> Any:
        async with (
            asyncio.timeout(self._settings.answer_limit_s),
            self._client(provider) as client,
        ):
            client.register_compliance_hook("access_token_response", _checked)
            return await client.fetch_token(
                provider.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
                redirect_uri=client.redirect_uri,
            )

    def _client(self, provider: pb.SignInProvider) -> Any:
        secret = self._secrets.get(provider.name)
        return AsyncOAuth2Client(  # type: ignore[no-untyped-call]
            client_id=provider.client_id,
            client_secret=secret,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=provider.scopes,
            redirect_uri=f"{self._settings.base_url}/oidc/callback/{provider.name}",
            code_challenge_method="S256",
            transport=_Bounded(self._trust, self._settings.answer_bytes_max),
            timeout=self._settings.answer_limit_s,
            trust_env=False,
            follow_redirects=False,
        )


def _checked(answer: httpx2.Response) -> httpx2.Response:
    """An answer of a token endpoint, if it is one: RFC 6749, sections 5.1 and 5.2."""
    if answer.status_code != OK and not answer.is_client_error:
        raise httpx2.RemoteProtocolError(f"the status is {answer.status_code}")
    return answer


class _Bounded(httpx2.AsyncBaseTransport):
    """HTTPS with answers of a limited size."""

    def __init__(self, trust: ssl.SSLContext, bytes_max: int) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False)
        self._bytes_max = bytes_max

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # A compressed answer could become larger than it is.
        request.headers["accept-encoding"] = "identity"
        answer = await self._inner.handle_async_request(request)
        answer.headers.pop("content-encoding", None)
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        answer.stream = _BoundedStream(answer.stream, self._bytes_max)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, bytes_max: int) -> None:
        self._inner = inner
        self._left = bytes_max

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError("the answer is too large")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _secret(name: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(SECRET_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"oidc.client_secret_files.{name}: {error}") from None
    if not secret:
        raise ConfigError(f"oidc.client_secret_files.{name}: {path} is empty")
    return secret
