"""Who calls: a bearer token in the metadata stands for a user or for a machine's agent.

An agent may have a client certificate that names its machine instead of a token, or beside it.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert
from typing import Any

import structlog

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import CertificateInvalidError, TokenInvalidError
from drink_frontend.rpc.admission import Admission, Kind, current_call
from drink_frontend.rpc.connections import Connections
from drink_frontend.rpc.interceptors import Behaviour, Context, Layer
from drink_frontend.rpc.streams import permitted, until
from drink_frontend.rpc.tls import Revoked
from drink_frontend.usecases.accounts import Accounts, digest
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.permits import Permit, Permits

TOKEN_MAX = 256
"""Characters of the longest token looked up; real ones have about 43."""

MACHINE_URI = "drink://machines/"
"""Begins the URI in a client certificate (subjectAltName) that names the agent's machine."""


REVOKED_LOOK_S = 5.0
"""Seconds between two looks whether the certificate of a link that is open was revoked; a look is
one question to the file system."""


class Access(Enum):
    """Who may call a method."""

    ANYONE = auto()
    USER = auto()
    AGENT = auto()


_ANYONE = {
    "/drink.v1.AccountService/Login",
    "/drink.v1.MachineService/ListMachines",
    "/drink.v1.MachineService/GetMachine",
    "/drink.v1.MachineService/WatchMachines",
}
_ANYONE_SERVICES = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
_AGENT_SERVICES = {"drink.v1.MachineLinkService"}


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent whose call it is.

    Attributes:
        machine: The machine that it speaks for.
        token: The token that said so; None if only a certificate did.
    """

    machine: str
    token: str | None = field(default=None, repr=False)


_ASKED_AGAIN = {"/drink.v1.DropService/Drop"}
"""Methods whose unit of work looks at the token itself, before it does anything for it."""

_WATCHES = {"/drink.v1.DropService/WatchDrop", "/drink.v1.MachineService/WatchMachines"}
"""Methods whose calls end when the token by which they came is revoked."""

_caller: ContextVar[Account] = ContextVar("caller")
_caller_token: ContextVar[str] = ContextVar("caller_token")
_agent: ContextVar[Agent] = ContextVar("agent")


def access_of(method: str) -> Access:
    """Who may call `/package.Service/Method`. What is not listed is for users only."""
    service = method.split("/")[1]
    if method in _ANYONE or service in _ANYONE_SERVICES:
        return Access.ANYONE
    return Access.AGENT if service in _AGENT_SERVICES else Access.USER


def caller() -> Account:
    """The account of the user whose call this is, as it stood when the call came in, or before."""
    return _caller.get()


def named_caller() -> str | None:
    """Name of the account whose call this is; None if the caller is not known."""
    account = _caller.get(None)
    return None if account is None else account.name


def caller_token() -> str:
    """The digest of the token by which the user calls."""
    return _caller_token.get()


def linked_agent() -> Agent:
    """The agent whose call this is."""
    return _agent.get()


def fingerprint(facts: Mapping[str, Iterable[bytes]]) -> str | None:
    """SHA-256 of the client's certificate in hexadecimal digits; None if it has shown none.

    Args:
        facts: What gRPC knows of a connection whose certificate it has verified.
    """
    certificate = next(iter(facts.get("x509_pem_cert", ())), None)
    if certificate is None:
        return None
    return sha256(PEM_cert_to_DER_cert(certificate.decode("ascii"))).hexdigest()


def certified_machine(
    facts: Mapping[str, Iterable[bytes]], revoked: Container[str] = ()
) -> str | None:
    """The machine that the client's certificate names; None if the client has shown none.

    Args:
        facts: What gRPC knows of a connection whose certificate it has verified.
        revoked: SHA-256 fingerprints of certificates that are taken no more.

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


class Authentication(Layer):
    """Finds out who calls before a method runs, and refuses who may not.

    Every call asks the storage, by itself or in the unit of work that acts for it, so that a
    revoked token stops working with its next call.

    Args:
        accounts: Whose tokens users have.
        machines: Whose tokens agents have.
        admission: Where calls are counted, by whose they are.
        connections: Where it is known whose calls came on a connection.
        permits: Who knows of revoked tokens.
        certificate_required: Whether agents need a certificate.
        revoked: Certificates that are taken no more.
    """

    def __init__(
        self,
        accounts: Accounts,
        machines: Machines,
        admission: Admission,
        connections: Connections,
        permits: Permits,
        *,
        certificate_required: bool = False,
        revoked: Revoked | None = None,
    ) -> None:
        self._accounts = accounts
        self._machines = machines
        self._admission = admission
        self._connections = connections
        self._permits = permits
        self._certificate_required = certificate_required
        self._revoked = revoked

    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call for its caller.

        Raises:
            TokenInvalidError: there is no token, or it stands for nobody who may call.
            CertificateInvalidError: an agent's certificate does not prove which machine is its.
            RateLimitedError: the account or machine has as many calls under way as it may.
        """
        match access_of(method):
            case Access.ANYONE:
                account = await self._shown(context) if method in _WATCHES else None
                if account is not None:
                    return await self._as_user(method, inner, request, context, account)
            case Access.USER:
                return await self._for_user(method, inner, request, context)
            case Access.AGENT:
                agent = await self._identify(context)
                structlog.contextvars.bind_contextvars(machine=agent.machine)
                self._identified(Kind.MACHINE, agent.machine)
                _agent.set(agent)
                shown = fingerprint(context.auth_context())
                if self._revoked is not None and shown is not None:
                    error = CertificateInvalidError("the certificate was revoked")
                    async with until(_listed(self._revoked, shown), error):
                        return await inner(request, context)
        return await inner(request, context)

    async def _for_user(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        token = _bearer_token(context)
        token_digest = digest(token)
        account = self._accounts.recall(token_digest) if method in _ASKED_AGAIN else None
        if account is None:
            async with self._admission.look_up():
                account = await self._authenticate(token, token_digest)
        return await self._as_user(method, inner, request, context, account)

    async def _as_user(
        self, method: str, inner: Behaviour, request: Any, context: Context, account: Account
    ) -> Any:
        token_digest = digest(_bearer_token(context))
        self._identified(Kind.ACCOUNT, account.name)
        structlog.contextvars.bind_contextvars(account=account.name)
        _caller.set(account)
        _caller_token.set(token_digest)
        try:
            if method not in _WATCHES:
                return await inner(request, context)
            permit = Permit(account.name, token=token_digest)
            async with permitted(self._permits, permit, "the token was revoked"):
                return await inner(request, context)
        except TokenInvalidError:
            self._accounts.forget(token_digest)
            raise

    async def _shown(self, context: Context) -> Account | None:
        """Whose token a caller of a method that is for anyone shows; None without a good one."""
        token = given_token(context)
        if token is None:
            return None
        try:
            async with self._admission.look_up():
                return await self._authenticate(token, digest(token))
        except TokenInvalidError:
            return None

    def _identified(self, kind: Kind, owner: str) -> None:
        self._admission.identified(kind, owner)
        self._connections.belongs(current_call().peer, f"{kind.value} {owner}")

    async def _authenticate(self, token: str, token_digest: str) -> Account:
        try:
            return await self._accounts.authenticate(token)
        except TokenInvalidError:
            self._accounts.forget(token_digest)
            raise

    async def _identify(self, context: Context) -> Agent:
        revoked = await asyncio.to_thread(self._revoked.current) if self._revoked else ()
        certified = certified_machine(context.auth_context(), revoked)
        if certified is None and self._certificate_required:
            raise CertificateInvalidError("agents need a certificate here")
        if certified is not None and not _has_token(context):
            return Agent(certified)
        token = _bearer_token(context)
        machine = await self._machine(token)
        if certified not in (None, machine):
            raise CertificateInvalidError(
                f"the certificate is for the machine {certified}, the token for another"
            )
        return Agent(machine, token)

    async def _machine(self, token: str) -> str:
        token_digest = digest(token)
        try:
            async with self._admission.look_up():
                machine = await self._machines.authenticate(token)
        except TokenInvalidError:
            self._admission.forget_machine(token_digest)
            raise
        self._admission.remember_machine(token_digest, machine)
        return machine


async def _listed(revoked: Revoked, shown: str) -> None:
    """Waits until a certificate is on the list of revoked ones."""
    while shown not in await asyncio.to_thread(revoked.current):  # noqa: ASYNC110  a file
        await asyncio.sleep(REVOKED_LOOK_S)


def given_token(context: Context) -> str | None:
    """The bearer token that the call brings; None if there is none that could be looked up."""
    try:
        return _bearer_token(context)
    except TokenInvalidError:
        return None


def _has_token(context: Context) -> bool:
    return any(key == "authorization" for key, _ in context.invocation_metadata() or ())


def _bearer_token(context: Context) -> str:
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1:
        raise TokenInvalidError("one bearer token is required in the metadata `authorization`")
    scheme, _, token = str(values[0]).partition(" ")
    if scheme.lower() != "bearer" or not 1 <= len(token) <= TOKEN_MAX:
        raise TokenInvalidError("the metadata `authorization` must be `Bearer <token>`")
    return token
