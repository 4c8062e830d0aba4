"""Ids and secrets from the system's random source."""

import secrets
import time
from base64 import b32encode

from drink_frontend.domain.entities import ID_BEGINS
from drink_frontend.domain.limits import ACCOUNT_ID_DIGITS

_RANDOM_BITS = 80
_ID_BYTES = 16
_ULID_LENGTH = 26
_PADDED_BYTES = 20
"""Bytes of an id that base 32 encodes without padding."""
_CROCKFORD = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)


class SystemRandomness:
    """Implements `domain.ports.Randomness`.

    Ids begin with the time, so that ids of about the same time are close to each other in an index.
    """

    def drop_id(self) -> str:
        """A ULID: 48 bits of milliseconds and 80 random ones, in Crockford's base 32.

        Its characters are easy to read aloud.
        """
        # 26 base 32 digits are 130 bits: two zero bits and the 128 of the id. Further digits, which
        # encode the padding, are cut off.
        padded = _timely() << 8 * (_PADDED_BYTES - _ID_BYTES) - 2
        digits = b32encode(padded.to_bytes(_PADDED_BYTES, "big")).translate(_CROCKFORD)
        return digits[:_ULID_LENGTH].decode("ascii")

    def account_id(self) -> str:
        """50 random bits: ten thousand accounts have an id in common once in 20 million times."""
        return f"{ID_BEGINS}{self.drop_id()[-ACCOUNT_ID_DIGITS:]}"

    def id(self) -> str:
        """48 bits of milliseconds and 80 random ones, as 32 hexadecimal digits."""
        return f"{_timely():032x}"

    def token(self) -> str:
        """43 URL-safe characters with 256 random bits."""
        return secrets.token_urlsafe(32)


def _timely() -> int:
    return (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
