"""Settings of the gRPC listener."""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def is_loopback(address: str) -> bool:
    """Whether an address to listen on can only be reached from this host."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


class LinkListenerSettings(BaseModel):
    """A second gRPC listener, for agents.

    It has connections and a gRPC server of its own, which nobody can fill who cannot reach its
    port. And gRPC can require a certificate of every client of a listener or of none, and buyers
    have none; so mutual TLS needs a listener of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    listen: bool = False
    """Whether there is such a listener without `client_ca` too, for agents with tokens; default no:
    they use the buyers' listener, which they may in any case. It speaks TLS if the buyers' does."""

    client_ca: Path | None = None
    """PEM file with the authorities that sign agents' certificates; default none. With it there is
    such a listener, and it takes no client without a certificate. It needs `rpc.tls_certificate`,
    which it serves with. Read again when it
    changes."""

    revoked: Path | None = None
    """File with the SHA-256 fingerprints of certificates that are taken no more, one a line;
    default none. Read again for every link."""

    address: str = Field(default="", max_length=253)
    """IP address or host name to listen on; default empty, which is that of `rpc.address`."""

    port: int = Field(default=50052, ge=0, le=65535)
    """TCP port; default 50052, the next one. 0 takes any free port."""

    required: bool = False
    """Whether every agent needs a certificate; default no: a machine's token alone will do, on the
    other listener."""

    @property
    def listens(self) -> bool:
        """Whether there is a listener for agents."""
        return self.listen or self.client_ca is not None

    @model_validator(mode="after")
    def _check_required(self) -> Self:
        if self.required and self.client_ca is None:
            raise ValueError("required needs client_ca, or no agent could connect")
        if self.revoked is not None and self.client_ca is None:
            raise ValueError("revoked is of no use without client_ca")
        return self


class AdmissionSettings(BaseModel):
    """How many calls may be under way, per class of caller.

    A call counts from its headers on. Callers without a token that is known are strangers. Where a
    limit of strangers is reached, a new call takes the place of the oldest one there that still
    waits for its message; if none waits, the new one is refused with RATE_LIMITED.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strangers_max: int = Field(default=512, ge=1, le=100_000)
    """Strangers' calls under way in all; default 512, some 15 MB of memory. Open watches are not
    among them: `rpc.watches_max` counts those."""

    strangers_per_address_max: int = Field(default=256, ge=1, le=100_000)
    """Strangers' calls under way from one IPv4 address or one IPv6 network of 64 bits; default
    256, so that no address takes all places."""

    strangers_per_connection_max: int = Field(default=64, ge=1, le=100_000)
    """Strangers' calls under way on one connection; default 64."""

    unknown_tokens_max: int = Field(default=1_024, ge=1, le=100_000)
    """Calls whose token was not seen before and waits to be looked up; default 1,024, some 30 MB of
    memory: as many agents as may dial at once after a restart. Above it the oldest one of the
    address that has most of them makes way."""

    calls_per_account_max: int = Field(default=256, ge=1, le=100_000)
    """Calls under way of one account; default 256, more than one account can have drops waiting.
    Above it its calls are refused with RATE_LIMITED."""

    calls_per_machine_max: int = Field(default=8, ge=1, le=1_000)
    """Links under way of one machine; default 8: the newest one counts, and those before it need a
    moment to end. No other caller's calls count here."""

    health_max: int = Field(default=64, ge=1, le=1_000)
    """Health checks under way; default 64. They have places of their own, so that a frontend that
    is busy is not taken for one that is down."""

    message_wait_s: float = Field(default=10, gt=0, le=300)
    """Seconds that a request's message may take to come after its headers; default 10. Clients send
    both together, so even a slow network needs less. Then the call is ended with RATE_LIMITED."""

    waiting_per_connection_max: int = Field(default=48, ge=1, le=100_000)
    """Strangers' calls on one connection that wait for their message; default 48. Clients send it
    with the headers, so on an honest connection only those wait that were begun at once."""

    silent_calls_max: int = Field(default=16, ge=1, le=100_000)
    """Strangers' calls of one connection that may end for want of their message; default 16. Then
    the connection is closed, since each such call costs as much as one that is answered. A message
    that comes clears the count."""

    unseen_per_method_max: int = Field(default=400, ge=16, le=100_000)
    """Calls of one method that have come and that the frontend has not looked at yet; default 400,
    some 6 MB of memory for each method that is flooded. gRPC cancels those beyond."""

    look_ups_max: int = Field(default=16, ge=1, le=1_000)
    """Look-ups of tokens that are not known yet, at once; default 16. More wait."""

    look_ups_per_address_max: int = Field(default=4, ge=1, le=1_000)
    """The same from one address; default 4, so that one guesser takes a quarter at most."""


class PaceSettings(BaseModel):
    """How fast calls may begin. A call that comes too soon is refused with RATE_LIMITED."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    account_calls_per_s: float = Field(default=60, gt=0, le=1_000_000)
    """Calls of one account per second in the long run; default 60, far more than a person or a
    touchscreen makes: so many that change something cost a tenth of a core."""

    account_calls_burst: int = Field(default=300, ge=1, le=1_000_000)
    """Calls of one account at once, after a quiet time; default 300, five seconds of the rate."""

    stranger_calls_per_s: float = Field(default=100, gt=0, le=1_000_000)
    """Strangers' calls per second from one IPv4 address or one IPv6 network of 64 bits in the long
    run; default 100, which many people behind one address share while they log in."""

    stranger_calls_burst: int = Field(default=1_000, ge=1, le=1_000_000)
    """The same at once, after a quiet time; default 1,000."""

    strangers_busy_per_s: float = Field(default=100, gt=0, le=1_000_000)
    """Strangers' calls per second from everywhere together above which the log says so; default
    100. None is refused for that: it tells an operator that somebody calls from many addresses."""

    health_checks_per_s: float = Field(default=20, gt=0, le=1_000_000)
    """Health checks per second on one connection in the long run; default 20. They are counted by
    connection and not by address, so that nobody's flood makes the frontend look ill."""

    health_checks_burst: int = Field(default=100, ge=1, le=1_000_000)
    """Health checks on one connection at once; default 100."""

    refusals_burst: int = Field(default=50, ge=1, le=1_000_000)
    """Calls of one connection that are refused for their pace at once, and one more a second;
    default 50. At the next one the connection is closed: whoever does not hear a refusal has to
    connect again, and gRPC's clients wait longer each time. A gateway's connection stays."""


class ResponseSettings(BaseModel):
    """What may wait for readers that do not read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    leave_limit_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds that a response, or one message of a stream, may wait for its reader; default 30, the
    time in which a slow network carries the largest page. Then the connection is closed."""

    bytes_per_caller_max: int = Field(default=4_194_304, ge=65_536, le=1_073_741_824)
    """Bytes of responses that wait for one account's readers, or for strangers' at one address;
    default 4,194,304: sixteen of the largest pages. Above it the connection whose response has
    waited longest is closed."""

    bytes_max: int = Field(default=16_777_216, ge=65_536, le=17_179_869_184)
    """The same for all callers together; default 16,777,216, a sixteenth of what a small container
    has. Whoever has most waiting loses a connection first."""

    page_bytes_max: int = Field(default=262_144, ge=4_096, le=4_194_304)
    """Bytes of one page of a list; default 262,144, about 1,000 rows. What does not fit is on the
    next page."""

    pages_max: int = Field(default=4, ge=1, le=1_000)
    """Pages that are being read and built at once; default 4, some 3 MB each at most. More
    wait."""

    pages_per_account_max: int = Field(default=2, ge=1, le=1_000)
    """The same for one account; default 2, so that its loop leaves turns to others."""

    rows_per_account_per_s: int = Field(default=2_000, ge=1, le=1_000_000)
    """Rows of pages that one account is given each second; default 2,000, a tenth of what a small
    computer can build. Who asks for more waits for the turn."""


class ConnectionSettings(BaseModel):
    """How many gRPC connections there may be.

    Strangers' connections, on which no account and no machine has called, are closed to keep places
    free: the oldest ones without a call first, of the address that has most of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max: int = Field(default=2_048, ge=4, le=1_000_000)
    """Connections to the buyers' listener; default 2,048, some 60 MB of memory, or what the limit
    of open files leaves for them if that is less (`sessions.files_reserved`). Strangers' are closed
    from three quarters of it on; above it gRPC refuses every new one."""

    links_max: int = Field(default=128, ge=4, le=100_000)
    """The same on the listener for links, if there is one; default 128, for some 90 machines, and
    never more than half of `sessions.files_reserved`."""

    per_address_max: int = Field(default=512, ge=1, le=1_000_000)
    """Connections from one IPv4 address or one IPv6 network of 64 bits above which its strangers'
    are closed; default 512, since everybody behind a published container port has one address."""

    per_account_max: int = Field(default=64, ge=1, le=100_000)
    """Connections of one account or machine above which its idle ones are closed; default 64."""

    noise_bytes_per_s: int = Field(default=4_096, ge=64, le=1_073_741_824)
    """Bytes per second that may come on a connection beside its calls in the long run; default
    4,096: 200 PING frames, where an honest client sends one in 10 s. Above it the connection is
    closed. Links and gateways are not counted."""

    noise_bytes_burst: int = Field(default=65_536, ge=1_024, le=1_073_741_824)
    """The same at once; default 65,536: handshakes, settings, and a call that begins."""

    uncalled_interval_s: float = Field(default=60.0, ge=1, le=3_600)
    """Seconds in which connections without a call are counted together; default 60, a line a
    minute."""

    uncalled_report_min: int = Field(default=30, ge=1, le=1_000_000)
    """Connections without a call in that time above which they are logged as
    `connections_without_calls`, the first time at once; default 30: junk, requests of HTTP/1,
    metadata that is too large, TLS handshakes that fail. Two load balancers that check the port
    every 5 s make 24."""

    look_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds between two looks at what connections there are; default 1. A look takes a
    millisecond for each 1,000 open files."""

    look_interval_crowded_s: float = Field(default=0.1, gt=0, le=60)
    """The same while strangers' connections have to be closed; default 0.1, so that there are free
    places again before a client's second attempt."""


class RpcSettings(BaseModel):
    """Where gRPC is served, and within which limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    address: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    """IP address or host name to listen on; default `127.0.0.1`, because without TLS passwords
    would otherwise travel in the clear. `::` listens on every address of both families."""

    port: int = Field(default=50051, ge=0, le=65535)
    """TCP port; default 50051, the customary one of gRPC. 0 takes any free port."""

    tls_certificate: Path | None = None
    """PEM file with the server's certificate chain; default none, which is plain text. Read again
    when it changes, so that a renewal needs no restart."""

    tls_key: Path | None = None
    """PEM file with the certificate's private key; default none. Required with a certificate."""

    allow_plain_remote: bool = False
    """Whether plain text may be served beyond loopback; default no. Only for a trusted network or
    behind a proxy that ends TLS: passwords and tokens are readable on the way."""

    reflection: bool | None = None
    """Whether grpc.reflection is served; default: on a loopback address only. It tells strangers
    nothing that is not in the published protos, but there is no need to."""

    request_bytes_max: int = Field(default=65_536, ge=4_096, le=4_194_304)
    """Bytes of the largest message taken; default 65,536. The largest honest one, a result with
    full evidence, is below 30,000."""

    response_bytes_max: int = Field(default=4_194_304, ge=65_536, le=67_108_864)
    """Bytes of the largest message sent; default 4,194,304, the most that gRPC clients take unless
    told otherwise."""

    metadata_bytes_max: int = Field(default=16_384, ge=4_096, le=65_536)
    """Bytes of a call's metadata; default 16,384. A token takes about 50."""

    streams_per_connection_max: int = Field(default=100, ge=1, le=10_000)
    """Calls under way on one connection; default 100, what HTTP/2 recommends as the least. More
    wait at the client."""

    calls_max: int = Field(default=2_048, ge=1, le=100_000)
    """Calls of buyers and strangers under way in all; default 2,048, some 60 MB of memory. Above it
    calls are refused with RATE_LIMITED. Agents' links, health checks and open watches have limits
    of their own."""

    watches_max: int = Field(default=1_024, ge=1, le=100_000)
    """Watches open in all; default 1,024, some 30 MB of memory. Above it they are refused with
    RATE_LIMITED."""

    watches_per_caller_max: int = Field(default=64, ge=1, le=100_000)
    """Watches open per account, or per place where no account is needed; default 64, so that no
    single caller takes them all."""

    drop_wait_s: float = Field(default=120.0, gt=0, le=3_600)
    """Longest wait of a Drop call for the outcome in seconds; default 120: a full queue of one
    machine (20 drops of 3.5 s) and the time to give up on a silent board. After it the call
    answers with the drop as it stands."""

    drop_begin_s: float = Field(default=20.0, gt=0, le=3_600)
    """Seconds after which the answer to a Drop call that waits is begun: its headers are sent, the
    rest follows with the outcome; default 20, a third of the silence after which nginx gives up
    on a call whose answer has not begun. Once it has, keepalive pings count as signs of life
    there."""

    handshake_timeout_s: int = Field(default=10, ge=1, le=120)
    """Seconds a new connection has for the TLS and HTTP/2 handshakes; default 10. Who connects and
    stays silent is cut then."""

    connection_idle_s: int = Field(default=300, ge=1, le=86_400)
    """Seconds after which a connection without any call is closed; default 300. Clients connect
    again by themselves; open files are freed."""

    keepalive_time_s: int = Field(default=20, ge=10, le=3_600)
    """Seconds of silence before a peer is asked for a sign of life; default 20. Half-open links
    behind a NAT are noticed in no other way."""

    keepalive_timeout_s: int = Field(default=10, ge=1, le=60)
    """Seconds a peer has to give it; default 10. Then the connection is cut."""

    ping_interval_min_s: int = Field(default=10, ge=0, le=3_600)
    """Least seconds between two pings of a client; default 10, half of what agents are told, since
    equal values turn jitter into refusals. Who pings more often is cut."""

    health_interval_s: float = Field(default=5.0, gt=0, le=300)
    """Seconds between two looks at whether the database takes changes and answers queries; default
    5, the pace at which orchestrators ask. Each look writes one row."""

    health_timeout_s: float = Field(default=3.0, gt=0, le=300)
    """Seconds one such look may take before it counts as failed; default 3, above the longest
    commit that a loaded SD card was seen to need."""

    gateways: Path | None = None
    """File with the gateways that may say for whom they call, a line `NAME TOKEN` for each; default
    none. Their calls are counted by the address in the metadata `x-drink-client-address`, if
    `x-drink-gateway-token` holds their token. Read again when it changes."""
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    """How many calls may be under way; by default those limits."""

    pace: PaceSettings = Field(default_factory=PaceSettings)
    """How fast calls may begin; by default those limits."""

    responses: ResponseSettings = Field(default_factory=ResponseSettings)
    """How much may wait for readers; by default those limits."""

    connections: ConnectionSettings = Field(default_factory=ConnectionSettings)
    """How many connections there may be; by default those limits."""

    links: LinkListenerSettings = Field(default_factory=LinkListenerSettings)
    """The listener for agents alone; by default there is none."""

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
        """Whether the listener speaks TLS."""
        return self.tls_certificate is not None

    @property
    def reflected(self) -> bool:
        """Whether grpc.reflection is served."""
        return is_loopback(self.address) if self.reflection is None else self.reflection

    @property
    def target(self) -> str:
        """`address:port` to listen on, as gRPC writes it."""
        return _target(self.address, self.port)

    @property
    def links_target(self) -> str:
        """The same for agents with certificates."""
        return _target(self.links.address or self.address, self.links.port)


def _target(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
