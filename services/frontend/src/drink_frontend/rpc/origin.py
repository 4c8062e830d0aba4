"""Where a call comes from: the peer's address, or the one that a known gateway forwards.

A gateway, such as a web process, makes calls on behalf of clients. One that proves who it is by its
token says in the metadata for whom each call is made; limits then count that client and not the
gateway. What anybody else writes there is ignored.
"""

import asyncio
import hmac
import re
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import structlog

from drink_frontend.domain.errors import FieldInvalidError, TokenInvalidError
from drink_frontend.domain.limits import MACHINE_NAME
from drink_frontend.domain.origin import is_address, normalized
from drink_frontend.rpc.interceptors import Behaviour, Context, Layer
from drink_frontend.system.certificate import CertificateFiles

CLIENT_KEY = "x-drink-client-address"
"""Metadata with the client's IP address, from a gateway; without a port, brackets or a name."""

GATEWAY_KEY = "x-drink-gateway-token"
"""Metadata with the gateway's token, which says that the address beside it is to be believed."""

LOCAL = "local"
"""Stands for the address of a peer on a Unix socket."""

TOKEN_MIN = 32
"""Least characters of a gateway's token; 16 random bytes in hexadecimal digits have as many."""

TOKEN_MAX = 256
"""Characters of the longest token compared."""

_LINE = re.compile(rf"({MACHINE_NAME})[ \t]+([!-~]{{{TOKEN_MIN},{TOKEN_MAX}}})")

_origin: ContextVar[str] = ContextVar("origin")


def peer_address(context: Context) -> str:
    """The peer's IP address in its one spelling, or `LOCAL`."""
    family, _, rest = unquote(context.peer()).partition(":")
    if family not in {"ipv4", "ipv6"}:
        return LOCAL
    return normalized(rest.rpartition(":")[0].strip("[]"))


def origin(context: Context) -> str:
    """The address that the call is counted by; `domain.origin.place` makes a place of it."""
    return _origin.get("") or peer_address(context)


class Gateways:
    """The gateways that may say for whom they call.

    Args:
        path: File with a line `NAME TOKEN` for each; `#` begins a comment. None: there are none.

    Raises:
        OSError: the file cannot be read, or has a line that is not such a line.
    """

    def __init__(self, path: Path | None) -> None:
        self._files = None if path is None else CertificateFiles(_digests, path)

    async def client(self, context: Context) -> str | None:
        """The address that the call's gateway forwards; None if no gateway calls, or forwards none.

        Raises:
            TokenInvalidError: the token is no gateway's.
            FieldInvalidError: a known gateway forwards something that is not one IP address.
        """
        tokens, addresses = [], []
        for key, value in context.invocation_metadata() or ():
            if key == GATEWAY_KEY:
                tokens.append(value)
            elif key == CLIENT_KEY:
                addresses.append(value)
        if not tokens:
            return None
        name = await self._name(tokens[0]) if len(tokens) == 1 else None
        if name is None:
            raise TokenInvalidError(f"the metadata `{GATEWAY_KEY}` is not the token of a gateway")
        structlog.contextvars.bind_contextvars(gateway=name)
        if not addresses:
            return None
        address = addresses[0]
        if len(addresses) > 1 or not isinstance(address, str) or not is_address(address):
            raise FieldInvalidError(CLIENT_KEY, "must be one IP address")
        return normalized(address)

    async def _name(self, token: str | bytes) -> str | None:
        if self._files is None or not isinstance(token, str) or len(token) > TOKEN_MAX:
            return None
        # It blocks on the disk; a changed file counts from the next call on.
        await asyncio.to_thread(self._files.renewed)
        presented, found = _digest(token), None
        # All are compared, so that the time tells nothing about the order in the file.
        for name, kept in self._files.current.items():
            if hmac.compare_digest(kept, presented):
                found = name
        return found


class Origins(Layer):
    """Finds out, before anything is counted, where each call comes from.

    Args:
        gateways: Who may say so for others.
    """

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    async def around(self, _method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call with its origin.

        Raises:
            TokenInvalidError: a gateway's token is presented that is none.
            FieldInvalidError: a known gateway forwards something that is not one IP address.
        """
        client = await self._gateways.client(context)
        if client is not None:
            structlog.contextvars.bind_contextvars(client=client)
            # Not reset: every call runs in a task of its own, whose variables end with it.
            _origin.set(client)
        return await inner(request, context)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _digests(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None or match[1] in found:
            # Without the line itself, which may hold a token.
            raise OSError(
                f"{path}: line {number} must be a new name, a blank, and a token of "
                f"{TOKEN_MIN} to {TOKEN_MAX} characters"
            )
        found[match[1]] = _digest(match[2])
    return found
