"""OpenID providers: their discovery documents and keys, kept in memory and read anew now and then.

Sources: OpenID Connect Discovery 1.0; RFC 8414 for the names of endpoints.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from drink_frontend.domain.id_tokens import ProviderUnavailableError, TokenRefusedError
from drink_frontend.domain.ports import Clock
from drink_frontend.system.json_client import JsonClient
from drink_frontend.system.oidc_settings import OidcSettings, ProviderSettings, is_private
from drink_frontend.system.token_signatures import KeyRing, read_header, read_keys, verify

log = structlog.get_logger(__name__)

VERIFICATIONS_MAX = 4
"""Signatures verified at a time, on threads; each takes less than a millisecond."""

LOOK_LIMIT_S = 1.0
"""Seconds that somebody who only wants to see the list waits for a provider."""

SECRET_BYTES_MAX = 4_096
"""Bytes of the largest file with a client's secret."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider answers, from its discovery document; empty texts for what it lacks.

    Attributes:
        authorization: For browsers.
        token: Gives tokens for codes.
        jwks: Its keys.
        userinfo: More claims.
        introspection: What an access token is good for.
        end_session: Where people sign out.
        device_authorization: Begins a login without a browser of its own.
        names_issuer: Whether it names itself in its answers to browsers (RFC 9207).
    """

    authorization: str = ""
    token: str = ""
    jwks: str = ""
    userinfo: str = ""
    introspection: str = ""
    end_session: str = ""
    device_authorization: str = ""
    names_issuer: bool = False


class Provider:
    """One provider.

    Args:
        settings: Of this provider.
        limits: For all providers.
        client: Asks it.
        clock: Time.
    """

    def __init__(
        self, settings: ProviderSettings, limits: OidcSettings, client: JsonClient, clock: Clock
    ) -> None:
        self.settings = settings
        self._limits = limits
        self._client = client
        self._clock = clock
        self._endpoints: Endpoints | None = None
        self._keys = KeyRing()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._verifying = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._secret = _secret(settings.introspection_secret_file)

    @property
    def known_endpoints(self) -> Endpoints | None:
        """The endpoints as they were last read, at most `keep_s` ago; None if they were not."""
        return self._endpoints if self._age_s <= self._limits.keep_s else None

    async def look(self) -> None:
        """Reads what the provider publishes if it has not answered yet, or not when last asked.

        It waits a moment for the answer, which may come later or not at all.
        """
        await self._refresh(is_needed=False, is_wanted=not self.has_answered)
        if self._reading is not None and not self.has_answered:
            await asyncio.wait({self._reading}, timeout=LOOK_LIMIT_S)

    async def endpoints(self) -> Endpoints:
        """The endpoints.

        Raises:
            ProviderUnavailableError: it does not answer, and has not done so for long.
        """
        await self._refresh(is_needed=self.known_endpoints is None)
        known = self.known_endpoints
        if known is None:
            raise ProviderUnavailableError("the provider does not answer")
        return known

    async def claims(self, token: str, *, types: tuple[str, ...]) -> Mapping[str, Any]:
        """The claims of a token that the provider has signed.

        A token with a key that is not known costs at most one read of the keys in `refresh_min_s`,
        whatever its number.

        Args:
            token: In compact form.
            types: The kinds of token that are taken, as the header may name them.

        Raises:
            TokenRefusedError: it has not signed such a token.
            ProviderUnavailableError: its keys are not known, because it does not answer.
        """
        limits = self._limits
        header = read_header(token, self.settings.algorithms, limits.token_bytes_max)
        if header.type not in types:
            raise TokenRefusedError("typ")
        await self._refresh(
            is_needed=self.known_endpoints is None or self._keys.find(header) is None
        )
        key = self._keys.find(header) if self.known_endpoints is not None else None
        if key is None:
            if not self.has_answered:
                raise ProviderUnavailableError("the provider does not answer")
            raise TokenRefusedError("kid")
        async with self._verifying:
            return await asyncio.to_thread(verify, token, header, key)

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """The claims that the provider tells to who has an access token.

        Raises:
            TokenRefusedError: it tells none for this token.
            ProviderUnavailableError: it does not answer, or has no such endpoint.
        """
        url = _needed((await self.endpoints()).userinfo)
        claims = await self._client.get(url, token=access_token)
        if claims is None:
            raise TokenRefusedError("userinfo")
        return claims

    async def introspect(self, token: str) -> Mapping[str, Any]:
        """What the provider says of an access token.

        Raises:
            TokenRefusedError: the token is not good.
            ProviderUnavailableError: it does not answer, or refuses this frontend.
        """
        url = _needed((await self.endpoints()).introspection)
        credentials = (self.settings.introspection_client_id, self._secret)
        form = {"token": token, "token_type_hint": "access_token"}
        answer = await self._client.post(url, form, credentials)
        if answer is None:
            log.error("introspection_refused", provider=self.settings.name)
            raise ProviderUnavailableError("the provider refuses to tell about tokens")
        if answer.get("active") is not True:
            raise TokenRefusedError("not active")
        return answer

    async def close(self) -> None:
        """Ends what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @property
    def _age_s(self) -> float:
        return float("inf") if self._read_at is None else self._clock.monotonic() - self._read_at

    @property
    def has_answered(self) -> bool:
        """Whether the last read succeeded, so that what is not known is known to be wrong."""
        return self._read_at is not None and self._read_at == self._tried_at

    async def _refresh(self, *, is_needed: bool, is_wanted: bool = False) -> None:
        """Reads what the provider publishes if it is old or needed, and was not tried just now.

        Args:
            is_wanted: Whether it is to be read though what is known will do.
            is_needed: Whether what is known will not do. Then this waits for the answer, which may
                be none; who has what is needed does not wait.
        """
        if not (is_needed or is_wanted or self._age_s > self._limits.refresh_s):
            return
        if self._reading is None:
            now = self._clock.monotonic()
            if self._tried_at is not None and now - self._tried_at < self._limits.refresh_min_s:
                return
            self._tried_at = now
            self._reading = asyncio.create_task(self._read(now), name="read a provider")
            self._reading.add_done_callback(self._end_reading)
        if is_needed:
            # A caller that goes away must not end what others wait for.
            with suppress(ProviderUnavailableError):
                await asyncio.shield(self._reading)

    def _end_reading(self, task: "asyncio.Task[None]") -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()

    async def _read(self, now: float) -> None:
        name = self.settings.name
        try:
            endpoints = await self._discover()
            keys = await self._read_keys(endpoints.jwks)
        except ProviderUnavailableError as error:
            log.warning("provider_unavailable", provider=name, error=str(error))
            raise
        self._endpoints, self._keys, self._read_at = endpoints, keys, now
        log.info("provider_read", provider=name, keys=len(keys.keys))

    async def _read_keys(self, url: str) -> KeyRing:
        document = await self._client.get(url)
        if document is None:
            raise ProviderUnavailableError("its keys are refused")
        try:
            return await asyncio.to_thread(read_keys, document, self._limits.keys_max)
        except ValueError as error:
            raise ProviderUnavailableError(f"its keys: {error}") from None

    async def _discover(self) -> Endpoints:
        issuer = self.settings.issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._client.get(url)
        if found is None:
            raise ProviderUnavailableError(f"there is no {url}")
        if found.get("issuer") != issuer:
            raise ProviderUnavailableError("its discovery document has another issuer")
        plain = self._limits.allow_plain_loopback

        def endpoint(name: str) -> str:
            value = found.get(name)
            if not isinstance(value, str) or len(value) > 2_000:
                return ""
            return value if is_private(value, allow_plain_loopback=plain) else ""

        endpoints = Endpoints(
            authorization=endpoint("authorization_endpoint"),
            token=endpoint("token_endpoint"),
            jwks=endpoint("jwks_uri"),
            userinfo=endpoint("userinfo_endpoint"),
            introspection=endpoint("introspection_endpoint"),
            end_session=endpoint("end_session_endpoint"),
            device_authorization=endpoint("device_authorization_endpoint"),
            names_issuer=found.get("authorization_response_iss_parameter_supported") is True,
        )
        if not endpoints.jwks:
            raise ProviderUnavailableError("its discovery document has no jwks_uri")
        return endpoints


class Providers:
    """All providers of the settings.

    Args:
        settings: Of OpenID Connect.
        clock: Time.

    Raises:
        OSError: a file that the settings name cannot be used.
    """

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self.settings = settings
        self._client: JsonClient | None = None
        self._by_name: dict[str, Provider] = {}
        if settings.providers:
            client = JsonClient(
                settings.ca_file, settings.fetch_limit_s, settings.document_bytes_max
            )
            self._client = client
            self._by_name = {
                each.name: Provider(each, settings, client, clock) for each in settings.providers
            }

    @property
    def all(self) -> tuple[Provider, ...]:
        """The providers in the order of the settings."""
        return tuple(self._by_name.values())

    def named(self, name: str) -> Provider | None:
        """The provider of a name."""
        return self._by_name.get(name)

    async def close(self) -> None:
        """Ends all connections."""
        for each in self.all:
            await each.close()
        if self._client is not None:
            await self._client.close()


def _needed(url: str) -> str:
    if not url:
        raise ProviderUnavailableError("the provider has no such endpoint")
    return url


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    with path.open(encoding="utf-8") as file:
        return file.read(SECRET_BYTES_MAX).strip()
