"""Logins with OpenID providers: by ID tokens, by access tokens, and their end by the provider.

The tokens are verified here, in the frontend: whoever brings one, such as the page, is trusted
with nothing but what it proves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import CredentialsInvalidError
from drink_frontend.domain.id_tokens import (
    CARDS_MAX,
    GROUPS_MAX,
    Expected,
    ProviderNotFoundError,
    ProviderUnavailableError,
    TokenRefusedError,
    check_access_token,
    check_id_token,
    check_logout_token,
    text_claim,
    texts_claim,
)
from drink_frontend.domain.identities import Person
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.origin import place
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.provider_logins import ProviderLogin
from drink_frontend.domain.sign_in_errors import IdentityNotLinkedError, NotMemberError
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.system.oidc_settings import ProviderSettings
from drink_frontend.system.providers import Endpoints, Provider, Providers
from drink_frontend.system.token_signatures import read_subject
from drink_frontend.usecases.identities import Identities
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.settings import LoginSettings
from drink_frontend.usecases.tokens import digest

log = structlog.get_logger(__name__)

T = TypeVar("T")

ID_TOKEN_TYPES = ("", "jwt")
"""Kinds of token, as headers name them, that can be ID tokens."""

LOGOUT_TOKEN_TYPES = ("", "jwt", "logout+jwt", "application/logout+jwt")
ACCESS_TOKEN_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who has signed in with a provider.

    Attributes:
        account: The account.
        ttl_s: Seconds that a bearer token of the login is good for.
        assertion: Digest of the ID token; empty for a login with an access token.
    """

    account: Account
    ttl_s: int
    assertion: str = ""


@dataclass(frozen=True, slots=True)
class ProviderShown:
    """A provider as clients see it.

    Attributes:
        settings: Of the provider.
        endpoints: Where it answers; None as long as it is not known.
        is_reachable: Whether it has answered when it was last asked.
    """

    settings: ProviderSettings
    endpoints: Endpoints | None
    is_reachable: bool


class ProviderLogins:
    """Use cases of logins with OpenID providers.

    Args:
        storage: The database.
        providers: The providers.
        identities: Which account is whose.
        clock: Time.
        settings: Rates at which tokens can be tried.
    """

    def __init__(
        self,
        storage: Database,
        providers: Providers,
        identities: Identities,
        clock: Clock,
        settings: LoginSettings,
    ) -> None:
        self._storage = storage
        self._providers = providers
        self._limits = providers.settings
        self._identities = identities
        self._clock = clock
        self._logins = Logins(clock, settings)

    async def list(self) -> tuple[ProviderShown, ...]:
        """The providers, with their endpoints as far as they are known."""
        found = self._providers.all
        await asyncio.gather(*(each.look() for each in found))
        return tuple(
            ProviderShown(each.settings, each.known_endpoints, is_reachable=each.has_answered)
            for each in found
        )

    async def log_in(
        self, name: str, id_token: str, nonce: str, origin: str, *, access_token: str = ""
    ) -> Entry:
        """Somebody's login with an ID token, which logs in once.

        Args:
            name: The provider.
            id_token: What it gave.
            nonce: What was sent when the login began; empty where none was sent.
            origin: Where the attempt comes from: the peer's address.
            access_token: For the userinfo endpoint, where claims are read from it.

        Raises:
            ProviderNotFoundError: there is no such provider.
            ProviderUnavailableError: it does not answer, so that nobody can tell.
            CredentialsInvalidError: the token proves nothing, or has logged in before.
            RateLimitedError: too many attempts failed.
            NotMemberError: the provider does not count the person among the members.
            IdentityNotLinkedError: the person has no account; facts `source` and `subject`.
            AccountClosedError: an administrator has closed the account.
        """
        provider = self._providers.named(name)
        if provider is None:
            raise ProviderNotFoundError("there is no such provider")

        async def verify() -> tuple[Mapping[str, Any], str] | None:
            try:
                claims = await provider.claims(id_token, types=ID_TOKEN_TYPES)
                check_id_token(claims, self._expected(provider), nonce)
            except TokenRefusedError as error:
                log.info("id_token_refused", provider=name, why=str(error), origin=origin)
                return None
            used = self._used(provider, claims, id_token)
            now_ms = self._clock.now_ms()
            if not await self._storage.write(lambda tx: tx.provider_logins.add(used, now_ms)):
                log.warning("id_token_replayed", provider=name, origin=origin)
                return None
            return claims, used.assertion

        whose = self._whose(id_token, place(origin))
        claims, assertion = await self._logins.attempt(origin, whose, verify)
        if provider.settings.userinfo and access_token:
            claims = await self._with_userinfo(provider, claims, access_token)
        await self._check_member(provider, claims)
        person = _person(provider.settings, claims)
        try:
            account = await self._identities.log_in(
                person, creates_accounts=provider.settings.create_accounts
            )
        except IdentityNotLinkedError as error:
            # What an administrator needs to link it; the person knows it anyway.
            error.facts.update(source=person.source, subject=person.subject)
            log.info("identity_not_linked", source=person.source, subject=person.subject)
            raise
        return Entry(account, provider.settings.token_ttl_s, assertion)

    async def log_in_access(self, access_token: str, origin: str) -> Entry:
        """The login of somebody whose client has an access token of a provider.

        It makes and changes no account: access tokens say less of a person than ID tokens.

        Raises:
            ProviderNotFoundError: no provider's access tokens are taken.
            ProviderUnavailableError: one of them does not answer, so that nobody can tell.
            CredentialsInvalidError: the token proves nothing, or is for something else.
            RateLimitedError: too many attempts failed.
            NotMemberError: the provider does not count the person among the members.
            IdentityNotLinkedError: no account is linked; facts `source` and `subject`.
        """
        taking = [each for each in self._providers.all if each.settings.access_tokens != "no"]
        if not taking:
            raise ProviderNotFoundError("access tokens of other services are not taken here")

        async def claims_at(provider: Provider) -> tuple[Provider, Mapping[str, Any]]:
            return provider, await self._access_claims(provider, access_token)

        async def verify() -> tuple[Provider, Mapping[str, Any]] | None:
            return await _first(taking, claims_at, "access_token_refused")

        whose = self._whose(access_token, digest(access_token))
        provider, claims = await self._logins.attempt(origin, whose, verify)
        settings = provider.settings
        if settings.userinfo:
            claims = await self._with_userinfo(provider, claims, access_token)
        await self._check_member(provider, claims)
        source, subject = settings.issuer, str(claims["sub"])

        def find(tx: Transaction) -> Account | None:
            identity = tx.identities.get(source, subject)
            return None if identity is None else tx.accounts.get(identity.account)

        account = await self._storage.read(find)
        if account is None:
            raise IdentityNotLinkedError(
                "no account is linked to this login", source=source, subject=subject
            )
        if account.closed or account.kind is not AccountKind.USER:
            raise CredentialsInvalidError("the credentials do not match")
        left_s = int(claims["exp"]) - self._clock.now_ms() // 1000
        return Entry(account, max(1, min(settings.access_ttl_s, left_s)))

    async def end_sessions(self, logout_token: str, origin: str) -> int:
        """Ends the logins that a provider's logout token names; returns how many these are.

        Raises:
            ProviderUnavailableError: a provider does not answer, so that nobody can tell.
            CredentialsInvalidError: the token is no provider's logout token.
            RateLimitedError: too many attempts failed.
        """

        async def ended_at(provider: Provider) -> tuple[str, str | None, str | None]:
            claims = await provider.claims(logout_token, types=LOGOUT_TOKEN_TYPES)
            return (provider.settings.issuer, *check_logout_token(claims, self._expected(provider)))

        async def verify() -> tuple[str, str | None, str | None] | None:
            return await _first(self._providers.all, ended_at, "logout_token_refused")

        whose = f"logout {place(origin)}"
        issuer, subject, session = await self._logins.attempt(origin, whose, verify)
        if session is not None:
            # Other sessions of the same person go on.
            subject = None
        count = await self._end(issuer, subject, session)
        log.info("provider_logged_out", source=issuer, logins=count)
        return count

    async def _access_claims(self, provider: Provider, access_token: str) -> Mapping[str, Any]:
        settings = provider.settings
        if settings.access_tokens == "jwt":
            claims = await provider.claims(access_token, types=ACCESS_TOKEN_TYPES)
        else:
            claims = await provider.introspect(access_token)
            # The issuer is whom was asked; RFC 7662 makes the member optional.
            claims = {"iss": settings.issuer, **claims}
        check_access_token(
            claims,
            self._expected(provider),
            clients=settings.access_clients,
            audiences=settings.access_audiences,
        )
        return claims

    async def _with_userinfo(
        self, provider: Provider, claims: Mapping[str, Any], access_token: str
    ) -> Mapping[str, Any]:
        try:
            more = await provider.userinfo(access_token)
        except TokenRefusedError:
            raise CredentialsInvalidError("the provider refuses the access token") from None
        if more.get("sub") != claims["sub"]:
            raise CredentialsInvalidError("the access token is of somebody else")
        return {**more, **claims}

    async def _check_member(self, provider: Provider, claims: Mapping[str, Any]) -> None:
        """Checks that the person is in the group of the members; ends the logins of who is not.

        Raises:
            NotMemberError: the person is not.
        """
        group = provider.settings.member_group
        if group and group not in texts_claim(claims, provider.settings.groups_claim, GROUPS_MAX):
            ended = await self._end(provider.settings.issuer, claims["sub"], None)
            log.info("no_member", provider=provider.settings.name, logins_ended=ended)
            raise NotMemberError("the provider does not count you among the members")

    async def _end(self, issuer: str, subject: str | None, session: str | None) -> int:
        """Ends the logins of a person or session at a provider; returns how many these are."""
        now_ms = self._clock.now_ms()

        def end(tx: Transaction) -> int:
            count = 0
            for login in tx.provider_logins.meant(issuer, subject=subject, session=session):
                assert login.token is not None
                bearer = tx.tokens.holder(login.token, now_ms)
                if bearer is None:
                    continue
                for token in tx.tokens.list(bearer.account.id, now_ms):
                    if token.digest == login.token:
                        tx.tokens.remove(token)
                        count += 1
            return count

        return await self._storage.write(end)

    def _whose(self, token: str, otherwise: str) -> str:
        """For whom an attempt counts in `Logins`.

        A token that is not verified counts for whom it names, so that tokens of nobody's keep
        nobody waiting who has signed in from there before.
        """
        return f"token {read_subject(token, self._limits.token_bytes_max) or otherwise}"

    def _expected(self, provider: Provider) -> Expected:
        settings = provider.settings
        clients = {settings.client_id, settings.device_client_id} - {""}
        return Expected(
            issuer=settings.issuer,
            client_ids=clients,
            now_s=self._clock.now_ms() // 1000,
            leeway_s=self._limits.leeway_s,
            age_max_s=self._limits.age_max_s,
        )

    def _used(self, provider: Provider, claims: Mapping[str, Any], id_token: str) -> ProviderLogin:
        session = claims.get("sid")
        kept_s = self._limits.age_max_s + 2 * self._limits.leeway_s
        return ProviderLogin(
            assertion=digest(id_token.rpartition(".")[0]),
            issuer=provider.settings.issuer,
            subject=claims["sub"],
            session=session if isinstance(session, str) and len(session) <= 255 else None,
            token=None,
            expires_ms=self._clock.now_ms() + kept_s * 1000,
        )


async def _first(
    providers: Sequence[Provider], read: Callable[[Provider], Awaitable[T]], refused: str
) -> T | None:
    """What the first provider says of a token that is its own; None if it is nobody's.

    Args:
        providers: The providers.
        read: Raises TokenRefusedError if the token is not good there.
        refused: Name of the log line about that.

    Raises:
        ProviderUnavailableError: it is nobody's, as far as the providers answer.
    """
    away: ProviderUnavailableError | None = None
    for provider in providers:
        try:
            return await read(provider)
        except TokenRefusedError as error:
            log.info(refused, provider=provider.settings.name, why=str(error))
        except ProviderUnavailableError as error:
            away = error
    if away is not None:
        raise away
    return None


def _person(settings: ProviderSettings, claims: Mapping[str, Any]) -> Person:
    groups = texts_claim(claims, settings.groups_claim, GROUPS_MAX)
    cards = None
    if settings.cards_claim:
        numbers = texts_claim(claims, settings.cards_claim, CARDS_MAX)
        cards = [(CardKind.CHIP, number) for number in numbers]
    return Person(
        source=settings.issuer,
        subject=claims["sub"],
        name=text_claim(claims, settings.name_claim),
        display_name=text_claim(claims, settings.display_name_claim),
        is_administrator=bool(settings.admin_group) and settings.admin_group in groups,
        cards=cards,
    )
