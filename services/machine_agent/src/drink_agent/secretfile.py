"""Secrets read from files that nobody else can read."""

import os
import stat
from pathlib import Path

SECRET_BYTES_MAX = 4096
"""Longest secret; a token has 43 characters."""


class SecretFileError(Exception):
    """A secret's file cannot be used; the message names the file and never its content."""


def read_secret(path: Path) -> str:
    """Returns a file's text without the blanks around it.

    Files in systemd's credentials directory are trusted whatever their mode: they are made for
    this process alone, and their access list shows as group permissions.

    Raises:
        SecretFileError: It cannot be read, others than its owner may read it, or it holds
            nothing, too much, or more than printable ASCII.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & 0o077 and not _is_credential(path):
                raise SecretFileError(
                    f"{path} may be read by others; its mode must be 0600 or less"
                )
            data = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}") from error
    text = data.decode("ascii", "replace").strip()
    if not text or len(data) > SECRET_BYTES_MAX or not (text.isascii() and text.isprintable()):
        raise SecretFileError(f"{path} does not hold one line of printable ASCII")
    return text


def _is_credential(path: Path) -> bool:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(directory) and path.parent == Path(str(directory))
