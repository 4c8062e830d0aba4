"""Authentication of calls: a bearer token identifies a user, a kiosk or the agent of a machine.

An agent may have a client certificate that names its machine instead of a token, or both.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum, auto
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert

import structlog

from drink_frontend.domain.errors import (
    CertificateInvalidError,
    TokenInvalidError,
    TokenScopeError,
)
from drink_frontend.domain.kiosks import Kiosk, kiosk_subject
from drink_frontend.domain.tokens import Bearer, Scope
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.calls import Call, Context, Kind
from drink_frontend.rpc.connection_limits import ConnectionLimits
from drink_frontend.rpc.tls import Revoked
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.permits import Permit, Permits

TOKEN_MAX = 256
"""Characters of the longest token that is looked up; issued tokens have about 43."""

MACHINE_URI = "drink://machines/"
"""Prefix of the URI in a client certificate (subjectAltName) that names the agent's machine."""


class Access(Enum):
    """Who may call a method."""

    ANYONE = auto()
    USER = auto()
    KIOSK = auto()
    AGENT = auto()


_ANYONE = {
    "/drink.v1.AccountService/EndProviderSessions",
    "/drink.v1.AccountService/ListSignInProviders",
    "/drink.v1.AccountService/Login",
    "/drink.v1.ItemService/GetItem",
    "/drink.v1.ItemService/GetItemPicture",
    "/drink.v1.ItemService/ListItems",
    "/drink.v1.KioskService/RedeemPairingCode",
    "/drink.v1.MachineService/ListMachines",
    "/drink.v1.MachineService/GetMachine",
    "/drink.v1.MachineService/ListTemperatures",
    "/drink.v1.MachineService/WatchMachines",
}
_ANYONE_SERVICES = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
_KIOSKS = {
    "/drink.v1.KioskService/GetKiosk",
    "/drink.v1.KioskService/LogInCard",
    "/drink.v1.KioskService/WatchCards",
}
_AGENT_SERVICES = {"drink.v1.MachineLinkService"}

_NO_LIMITS = frozenset({Scope.ALL})
_SCOPES = {
    "/drink.v1.AccountService/Logout": frozenset(Scope),
    "/drink.v1.AccountService/GetAccount": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/ListAccounts": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/ListEntries": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/ListTokens": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/ListCards": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/ListIdentities": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AccountService/GetPreferences": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AlarmService/LeaseNotifications": frozenset({Scope.ALL, Scope.NOTIFY}),
    "/drink.v1.AlarmService/ListAlarms": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.AlarmService/SettleNotifications": frozenset({Scope.ALL, Scope.NOTIFY}),
    "/drink.v1.DropService/CancelDrop": frozenset({Scope.ALL, Scope.DROP}),
    "/drink.v1.DropService/Drop": frozenset({Scope.ALL, Scope.DROP}),
    "/drink.v1.DropService/GetDrop": frozenset({Scope.ALL, Scope.DROP, Scope.READ}),
    "/drink.v1.DropService/ListDropRecords": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.DropService/ListDrops": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.DropService/WatchDrop": frozenset({Scope.ALL, Scope.DROP, Scope.READ}),
    "/drink.v1.KioskService/ListKiosks": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.MachineService/ListStockMovements": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.EventService/ListEvents": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.EventService/WatchEvents": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.StatisticsService/GetAccountStatistics": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.StatisticsService/GetRanking": frozenset({Scope.ALL, Scope.READ}),
    "/drink.v1.StatisticsService/ListStatistics": frozenset({Scope.ALL, Scope.READ}),
}
"""Scopes whose tokens may call a user's method; any other method needs a token with all rights."""

_LOOK_TOKENS_UP = {"/drink.v1.DropService/Drop"}
"""Methods whose unit of work looks the token up itself, so that a cached account is enough."""

_WATCHES = {
    "/drink.v1.DropService/WatchDrop",
    "/drink.v1.EventService/WatchEvents",
    "/drink.v1.MachineService/WatchMachines",
}
"""Methods whose calls end when their token is revoked."""


def access_of(method: str) -> Access:
    """Who may call `/package.Service/Method`; methods that are not listed are for users only."""
    service = method.split("/")[1]
    if method in _ANYONE or service in _ANYONE_SERVICES:
        return Access.ANYONE
    if method in _KIOSKS:
        return Access.KIOSK
    return Access.AGENT if service in _AGENT_SERVICES else Access.USER


def scopes_of(method: str) -> frozenset[Scope]:
    """The scopes whose tokens may call `/package.Service/Method`."""
    return (
        frozenset(Scope) if access_of(method) is Access.ANYONE else _SCOPES.get(method, _NO_LIMITS)
    )


def fingerprint(facts: Mapping[str, Iterable[bytes]]) -> str | None:
    """SHA-256 of the client's certificate in hexadecimal digits; None if there is no certificate.

    Args:
        facts: The authentication context of a connection whose certificate gRPC has verified.
    """
    certificate = next(iter(facts.get("x509_pem_cert", ())), None)
    if certificate is None:
        return None
    return sha256(PEM_cert_to_DER_cert(certificate.decode("ascii"))).hexdigest()


def certified_machine(
    facts: Mapping[str, Iterable[bytes]], revoked: Container[str] = ()
) -> str | None:
    """The machine that the client's certificate names; None if there is no certificate.

    Args:
        facts: The authentication context of a connection whose certificate gRPC has verified.
        revoked: SHA-256 fingerprints of revoked certificates.

    Raises:
        CertificateInvalidError: the certificate names no machine, or several, or is revoked.
    """
    shown = fingerprint(facts)
    if shown is None:
        return None
    if shown in revoked:
        raise CertificateInvalidError("the certificate was revoked")
    uris = [uri.decode("utf-8", "replace") for uri in facts.get("peer_uri", ())]
    machines = [uri.removeprefix(MACHINE_URI) for uri in uris if uri.startswith(MACHINE_URI)]
    if len(machines) != 1:
        raise CertificateInvalidError(
            f"the certificate must name one machine by a URI {MACHINE_URI}<machine>"
        )
    return machines[0]


class Authentication:
    """Finds out which user or machine makes a call, and refuses callers without the rights.

    Each call looks its token up in the database, either here or in the unit of work that acts for
    the caller, so that a revoked token stops working with the next call.

    Args:
        accounts: Tokens of users and kiosks.
        machines: Agents' tokens.
        admission: Counts calls by their callers.
        connections: Keeps which caller uses a connection.
        permits: Reports revoked tokens.
        certificate_required: Whether agents need a certificate.
        revoked: Certificates that are no longer accepted.
    """

    def __init__(
        self,
        accounts: Accounts,
        machines: Machines,
        admission: Admission,
        connections: ConnectionLimits,
        permits: Permits,
        *,
        certificate_required: bool = False,
        revoked: Revoked | None = None,
    ) -> None:
        self._tokens = accounts.tokens
        self._kiosks = accounts.kiosks
        self._machines = machines
        self._admission = admission
        self._connections = connections
        self._permits = permits
        self._certificate_required = certificate_required
        self._revoked = revoked

    def class_of(self, access: Access, token_digest: str | None) -> tuple[Kind, str]:
        """The class of a call and its account or machine, as far as known without the database."""
        if token_digest is None:
            return Kind.STRANGER, ""
        if access is Access.AGENT:
            machine = self._admission.machine_of(token_digest)
            return (Kind.UNKNOWN, "") if machine is None else (Kind.MACHINE, machine)
        bearer = None if access is Access.KIOSK else self._tokens.recall(token_digest)
        if bearer is not None:
            return Kind.ACCOUNT, bearer.account.id
        # The token of a call that is open to everyone is not looked up.
        return Kind.STRANGER if access is Access.ANYONE else Kind.UNKNOWN, ""

    async def identify(self, method: str, access: Access, call: Call, context: Context) -> None:
        """Sets the account, kiosk or machine of a call.

        Raises:
            TokenInvalidError: there is no token, or it belongs to nobody who may call the method.
            TokenScopeError: the user's token may not be used for the method.
            CertificateInvalidError: an agent's certificate does not prove which machine it is for.
            RateLimitedError: the account or machine has too many calls in flight.
        """
        if access is Access.AGENT:
            kind, owner = Kind.MACHINE, await self._machine_of(call, context)
            structlog.contextvars.bind_contextvars(machine=owner)
        elif access is Access.KIOSK:
            call.kiosk = await self._kiosk_of(call, context)
            # Limited like the calls of an account. No account has a slash in its id.
            kind, owner = Kind.ACCOUNT, kiosk_subject(call.kiosk.sequence)
            structlog.contextvars.bind_contextvars(kiosk=call.kiosk.sequence)
        elif access is Access.USER or (method in _WATCHES and call.token is not None):
            try:
                bearer = await self._bearer_of(method, call, context)
            except TokenInvalidError:
                if access is Access.USER:
                    raise
                # The method is open to everyone: without a valid token it is a stranger's call.
                self.forget(call)
                return
            call.account, call.login = bearer.account, bearer.kiosk
            kind, owner = Kind.ACCOUNT, bearer.account.id
            structlog.contextvars.bind_contextvars(account=owner)
        else:
            return
        self._admission.identified(kind, owner)
        self._connections.set_owner(call.peer, f"{kind.value} {owner}")

    def validity(
        self, method: str, access: Access, call: Call, context: Context
    ) -> AbstractAsyncContextManager[None]:
        """A context that ends a long call once its token or certificate is revoked.

        It raises TokenInvalidError or CertificateInvalidError then. Other calls are not affected.
        """
        if method in _WATCHES and call.account is not None:
            permit = Permit(call.account.id, token=call.token_digest)
            return self._permits.required(permit, "the token was revoked")
        if access is Access.AGENT and self._revoked is not None:
            shown = fingerprint(context.auth_context())
            if shown is not None:
                return self._revoked.absent(shown)
        return nullcontext()

    def forget(self, call: Call) -> None:
        """Removes the call's token from the caches: it was found to be invalid."""
        if call.token_digest is not None:
            self._tokens.forget(call.token_digest)
            self._admission.forget_machine(call.token_digest)

    async def _kiosk_of(self, call: Call, context: Context) -> Kiosk:
        if call.token is None:
            raise _bad_token(context)
        async with self._admission.look_up():
            return await self._kiosks.authenticate(call.token)

    async def _bearer_of(self, method: str, call: Call, context: Context) -> Bearer:
        if call.token is None or call.token_digest is None:
            raise _bad_token(context)
        bearer = self._tokens.recall(call.token_digest) if method in _LOOK_TOKENS_UP else None
        if bearer is None:
            async with self._admission.look_up():
                bearer = await self._tokens.authenticate(call.token)
        if bearer.scope not in scopes_of(method):
            raise TokenScopeError(
                f"a token of the scope {bearer.scope} may not do this", scope=bearer.scope.value
            )
        return bearer

    async def _machine_of(self, call: Call, context: Context) -> str:
        revoked = await asyncio.to_thread(self._revoked.current) if self._revoked else ()
        certified = certified_machine(context.auth_context(), revoked)
        if certified is None and self._certificate_required:
            raise CertificateInvalidError("agents need a certificate here")
        if call.token is None or call.token_digest is None:
            if certified is not None and not _authorizations(context):
                return certified
            raise _bad_token(context)
        async with self._admission.look_up():
            machine = await self._machines.authenticate(call.token)
        self._admission.remember_machine(call.token_digest, machine)
        if certified not in (None, machine):
            raise CertificateInvalidError(
                f"the certificate is for the machine {certified}, the token for another"
            )
        return machine


def bearer_token(context: Context) -> str | None:
    """The bearer token of a call; None if there is none, several, or a malformed one."""
    values = _authorizations(context)
    if len(values) != 1:
        return None
    scheme, _, token = str(values[0]).partition(" ")
    return token if scheme.lower() == "bearer" and 1 <= len(token) <= TOKEN_MAX else None


def _bad_token(context: Context) -> TokenInvalidError:
    """Why the call has no bearer token."""
    if len(_authorizations(context)) != 1:
        return TokenInvalidError("one bearer token is required in the metadata `authorization`")
    return TokenInvalidError("the metadata `authorization` must be `Bearer <token>`")


def _authorizations(context: Context) -> list[str | bytes]:
    return [value for key, value in context.invocation_metadata() or () if key == "authorization"]
