"""Client addresses as rate and connection limits count them.

All limits count by `place`, so that a client cannot evade a limit with another spelling of its
address or with another address of its own network.
"""

import ipaddress

IPV6_PLACE_BITS = 64
"""Leading bits of an IPv6 address that count as one place. A host chooses the other 64 itself."""

IPV6_SITE_BITS = 48
"""Leading bits of an IPv6 address that one customer of a provider usually has (RFC 6177)."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def normalized(address: str) -> str:
    """The canonical spelling of an IP address, without a zone; an IPv4-mapped one as IPv4.

    A text that is no IP address, such as `local` for a Unix socket, is returned unchanged.
    """
    parsed = _parsed(address)
    return address if parsed is None else str(parsed)


def is_address(text: str) -> bool:
    """Whether the text is an IP address and nothing else: no port, no brackets, no name."""
    return _parsed(text) is not None


def place(address: str) -> str:
    """The client as limits count it: an IPv4 address, or the /64 network of an IPv6 address."""
    return _network(address, IPV6_PLACE_BITS)


def site(address: str) -> str:
    """A provider's customer: an IPv4 address, or the /48 network of an IPv6 address."""
    return _network(address, IPV6_SITE_BITS)


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks."""
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in networks
    )


def _network(address: str, bits: int) -> str:
    parsed = _parsed(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), bits), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if parsed.version == 4:
        return parsed
    if parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    # Without the zone, which names an interface of this host and not the client.
    return ipaddress.IPv6Address(int(parsed))
