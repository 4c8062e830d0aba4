"""Settings of the link: addresses of the frontends, credentials and limits."""

import ipaddress
import re
from dataclasses import dataclass, fields
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
    """Addresses, credentials and limits of the link to the frontend."""

    addresses: tuple[str, ...] = ("localhost:50051",)
    """Default localhost:50051. `host:port` of each frontend, or any gRPC target; at most 16. The
    agent keeps one link. It starts with an address drawn at random and dials the next one when a
    link fails; after all have failed it waits. One name with several IP addresses also works."""
    token_file: Path | None = None
    """Default /etc/drink-machine-agent/token, or none with `cert_file`. File with the machine's
    token; only its owner may have access. It is read for every link, so a new token needs no
    restart."""
    insecure: bool = False
    """Default false. Allows a link without encryption to another host; everyone on its network path
    can then read the token. Without `ca_file` and `cert_file`, links are never encrypted if all
    addresses are loopback addresses."""
    ca_file: Path | None = None
    """Default none: the system's authorities, as OpenSSL finds them (`SSL_CERT_FILE` and
    `SSL_CERT_DIR` select others), or gRPC's own if there are none. PEM file of the authority that
    signed the frontend's certificate."""
    cert_file: Path | None = None
    """Default none. PEM file of the machine's certificate, for a frontend that requires one. All
    PEM files are read for every link."""
    key_file: Path | None = None
    """Default none. PEM file of the key of `cert_file`."""
    proxy: str | None = None
    """Default none: links are dialled directly; `http_proxy` and similar environment variables are
    ignored. `http://host:port` of an HTTP proxy that allows CONNECT to the frontends' addresses and
    resolves their names. Host names in the environment variable `no_proxy` are still dialled
    directly. A proxy that requires a password is not supported."""
    welcome_limit_s: float = 20.0
    """Default 20 s. Longest time from dialling to the frontend's Welcome. It is enough for a TLS
    handshake on a slow line and for a frontend that is just starting."""
    backoff_first_s: float = 1.0
    """Default 1 s. Longest wait after the first failed round of `addresses`. It doubles with each
    further round. Each wait is drawn between half of it and the whole, so that agents do not dial
    at the same moment."""
    backoff_limit_s: float = 30.0
    """Default 30 s. Longest wait between rounds, so a machine is linked at most half a minute after
    its frontend has started."""
    backoff_slow_s: float = 60.0
    """Default 60 s. Wait after a refusal that only a person can resolve, such as a wrong token, and
    after another agent of the same machine has taken the link for the first time."""
    superseded_limit_s: float = 3600.0
    """Default 3600 s. Longest wait after another agent of the same machine has taken the link. The
    wait starts with `backoff_slow_s` and grows each time this happens, faster for an agent whose
    board does not answer, so that one of the two agents has the link nearly always."""
    healthy_after_s: float = 60.0
    """Default 60 s. A link that lasted this long resets the back-off."""
    wanted_limit: int = 2000
    """Default 2000 drops. More drops in one Welcome are treated as a fault of the frontend."""
    outbox_limit: int = 4096
    """Default 4096 messages. Queued messages of one link; more than the answers to a Welcome. A
    result above the limit is sent on a later link, because the journal has it."""
    receive_bytes_limit: int = 256 * 1024
    """Default 256 KiB. Largest accepted message; a Welcome with `wanted_limit` drops is smaller."""
    goodbye_limit_s: float = 2.0
    """Default 2 s. Longest wait for the frontend to end the stream after Goodbye; then the agent
    ends it."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{each.name} must be above 0")
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
        """Whether the link is unencrypted."""
        if self.ca_file or self.cert_file:
            return False
        return self.insecure or all(map(_is_this_host, self.addresses))

    @property
    def token_path(self) -> Path | None:
        """Path of the token's file; None if a certificate is used instead of a token."""
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
