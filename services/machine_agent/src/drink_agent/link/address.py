"""What an address of a frontend looks like."""

import re
from typing import Final

_SOCKETS: Final = ("unix:", "unix-abstract:")
"""Beginnings of gRPC targets that have no port."""

_RESOLVERS: Final = re.compile(r"(dns|ipv4|ipv6):(//[^/]*/)?")
"""Beginnings of gRPC targets that are followed by `host:port`."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLACE: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:/\s,@]+)(:(?P<port>[^/\s:,\[\]]*))?"
)
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")


def problem_of_address(address: str) -> str:
    """Returns what is wrong with a frontend's address, or nothing.

    gRPC itself takes a text that is none for the name of a host, fails to find it for ever, and
    takes port 443 where none is given.

    Args:
        address: `host:port`, or another gRPC target.
    """
    if address.startswith(_SOCKETS):
        return ""
    resolver = _RESOLVERS.match(address)
    if resolver is None and (url := _URL.match(address)):
        return f"must be host:port, without {url[0]}"
    places = address[resolver.end() if resolver else 0 :]
    if resolver and resolver[1] in ("ipv4", "ipv6"):
        problems = [_problem_of_place(place) for place in places.split(",")]
        return next(filter(None, problems), "")
    return _problem_of_place(places)


def _problem_of_place(place: str) -> str:
    found = _PLACE.fullmatch(place)
    if found is None:
        if _BARE_IPV6.fullmatch(place):
            return "must have its IPv6 address in brackets, as in [2001:db8::1]:50051"
        return "must be host:port"
    port = found["port"]
    if not port:
        return "must have a port, as in frontend.example.org:50051"
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        return "must have a port from 1 to 65535"
    return ""
