"""Texts in requests to a directory: DNs, filters and ids of entries."""

import re
from uuid import UUID

_SPECIAL_IN_FILTER = re.compile(rb"[^A-Za-z0-9_.,=@ -]")
_BINARY_UUIDS = {"objectguid"}
"""Attributes, in lower case, whose values are the 16 bytes of a UUID, in Windows' order."""

_DN_PART = re.compile(r"(?<!\\)[,+]")
_AROUND_EQUALS = re.compile(r"\s*=\s*")


def in_filter(value: str | bytes) -> str:
    """A value as it stands in a filter (RFC 4515): unusual bytes as a backslash and two digits."""
    raw = value.encode() if isinstance(value, str) else value
    return _SPECIAL_IN_FILTER.sub(lambda match: b"\\%02x" % match.group()[0], raw).decode("ascii")


def in_dn(value: str) -> str:
    """A value as it stands in a DN (RFC 4514), unusual bytes as a backslash and two digits."""
    escaped = re.sub(
        rb"[^A-Za-z0-9_.@-]", lambda match: b"\\%02x" % match.group()[0], value.encode()
    )
    return escaped.decode("ascii")


def same_dn(dn: str) -> str:
    """A form of a DN that is equal for DNs that differ in case and in blanks around their parts.

    Escapes are not taken apart: two spellings of one DN with different escapes differ here.
    """
    parts = (_AROUND_EQUALS.sub("=", part.strip(), count=1) for part in _DN_PART.split(dn))
    return ",".join(parts).casefold()


def id_of(attribute: str, value: bytes) -> str:
    """The id of an entry as text: a UUID for Active Directory's bytes, the text for others."""
    if attribute.lower() in _BINARY_UUIDS and len(value) == 16:
        return str(UUID(bytes_le=value))
    return value.decode("utf-8", "replace")


def id_in_filter(attribute: str, subject: str) -> str:
    """An id as it stands in a filter; the reverse of `id_of`."""
    if attribute.lower() in _BINARY_UUIDS:
        try:
            raw = UUID(subject).bytes_le
        except ValueError:
            return in_filter(subject)
        return "".join(f"\\{byte:02x}" for byte in raw)
    return in_filter(subject)
