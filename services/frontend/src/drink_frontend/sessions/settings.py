"""Settings of the session listeners."""

import ipaddress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drink_frontend.domain.limits import MACHINE_NAME
from drink_frontend.domain.origin import normalized
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.system.connection_rates import OpeningSettings

MachineName = Annotated[str, Field(pattern=f"^{MACHINE_NAME}$")]


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address") from None


IpAddress = Annotated[str, AfterValidator(_ip_address)]
"""An IP address in the spelling of the operating system."""

LocalAddress = Annotated[str, AfterValidator(lambda value: normalized(_ip_address(value)))]
"""An IP address of this host, normalized and without a zone."""


class _Endpoint(BaseModel):
    """Address of a listening socket, and the machine of its clients."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    address: IpAddress = "127.0.0.1"
    """IP address to listen on; default `127.0.0.1`. `::` is every address of both families."""

    default_machine: MachineName | None = None
    """Machine of a client whose local address is not in `machine_by_address`; default none."""

    machine_by_address: dict[LocalAddress, MachineName] = Field(default_factory=dict)
    """Machine by the local IP address that a client connected to; default empty. Clients of 2000
    to 2011 choose a machine by host name, one address for each."""

    def machine_at(self, local_address: str) -> str | None:
        """Name of the machine for clients of a local address, if any."""
        return self.machine_by_address.get(local_address, self.default_machine)


class ListenerSettings(_Endpoint):
    """One port that sessions are served on."""

    port: int = Field(default=4242, ge=0, le=65_535)
    """TCP port; default 4242, as since 1999; 4243 is customary with TLS. 0 takes any free port."""

    dialect: DialectName = DialectName.CLASSIC
    """The dialect: `classic` (default, clients of 2000 to 2011 and people), `drinkjs` (2011 to
    2018) or `drinkd` (1999)."""

    tls_certificate: Path | None = None
    """PEM file with the certificate chain; default none, which is plain text. Read again when it
    changes, so that a renewal needs no restart."""

    tls_key: Path | None = None
    """PEM file with the certificate's private key; default none. Required with a certificate."""

    allow_plain_remote: bool = False
    """Whether plain text may be served beyond loopback; default no. Only for a trusted network:
    passwords can be read there."""

    stat_trailer_delay_ms: int = Field(default=0, ge=0, le=2_000)
    """Milliseconds between the slots of a STAT reply and its last line, for sessions that logged in
    by IBUTTON; default 0. Touchscreens receive the two separately and wait for ever if both come at
    once: 100 serves them. Sessions that logged in otherwise get both at once."""

    idle_limit_s: float | None = Field(default=None, ge=0, le=86_400)
    """Seconds without a command after which a session of this listener is ended; 0 for never.
    Default: `sessions.idle_limit_s`, and without that 300 in `classic` and never in `drinkjs` and
    `drinkd`, whose servers had no limit: their clients hold one connection for as long as a page
    or a window is open."""

    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of the proxies that send a header of the PROXY protocol, version 1 or 2, before TLS;
    default none. Each connection from there must begin with a header, and counts as one of the
    client in it. From elsewhere a header is refused like any unknown command."""

    @model_validator(mode="after")
    def _check_transport(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together or not at all")
        loopback = ipaddress.ip_address(self.address).is_loopback
        if not (self.tls_certificate or loopback or self.allow_plain_remote):
            raise ValueError(
                f"plain text on {self.address}, which is not loopback: set tls_certificate and "
                "tls_key, or allow_plain_remote"
            )
        return self


CLASSIC_IDLE_LIMIT_S = 300.0
"""Seconds without a command after which a `classic` session is ended, unless it is set otherwise.
Servers of its time had such a limit, and their clients connect again."""


class FingerSettings(_Endpoint):
    """The port that finger is answered on."""

    port: int = Field(default=79, ge=0, le=65_535)
    """TCP port; default 79, which needs a privilege to bind. 0 takes any free port."""


class SessionSettings(BaseModel):
    """The session listeners and their common limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(),)
    """The ports; default one, `classic` on 127.0.0.1:4242."""

    finger: FingerSettings | None = None
    """The finger port; default none."""

    line_bytes_max: int = Field(default=512, ge=64, le=65_536)
    """Bytes of the longest line; default 512, four times the longest honest command. A longer one
    is read to its end and refused."""

    endless_line_bytes_max: int = Field(default=1_048_576, ge=65_536, le=1_073_741_824)
    """Bytes without a line end after which a session is ended; default 1,048,576. No client sends
    them by mistake, and reading them without end would take time from all other sessions."""

    backlog_bytes_max: int = Field(default=65_536, ge=4_096, le=16_777_216)
    """Bytes of commands that may wait in one session; default 65,536. Past it nothing more is read
    from the client until some are carried out."""

    unread_bytes_max: int = Field(default=65_536, ge=4_096, le=16_777_216)
    """Bytes of replies that a client may leave unread; default 65,536. Past it no command of the
    session is carried out until the client reads."""

    turn_pause_ms: float = Field(default=2.0, ge=0, le=1_000)
    """Milliseconds from one turn to the next of sessions that have more than 32 lines to carry out;
    default 2: their turns take some 0.5 ms each, so that together they have a quarter of the
    process's time, 16,000 lines a second, and drops have the rest."""

    buffered_bytes_max: int = Field(default=16_777_216, ge=1_048_576, le=1_073_741_824)
    """Bytes of waiting commands and unread replies in all sessions together; default 16,777,216, a
    sixteenth of the memory that `compose.yaml` gives. Past it sessions are cut off: first those
    that never logged in, and of them those that hold most."""

    system_bytes_max: int = Field(default=16_384, ge=4_096, le=16_777_216)
    """Bytes that the operating system holds for each connection and direction in addition; default
    16,384, twice the longest reply. Without a limit it takes megabytes for each client that does
    not read."""

    unread_limit_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds that replies may stay unread before the client is cut off; default 30, longer than a
    phone loses its network between two cells. Also the time to read the last reply of a session."""

    idle_limit_s: float | None = Field(default=None, ge=0, le=86_400)
    """Seconds without a command after which a session is ended, on every listener without an
    `idle_limit_s` of its own; 0 for never. Default: 300 in `classic`, never in `drinkjs` and
    `drinkd`. Only what is a command counts, and a drop under way does not end."""

    keepalive_idle_s: int = Field(default=60, ge=1, le=32_767)
    """Seconds of silence after which the system probes whether a client is still there; default 60,
    often enough for most NATs to keep the connection. With the defaults the session of a client
    without network ends after two minutes, whatever `idle_limit_s` is."""

    keepalive_interval_s: int = Field(default=15, ge=1, le=32_767)
    """Seconds between two such probes while none is answered; default 15."""

    keepalive_probes: int = Field(default=4, ge=1, le=127)
    """Unanswered probes after which the connection is lost; default 4: it survives an outage of a
    minute."""

    silence_ends_line_ms: int = Field(default=200, ge=10, le=10_000)
    """Milliseconds of silence that end a line in `drinkjs` and `drinkd`; default 200. Their
    clients send no line end; letters that arrive further apart are typed by a person."""

    login_failures_max: int = Field(default=3, ge=1, le=100)
    """Failed logins that end a session; default 3, as at most terminals. `accounts.logins` limits
    the rate beyond that."""

    sessions_max: int = Field(default=16_384, ge=1, le=1_000_000)
    """Sessions at once; default 16,384, some 100 MB. Fewer where the process may not open that
    many files: what `files_reserved` leaves is shared with gRPC connections. Past it clients are
    told that there are too many users."""

    sessions_per_address_max: int | None = Field(default=None, ge=1, le=1_000_000)
    """Sessions at once from one IPv4 address or one IPv6 network of 64 bits; default half of all
    that fit, so that no address takes every place. At either limit the session that has been idle
    longest without ever having logged in is closed for the newcomer; only if there is none is the
    newcomer told that there are too many users."""

    opening: OpeningSettings = Field(default_factory=OpeningSettings)
    """How often strangers may connect to each listener, finger included; the defaults are given
    there. Proxies of a listener are not limited by it."""

    files_reserved: int = Field(default=256, ge=16, le=65_536)
    """Open files that connections of clients leave to everything else; default 256: the database,
    the log, agents' links, operators' calls. At most half of those that the process may open."""

    strangers_report_min: int = Field(default=100, ge=1, le=1_000_000)
    """Sessions without a login at once from which on they are logged as `sessions_without_login`,
    once a minute; default 100, more than people who are just about to log in."""

    tls_handshake_limit_s: float = Field(default=10, gt=0, le=120)
    """Seconds that a TLS handshake may take; default 10. It counts as a session meanwhile."""

    proxy_header_limit_s: float = Field(default=5, gt=0, le=60)
    """Seconds in which a proxy's header must arrive; default 5. The proxy sends it first."""

    tls_check_interval_s: float = Field(default=60, gt=0, le=86_400)
    """Seconds between checks for a new certificate; default 60."""

    shutdown_command: bool = False
    """Whether administrators may stop the service with SHUTDOWN; default no: what runs under a
    supervisor is stopped there."""

    def idle_limit(self, listener: ListenerSettings) -> float | None:
        """Seconds after which an idle session of a listener is ended; None for never."""
        for limit_s in (listener.idle_limit_s, self.idle_limit_s):
            if limit_s is not None:
                return limit_s or None
        return CLASSIC_IDLE_LIMIT_S if listener.dialect is DialectName.CLASSIC else None
