"""Who calls: a bearer token in the metadata stands for a user or for a machine's agent."""

from contextvars import ContextVar
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote

import structlog

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import TokenInvalidError
from drink_frontend.rpc.interceptors import Behaviour, Context, Layer
from drink_frontend.rpc.ports import Accounts, Machines

TOKEN_MAX = 256
"""Characters of the longest token looked up; real ones have about 43."""


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

_caller: ContextVar[Account] = ContextVar("caller")
_machine: ContextVar[str] = ContextVar("machine")


def access_of(method: str) -> Access:
    """Who may call `/package.Service/Method`. What is not listed is for users only."""
    service = method.split("/")[1]
    if method in _ANYONE or service in _ANYONE_SERVICES:
        return Access.ANYONE
    return Access.AGENT if service in _AGENT_SERVICES else Access.USER


def caller() -> Account:
    """The account of the user whose call this is, as it stood when the call came in."""
    return _caller.get()


def linked_machine() -> str:
    """The machine of the agent whose call this is."""
    return _machine.get()


def origin(context: Context) -> str:
    """The peer's address without its port, as throttling counts it."""
    family, _, rest = unquote(context.peer()).partition(":")
    if family == "ipv6":
        return rest.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    return rest.rpartition(":")[0] if family == "ipv4" else "local"


class Authentication(Layer):
    """Finds out who calls before a method runs, and refuses who may not.

    Every call asks the storage, so that a revoked token stops working with its next call.
    """

    def __init__(self, accounts: Accounts, machines: Machines) -> None:
        self._accounts = accounts
        self._machines = machines

    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call for its caller.

        Raises:
            TokenInvalidError: there is no token, or it stands for nobody who may call.
        """
        match access_of(method):
            case Access.ANYONE:
                pass
            case Access.USER:
                account = await self._accounts.authenticate(_bearer_token(context))
                structlog.contextvars.bind_contextvars(account=account.name)
                _caller.set(account)
            case Access.AGENT:
                machine = await self._machines.authenticate(_bearer_token(context))
                structlog.contextvars.bind_contextvars(machine=machine)
                _machine.set(machine)
        return await inner(request, context)


def _bearer_token(context: Context) -> str:
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1:
        raise TokenInvalidError("one bearer token is required in the metadata `authorization`")
    scheme, _, token = str(values[0]).partition(" ")
    if scheme.lower() != "bearer" or not 1 <= len(token) <= TOKEN_MAX:
        raise TokenInvalidError("the metadata `authorization` must be `Bearer <token>`")
    return token
