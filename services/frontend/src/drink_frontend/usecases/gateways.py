"""Clients' addresses that gateways forward.

A gateway, such as a web process, makes calls on behalf of clients. A call with the token of a known
gateway may carry the client's address; limits per address then count the client instead of the
gateway. Without such a token the address is ignored.
"""

import asyncio
import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import structlog

from drink_frontend.domain.errors import FieldInvalidError, TokenInvalidError
from drink_frontend.domain.origin import is_address, normalized
from drink_frontend.system.certificate import CertificateFiles

CLIENT_KEY = "x-drink-client-address"
"""Metadata or header with the client's IP address, without a port, brackets or a name."""

GATEWAY_KEY = "x-drink-gateway-token"
"""Metadata or header with the gateway's token."""

TOKEN_MIN = 32
"""Least characters of a gateway's token; 16 random bytes in hexadecimal digits have as many."""

TOKEN_MAX = 256
"""Characters of the longest token compared."""

_LINE = re.compile(rf"([a-z0-9][a-z0-9-]{{0,31}})[ \t]+([!-~]{{{TOKEN_MIN},{TOKEN_MAX}}})")


class Gateways:
    """The gateways whose forwarded addresses are used.

    Args:
        path: File with a line `NAME TOKEN` for each gateway; `#` begins a comment. None: there are
            no gateways.

    Raises:
        OSError: the file cannot be read, or a line does not have this form.
    """

    def __init__(self, path: Path | None) -> None:
        self._files = None if path is None else CertificateFiles(_digests, path)

    async def client(self, metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
        """The address that a gateway forwards in a call's metadata or headers.

        Args:
            metadata: Keys in lower case with their values.

        Returns:
            The address in its normal form; None if no gateway calls, or if it forwards no address.

        Raises:
            TokenInvalidError: the token is not the one of a gateway.
            FieldInvalidError: a gateway forwards something else than one IP address.
        """
        tokens, addresses = [], []
        for key, value in metadata:
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
        client = normalized(address)
        structlog.contextvars.bind_contextvars(client=client)
        return client

    async def _name(self, token: str | bytes) -> str | None:
        """The name of the gateway with that token; None if there is none."""
        if self._files is None or not isinstance(token, str) or len(token) > TOKEN_MAX:
            return None
        # A changed file takes effect with the next call. Reading it blocks on the disk.
        await asyncio.to_thread(self._files.renewed)
        presented, found = _digest(token), None
        # All tokens are compared, so that the time needed does not depend on the order in the file.
        for name, kept in self._files.current.items():
            if hmac.compare_digest(kept, presented):
                found = name
        return found


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
            # The message leaves out the line itself, which may contain a token.
            raise OSError(
                f"{path}: line {number} must be a new name, a blank, and a token of "
                f"{TOKEN_MIN} to {TOKEN_MAX} characters"
            )
        found[match[1]] = _digest(match[2])
    return found
