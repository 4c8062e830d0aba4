"""Settings of the gRPC listeners."""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drink_frontend.system.connection_rates import OpeningSettings


def is_loopback(address: str) -> bool:
    """Whether an address to listen on can only be reached from this host."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


class LinkListenerSettings(BaseModel):
    """A second gRPC listener, for agents.

    It has a gRPC server of its own, so that clients that cannot reach its port cannot use up its
    connections. Mutual TLS needs it too: gRPC requires a certificate of every client of a listener
    or of none, and buyers have none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    listen: bool = False
    """Whether the listener exists without `client_ca` too, for agents with tokens; default no: they
    use the buyers' listener, which stays open to them in any case. It uses TLS if the buyers'
    listener does."""

    client_ca: Path | None = None
    """PEM file with the authorities that sign agents' certificates; default none. With it the
    listener exists and refuses clients without a certificate. It needs `rpc.tls_certificate`, its
    own certificate. Read again when it changes."""

    revoked: Path | None = None
    """File with the SHA-256 fingerprints of revoked certificates, one per line; default none. Read
    again for every link."""

    address: str = Field(default="", max_length=253)
    """IP address or host name to listen on; default empty, which means `rpc.address`."""

    port: int = Field(default=50052, ge=0, le=65535)
    """TCP port; default 50052, the next one. 0 takes any free port."""

    required: bool = False
    """Whether every agent needs a certificate; default no: on the buyers' listener the token of a
    machine is enough."""

    @property
    def listens(self) -> bool:
        """Whether the listener for agents exists."""
        return self.listen or self.client_ca is not None

    @model_validator(mode="after")
    def _check_required(self) -> Self:
        if self.required and self.client_ca is None:
            raise ValueError("required needs client_ca, or no agent could connect")
        if self.revoked is not None and self.client_ca is None:
            raise ValueError("revoked is of no use without client_ca")
        return self


class AdmissionSettings(BaseModel):
    """How many calls may be in flight, per class of caller.

    A call counts from its headers on. Callers without a valid token are strangers. At a limit of
    strangers, a new call takes the place of the oldest call in the same group that still waits for
    its message; if no call waits, the new one is refused with RATE_LIMITED.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strangers_max: int = Field(default=512, ge=1, le=100_000)
    """Strangers' calls in flight in all; default 512, some 15 MB of memory. Open watches do not
    count here, but in `rpc.watches_max`."""

    strangers_per_address_max: int = Field(default=256, ge=1, le=100_000)
    """Strangers' calls in flight from one IPv4 address or one IPv6 network of 64 bits; default 256,
    so that no address takes all places."""

    strangers_per_connection_max: int = Field(default=64, ge=1, le=100_000)
    """Strangers' calls in flight on one connection; default 64."""

    unknown_tokens_max: int = Field(default=1_024, ge=1, le=100_000)
    """Calls whose token is in no cache and waits to be looked up; default 1,024, some 30 MB of
    memory: as many agents may connect at once after a restart. Above it the oldest such call of the
    address with most of them is ended."""

    calls_per_account_max: int = Field(default=256, ge=1, le=100_000)
    """Calls in flight of one account; default 256, more than the drops that one account can have
    waiting. Above it calls are refused with RATE_LIMITED."""

    calls_per_machine_max: int = Field(default=8, ge=1, le=1_000)
    """Links in flight of one machine; default 8: only the newest one is used, and earlier ones need
    a moment to end. Calls of other callers do not count here."""

    health_max: int = Field(default=64, ge=1, le=1_000)
    """Health checks in flight; default 64. They have places of their own, so that a busy frontend
    is not reported as down."""

    message_wait_s: float = Field(default=10, gt=0, le=300)
    """Seconds that a request's message may take to come after its headers; default 10. Clients send
    both together, so even a slow network needs less. Then the call is ended with RATE_LIMITED."""

    waiting_per_connection_max: int = Field(default=16, ge=1, le=100_000)
    """Strangers' calls on one connection that wait for their message; default 16. Clients send it
    with the headers, so that on an honest connection only the calls wait that are being accepted,
    some three of however many begin at the same time. From a place that is suspected
    (`rpc.connections.misused_cost`) two may wait."""

    silent_calls_max: int = Field(default=4, ge=1, le=100_000)
    """Strangers' calls of one connection that may end because their message did not come; default
    4. Then the connection is closed, since each such call costs as much as an answered one; if its
    place is suspected (`rpc.connections.misused_cost`), after the first one. A message that comes
    resets the count."""

    unseen_per_method_max: int = Field(default=400, ge=16, le=100_000)
    """Calls of one method that have come and are not handled yet; default 400, some 6 MB of memory
    for each method that is flooded. gRPC cancels further ones."""

    look_ups_max: int = Field(default=16, ge=1, le=1_000)
    """Look-ups of tokens that are in no cache, at a time; default 16. Further ones wait."""

    look_ups_per_address_max: int = Field(default=4, ge=1, le=1_000)
    """Look-ups of such tokens from one address, at a time; default 4, so that guesses from one
    address take at most a quarter."""


class PaceSettings(BaseModel):
    """How many calls per second may begin. A call above a limit is refused with RATE_LIMITED."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    account_calls_per_s: float = Field(default=60, gt=0, le=1_000_000)
    """Calls of one account per second in the long run; default 60, far more than a person or a
    touchscreen makes. So many calls that change something take a tenth of a core."""

    account_calls_burst: int = Field(default=300, ge=1, le=1_000_000)
    """Calls of one account at once, after a pause; default 300, five seconds of the rate."""

    stranger_calls_per_s: float = Field(default=100, gt=0, le=1_000_000)
    """Strangers' calls per second from one IPv4 address or one IPv6 network of 64 bits in the long
    run; default 100, which many people behind one address share while they log in."""

    stranger_calls_burst: int = Field(default=1_000, ge=1, le=1_000_000)
    """Strangers' calls from one such place at once, after a pause; default 1,000."""

    strangers_busy_per_s: float = Field(default=100, gt=0, le=1_000_000)
    """Strangers' calls per second from all places together above which `strangers_busy` is logged;
    default 100. No call is refused for that: the line reports calls from many addresses."""

    health_checks_per_s: float = Field(default=20, gt=0, le=1_000_000)
    """Health checks per second on one connection in the long run; default 20. They are counted by
    connection and not by address, so that a flood from elsewhere does not fail an honest check."""

    health_checks_burst: int = Field(default=100, ge=1, le=1_000_000)
    """Health checks on one connection at once; default 100."""

    refusals_burst: int = Field(default=50, ge=1, le=1_000_000)
    """Calls of one connection that may be refused at once because of these rates, and one more a
    second; default 50. At the next one the connection is closed: its client has to connect again,
    and gRPC clients wait longer each time. A gateway's connection stays open."""


class ResponseSettings(BaseModel):
    """Limits of responses that wait because their client does not read, and of pages of lists."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    leave_limit_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds that a response, or one message of a stream, may wait until it leaves; default 30,
    the time in which a slow network carries the largest page. Then the connection is closed."""

    bytes_per_caller_max: int = Field(default=4_194_304, ge=65_536, le=1_073_741_824)
    """Bytes of responses that wait for one account, or for strangers at one address; default
    4,194,304: sixteen of the largest pages. Above it the connection whose response has waited
    longest is closed."""

    bytes_max: int = Field(default=16_777_216, ge=65_536, le=17_179_869_184)
    """Bytes of responses that wait for all callers together; default 16,777,216, a sixteenth of a
    small container's memory. Above it a connection of the caller with most bytes is closed."""

    page_bytes_max: int = Field(default=262_144, ge=4_096, le=4_194_304)
    """Bytes of one page of a list; default 262,144, about 1,000 rows. Further rows are on the
    next page."""

    pages_max: int = Field(default=4, ge=1, le=1_000)
    """Pages that are read and encoded at a time; default 4, some 3 MB each at most. Further ones
    wait."""

    pages_per_account_max: int = Field(default=2, ge=1, le=1_000)
    """Pages of one account that are read and encoded at a time; default 2, so that a client in a
    loop leaves room for other accounts."""

    rows_per_account_per_s: int = Field(default=2_000, ge=1, le=1_000_000)
    """Rows of pages per second for one account; default 2,000, a tenth of what a small computer can
    encode. Further pages wait."""


class ConnectionSettings(BaseModel):
    """How many gRPC connections may be open.

    Strangers' connections, on which no account and no machine has called, are closed to keep places
    free: of the address with most of them, the oldest ones without a call in flight first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max: int = Field(default=2_048, ge=4, le=1_000_000)
    """Connections to the buyers' listener; default 2,048, some 60 MB of memory, or fewer if the
    limit of open files leaves less (`sessions.files_reserved`). From three quarters of it on
    strangers' connections are closed; above it gRPC refuses new ones."""

    links_max: int = Field(default=128, ge=4, le=100_000)
    """Connections to the listener for links, if it exists; default 128, for some 90 machines, and
    at most half of `sessions.files_reserved`."""

    per_address_max: int = Field(default=512, ge=1, le=1_000_000)
    """Connections from one IPv4 address or one IPv6 network of 64 bits above which strangers'
    connections from there are closed; default 512, since all clients behind a published container
    port have the same address."""

    per_account_max: int = Field(default=64, ge=1, le=100_000)
    """Connections of one account or machine above which its idle ones are closed; default 64."""

    opening: OpeningSettings = Field(default_factory=OpeningSettings)
    """How often strangers may connect to each listener; the defaults are given there. A connection
    on which an account, a machine or a gateway calls does not count."""

    misused_cost: int = Field(default=256, ge=1, le=1_000_000)
    """As how many new connections a stranger's connection counts that was closed because its calls
    stayed silent, or because of the calls or bytes on it; default 256: its place is paused after
    the fourth one at once. For `opening.pause_max_s` after the first one the place is suspected:
    strangers' calls there have less time for their message when others wait."""

    noise_bytes_per_s: int = Field(default=4_096, ge=64, le=1_073_741_824)
    """Bytes per second that may arrive on a connection beside its calls in the long run; default
    4,096: 200 PING frames, while an honest client sends one in 10 s. Above it the connection is
    closed. Links and gateways are not limited by it."""

    noise_bytes_burst: int = Field(default=65_536, ge=1_024, le=1_073_741_824)
    """Such bytes at once; default 65,536: handshakes, settings, and a call that begins."""

    uncalled_interval_s: float = Field(default=60.0, ge=1, le=3_600)
    """Seconds in which connections without a call are counted together; default 60, a line a
    minute."""

    uncalled_report_min: int = Field(default=30, ge=1, le=1_000_000)
    """Connections without a call in that time above which they are logged as
    `connections_without_calls`, the first time at once; default 30: junk, requests of HTTP/1,
    metadata that is too large, TLS handshakes that fail. Two load balancers that check the port
    every 5 s make 24."""

    look_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds between two checks of the open connections; default 1. A check takes a millisecond
    for each 1,000 open files."""

    look_interval_crowded_s: float = Field(default=0.1, gt=0, le=60)
    """Seconds between two checks while strangers' connections have to be closed; default 0.1, so
    that places are free again before a client's second attempt."""


class RpcSettings(BaseModel):
    """The addresses on which gRPC is served, and the limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    address: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    """IP address or host name to listen on; default `127.0.0.1`, because without TLS passwords
    would otherwise cross the network unencrypted. `::` listens on every address of both
    families."""

    port: int = Field(default=50051, ge=0, le=65535)
    """TCP port; default 50051, the usual one of gRPC. 0 takes any free port."""

    tls_certificate: Path | None = None
    """PEM file with the server's certificate chain; default none, which means plain text. Read
    again when it changes, so that a renewal needs no restart."""

    tls_key: Path | None = None
    """PEM file with the certificate's private key; default none. Required with a certificate."""

    allow_plain_remote: bool = False
    """Whether plain text may be served beyond loopback; default no. Only for a trusted network or
    behind a proxy that terminates TLS: passwords and tokens are sent unencrypted."""

    reflection: bool | None = None
    """Whether grpc.reflection is served; default: on a loopback address only. It shows nothing
    that is not in the published protos, but strangers have no need for it."""

    request_bytes_max: int = Field(default=65_536, ge=4_096, le=4_194_304)
    """Bytes of the largest message accepted; default 65,536. The largest honest one, a result with
    full evidence, has less than 30,000."""

    response_bytes_max: int = Field(default=4_194_304, ge=65_536, le=67_108_864)
    """Bytes of the largest message sent; default 4,194,304, the most that gRPC clients accept by
    default."""

    metadata_bytes_max: int = Field(default=16_384, ge=4_096, le=65_536)
    """Bytes of a call's metadata; default 16,384. A token takes about 50."""

    streams_per_connection_max: int = Field(default=100, ge=1, le=10_000)
    """Calls in flight on one connection; default 100, the least that HTTP/2 recommends. Further
    ones wait at the client."""

    calls_max: int = Field(default=2_048, ge=1, le=100_000)
    """Calls of buyers and strangers in flight in all; default 2,048, some 60 MB of memory. Above it
    calls are refused with RATE_LIMITED. Agents' links, health checks and open watches have limits
    of their own."""

    watches_max: int = Field(default=1_024, ge=1, le=100_000)
    """Watches open in all; default 1,024, some 30 MB of memory. Above it they are refused with
    RATE_LIMITED."""

    watches_per_caller_max: int = Field(default=64, ge=1, le=100_000)
    """Watches open per account, or per place for strangers; default 64, so that no caller takes all
    of them."""

    drop_wait_s: float = Field(default=120.0, gt=0, le=3_600)
    """Longest wait of a Drop call for the outcome in seconds; default 120: a full queue of one
    machine (20 drops of 3.5 s) and the time to give up on a silent board. Then the call
    returns the drop in its present state."""

    drop_begin_s: float = Field(default=20.0, gt=0, le=3_600)
    """Seconds after which a Drop call that waits sends the headers of its response; the rest
    follows with the outcome; default 20, a third of the time after which nginx ends a call without
    response headers. After them keepalive pings are enough for nginx."""

    picture_limit_s: float = Field(default=60.0, gt=0, le=3_600)
    """Seconds that a picture of an item may take to come or to leave; default 60: 1 MiB on a line
    of 150 kbit/s. Then the call ends with RATE_LIMITED."""

    handshake_timeout_s: int = Field(default=10, ge=1, le=120)
    """Seconds a new connection has for the TLS and HTTP/2 handshakes; default 10. Then it is
    closed."""

    connection_idle_s: int = Field(default=300, ge=1, le=86_400)
    """Seconds after which a connection without any call is closed; default 300. Clients connect
    again by themselves, and open files are freed."""

    keepalive_time_s: int = Field(default=20, ge=10, le=3_600)
    """Seconds without traffic after which a keepalive ping is sent; default 20. Half-open links
    behind a NAT are detected in no other way."""

    keepalive_timeout_s: int = Field(default=10, ge=1, le=60)
    """Seconds in which the peer must answer such a ping; default 10. Then the connection is
    closed."""

    ping_interval_min_s: int = Field(default=10, ge=0, le=3_600)
    """Least seconds between two pings of a client; default 10, half of the agents' interval, since
    with equal values jitter would lead to refusals. A client that pings more often loses its
    connection."""

    health_interval_s: float = Field(default=5.0, gt=0, le=300)
    """Seconds between two checks whether the database accepts changes and answers queries; default
    5, the interval of common orchestrators. Each check writes one row."""

    health_timeout_s: float = Field(default=3.0, gt=0, le=300)
    """Seconds after which such a check counts as failed; default 3, more than the longest commit
    measured on a loaded SD card."""

    gateways: Path | None = None
    """File with the gateways that may forward their clients' addresses, a line `NAME TOKEN` for
    each; default none. Their calls are counted by the address in the metadata
    `x-drink-client-address`, if `x-drink-gateway-token` contains their token. Read again when it
    changes."""

    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    """How many calls may be in flight; the defaults are given there."""

    pace: PaceSettings = Field(default_factory=PaceSettings)
    """How many calls per second may begin; the defaults are given there."""

    responses: ResponseSettings = Field(default_factory=ResponseSettings)
    """Limits of responses; the defaults are given there."""

    connections: ConnectionSettings = Field(default_factory=ConnectionSettings)
    """How many connections may be open; the defaults are given there."""

    links: LinkListenerSettings = Field(default_factory=LinkListenerSettings)
    """The listener for agents; by default there is none."""

    @model_validator(mode="after")
    def _check_transport(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together or not at all")
        if not (self.tls or self.allow_plain_remote or is_loopback(self.address)):
            raise ValueError(
                f"plain text on {self.address}, which is not loopback: set tls_certificate and "
                "tls_key, or allow_plain_remote"
            )
        if self.links.client_ca is not None and not self.tls:
            raise ValueError("links.client_ca needs tls_certificate and tls_key")
        links_address = self.links.address or self.address
        if self.links.listens and not (
            self.tls or self.allow_plain_remote or is_loopback(links_address)
        ):
            raise ValueError(
                f"plain text on {links_address} for links, which is not loopback: set "
                "tls_certificate and tls_key, or allow_plain_remote"
            )
        return self

    @property
    def tls(self) -> bool:
        """Whether the listeners use TLS."""
        return self.tls_certificate is not None

    @property
    def reflected(self) -> bool:
        """Whether grpc.reflection is served."""
        return is_loopback(self.address) if self.reflection is None else self.reflection

    @property
    def target(self) -> str:
        """`address:port` of the buyers' listener in the notation of gRPC."""
        return _target(self.address, self.port)

    @property
    def links_target(self) -> str:
        """`address:port` of the listener for agents in the notation of gRPC."""
        return _target(self.links.address or self.address, self.links.port)


def _target(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
