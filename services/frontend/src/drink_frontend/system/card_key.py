"""The file with the key for the numbers of cards."""

from pathlib import Path

from drink_frontend.domain.cards import CardKey

BYTES_MIN = 32
"""Bytes of the shortest key file: as many as the hash has, if they are random."""

BYTES_MAX = 1_024
"""Bytes of the longest key file; a longer one is probably another file."""


def read_card_key(path: Path | None) -> CardKey | None:
    """The key in a file; blank characters at its end do not count. None without a path.

    Raises:
        OSError: the file cannot be read, or is too short or too long.
    """
    if path is None:
        return None
    with path.open("rb") as file:
        secret = file.read(BYTES_MAX + 1)
    if len(secret) > BYTES_MAX:
        raise OSError(f"{path} has more than {BYTES_MAX} bytes: it is no key for cards")
    secret = secret.rstrip()
    if len(secret) < BYTES_MIN:
        raise OSError(f"{path} has fewer than {BYTES_MIN} bytes: it is no key for cards")
    return CardKey(secret)
