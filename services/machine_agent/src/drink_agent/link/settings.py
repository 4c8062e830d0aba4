"""Where the frontends are, how the agent proves who it is, and how patient it is."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from drink_agent.link.address import problem_of_address

ADDRESSES_MAX = 16
"""Most addresses. A round in which all of them swallow what is sent takes five minutes then."""

DEFAULT_TOKEN_FILE = Path("/etc/drink-machine-agent/token")
"""Where the token is if nothing else is said."""


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
            if problem := problem_of_address(address):
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
