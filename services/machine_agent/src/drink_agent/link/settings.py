"""Settings of the link: addresses of the frontends, credentials and limits."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ADDRESSES_MAX = 16
"""Largest number of addresses. A round in which none of them answers takes five minutes then."""

DEFAULT_TOKEN_FILE = Path("/etc/drink-machine-agent/token")
"""Default path of the token."""

_SOCKETS: Final = ("unix:", "unix-abstract:")
"""Prefixes of gRPC targets without a port."""

_RESOLVERS: Final = re.compile(r"(dns|ipv4|ipv6):(//[^/]*/)?")
"""Prefixes of gRPC targets that are followed by `host:port`."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST_PORT: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:/\s,@]+)(:(?P<port>[^/\s:,\[\]]*))?"
)
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The agent's end of the link."""

    addresses: tuple[str, ...] = ("localhost:50051",)
    """Default localhost:50051. `host:port` of each frontend, or any gRPC target; 16 at most. The
    agent keeps one link. It starts with one of them drawn at random and goes on to the next when
    a link fails; once all have failed it waits. One name with several IP addresses will do too."""
    token_file: Path | None = None
    """Default /etc/drink-machine-agent/token, or none with `cert_file`. Holds the machine's
    token; only its owner may be able to read it. Read again for every link, so that a new token
    needs no restart."""
    insecure: bool = False
    """Default false. Plain text to an address that is not this host's; whoever can read along
    then has the token. Plain text is always used without `ca_file` and
    `cert_file` if all addresses are loopback ones."""
    ca_file: Path | None = None
    """Default none: the system's authorities, as OpenSSL finds them (`SSL_CERT_FILE` and
    `SSL_CERT_DIR` name others); where there are none, those that gRPC brings along. PEM file of
    the authority that signed the frontend's certificate."""
    cert_file: Path | None = None
    """Default none. PEM file of the machine's own certificate, for a frontend that asks for one.
    This and the other PEM files are read again for every link."""
    key_file: Path | None = None
    """Default none. PEM file of that certificate's key."""
    proxy: str | None = None
    """Default none: links are dialled directly, whatever `http_proxy` and its like in the
    environment say. `http://host:port` of an HTTP proxy that may CONNECT to the frontends'
    addresses; it resolves their names. Host names in the environment's `no_proxy` are still
    dialled directly. A proxy that asks for a password is not supported."""
    welcome_limit_s: float = 20.0
    """Default 20 s. From dialling to the frontend's Welcome; a TLS handshake on a slow line
    and a frontend that is just starting fit in."""
    backoff_first_s: float = 1.0
    """Default 1 s. Longest wait after the first round of `addresses` that failed; it doubles
    with each more, and each wait is drawn between half and the whole of it, so that agents do
    not come together."""
    backoff_limit_s: float = 30.0
    """Default 30 s. Longest wait between rounds; a machine is back half a minute after its
    frontend at the latest."""
    backoff_slow_s: float = 60.0
    """Default 60 s. Wait after a refusal that only a person can lift, such as a wrong token,
    and after another agent of the same machine took the link for the first time."""
    superseded_limit_s: float = 3600.0
    """Default 3600 s. Longest wait after another agent of the same machine took the link. It grows
    from `backoff_slow_s` each time that happens, faster for an agent whose board does not answer,
    so that one of the two has the link most of the time and the other hardly disturbs it."""
    healthy_after_s: float = 60.0
    """Default 60 s. A link that lasted this long starts the back-off anew."""
    wanted_limit: int = 2000
    """Default 2000 drops. More in one Welcome are taken for a fault of the frontend."""
    outbox_limit: int = 4096
    """Default 4096 messages. Not yet taken by the network; more than a greeting can produce.
    A result beyond it is sent later, since the journal has it."""
    receive_bytes_limit: int = 256 * 1024
    """Default 256 KiB. Largest message taken; a Welcome with `wanted_limit` drops fits in."""
    goodbye_limit_s: float = 2.0
    """Default 2 s. For the frontend to end the stream after Goodbye, then it is cut."""

    def __post_init__(self) -> None:
        for name in (
            "welcome_limit_s",
            "backoff_first_s",
            "backoff_limit_s",
            "backoff_slow_s",
            "superseded_limit_s",
            "healthy_after_s",
            "wanted_limit",
            "outbox_limit",
            "receive_bytes_limit",
            "goodbye_limit_s",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if not 1 <= len(self.addresses) <= ADDRESSES_MAX or not all(self.addresses):
            raise ValueError(f"addresses must name 1 to {ADDRESSES_MAX} frontends")
        for address in self.addresses:
            if problem := address_problem(address):
                raise ValueError(f"addresses: {address!r} {problem}")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.insecure and self.ca_file:
            raise ValueError("insecure and ca_file exclude each other")
        if self.proxy is not None and not _is_proxy(self.proxy):
            raise ValueError("proxy must be http://host:port without a user, password or path")

    @property
    def plain_text(self) -> bool:
        """Whether the link is not encrypted."""
        if self.ca_file or self.cert_file:
            return False
        return self.insecure or all(map(_is_this_host, self.addresses))

    @property
    def token_path(self) -> Path | None:
        """Where the token is; None without one, which only a certificate makes up for."""
        if self.token_file is None and self.cert_file is None:
            return DEFAULT_TOKEN_FILE
        return self.token_file


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    rest = parts.path.rstrip("/") + parts.query + parts.fragment
    return parts.scheme == "http" and bool(parts.hostname and port) and "@" not in url and not rest


def _is_this_host(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_problem(address: str) -> str:
    """Returns why a frontend's address cannot be used; empty if it can.

    gRPC itself would take an invalid address for the name of a host and try to resolve it for ever,
    and would use port 443 if no port is given.

    Args:
        address: `host:port`, or another gRPC target.
    """
    if address.startswith(_SOCKETS):
        return ""
    resolver = _RESOLVERS.match(address)
    if resolver is None and (url := _URL.match(address)):
        return f"must be host:port, without {url[0]}"
    rest = address[resolver.end() if resolver else 0 :]
    several = resolver is not None and resolver[1] in ("ipv4", "ipv6")
    problems = map(_host_port_problem, rest.split(",") if several else [rest])
    return next(filter(None, problems), "")


def _host_port_problem(text: str) -> str:
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        if _BARE_IPV6.fullmatch(text):
            return "must have its IPv6 address in brackets, as in [2001:db8::1]:50051"
        return "must be host:port"
    port = found["port"]
    if not port:
        return "must have a port, as in frontend.example.org:50051"
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        return "must have a port from 1 to 65535"
    return ""
