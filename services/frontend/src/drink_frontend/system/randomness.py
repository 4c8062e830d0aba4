"""Ids and secrets from the system's random source."""

import secrets
import time
import uuid

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
_ID_LENGTH = 26


class SystemRandomness:
    """Implements `domain.ports.Randomness`."""

    def drop_id(self) -> str:
        """A ULID: 48 bits of milliseconds and 80 random ones, in Crockford's base 32.

        Neighbours in time are neighbours in the index, and a person can read one out.
        """
        value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(_ID_LENGTH)))

    def id(self) -> str:
        """A random UUID, 32 hexadecimal digits."""
        return uuid.uuid4().hex

    def token(self) -> str:
        """43 URL-safe characters with 256 random bits."""
        return secrets.token_urlsafe(32)
