"""One call in flight, and the peer that makes it."""

import asyncio
from contextvars import ContextVar
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import AdminRequiredError
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.origin import normalized, place
from drink_frontend.domain.tokens import KioskLogin

Context = grpc.aio.ServicerContext[Any, Any]

PEERS_KEPT = 4_096
"""Peers whose notation is cached; twice as many as calls that may be in flight."""

LOCAL = "local"
"""The address and place of peers that have no IP address, such as Unix sockets."""


class Peer(NamedTuple):
    """The other end of a connection.

    Attributes:
        address: Its IP address; LOCAL if it has none.
        port: Its TCP port; 0 if it has none.
        place: What limits per address count it as.
    """

    address: str
    port: int
    place: str


@lru_cache(maxsize=PEERS_KEPT)
def parse_peer(text: str) -> Peer:
    """The peer in the notation of gRPC: `ipv4:192.0.2.1:4000` or `ipv6:%5B::1%5D:4000`."""
    family, _, rest = unquote(text).partition(":")
    if family not in ("ipv4", "ipv6"):
        return Peer(LOCAL, 0, LOCAL)
    address, _, port = rest.rpartition(":")
    return peer_at(address.strip("[]"), int(port))


def peer_at(address: str, port: int) -> Peer:
    """The peer at an IP address, in any notation, and a port."""
    return Peer(normalized(address), port, place(address))


class Kind(Enum):
    """The classes of calls."""

    STRANGER = "stranger"
    UNKNOWN = "unknown token"
    ACCOUNT = "account"
    MACHINE = "machine"
    HEALTH = "health"


class Call:
    """A call in flight.

    Attributes:
        kind: Its class, by which calls are limited.
        owner: The account or machine; empty for strangers.
        peer: The other end of its connection.
        place: What limits per address count it as: the peer's place, or that of the client for whom
            a gateway calls.
        origin: The IP address that `place` is made of.
        token: The bearer token that came with it; None if there is none, or a malformed one.
        token_digest: Digest of the token.
        account: The account of the user who calls; None until it is known.
        login: What limits the user's login at a kiosk; None for other logins.
        kiosk: The kiosk that calls; None until it is known.
        waiting: Whether it waits for its message or for its token to be looked up.
        counted: Whether it takes a place in its class; `Watches` counts open watches instead.
        refused: Why it was ended in favour of another call; None if it was not.
        response_bytes: Bytes of its response that have not left yet.
        leaving_since: When its response began to leave, in seconds of the loop's clock.
    """

    __slots__ = (
        "account",
        "counted",
        "kind",
        "kiosk",
        "leaving_since",
        "login",
        "origin",
        "owner",
        "peer",
        "place",
        "refused",
        "response_bytes",
        "task",
        "token",
        "token_digest",
        "waiting",
    )

    def __init__(
        self, kind: Kind, owner: str, peer: Peer, place: str, task: asyncio.Task[Any]
    ) -> None:
        self.kind = kind
        self.owner = owner
        self.peer = peer
        self.place = place
        self.origin = peer.address
        self.token: str | None = None
        self.token_digest: str | None = None
        self.account: Account | None = None
        self.login: KioskLogin | None = None
        self.kiosk: Kiosk | None = None
        self.task = task
        self.waiting = True
        self.counted = False
        self.refused: str | None = None
        self.response_bytes = 0
        self.leaving_since = 0.0

    @property
    def connection(self) -> tuple[Peer, str]:
        """What limits per connection count it as; a gateway's clients share one connection."""
        return self.peer, self.place

    def end(self, why: str) -> None:
        """Cancels the call's task, which then answers with RateLimitedError."""
        self.waiting = False
        self.refused = why
        self.task.cancel()


_call: ContextVar[Call] = ContextVar("call")


def current_call() -> Call:
    """The call that the current task serves."""
    return _call.get()


def set_current_call(call: Call) -> None:
    """Sets the call that the current task serves; gRPC runs each call in a task of its own."""
    _call.set(call)


def caller() -> Account:
    """The account of the user who makes the current call, as it was when it was last looked up."""
    account = _call.get().account
    assert account is not None, "the method is for users only"
    return account


def current_kiosk() -> Kiosk:
    """The kiosk that makes the current call."""
    kiosk = _call.get().kiosk
    assert kiosk is not None, "the method is for kiosks only"
    return kiosk


def administrator(what: str) -> Account:
    """The account of the administrator who makes the current call.

    Args:
        what: What only administrators may do, for the refusal, such as "change machines".

    Raises:
        AdminRequiredError: the caller is no administrator.
    """
    account = caller()
    if not account.admin:
        raise AdminRequiredError(f"only administrators {what}")
    return account
