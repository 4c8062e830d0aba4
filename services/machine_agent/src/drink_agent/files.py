"""Files with special access rights: secrets, and files that root makes for the service's user."""

import os
import stat
from pathlib import Path

SECRET_BYTES_MAX = 4096
"""Largest size of a secret's file; a token has 43 characters."""


class SecretFileError(Exception):
    """A secret's file cannot be used; the message names the file and never its content."""


def read_secret(path: Path) -> str:
    """Returns the text of a secret's file without surrounding white space.

    Files in systemd's credentials directory are accepted with any mode: systemd makes them for this
    process alone, and shows their access list as group permissions.

    Raises:
        SecretFileError: It cannot be read, users other than its owner may read it, it is empty or
            too large, or it has anything but printable ASCII.
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


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Makes the owner of a folder the owner of a file that root has made there.

    Without it, a command that was run once as root would leave a file that the service's user
    cannot open.

    Args:
        descriptor: Descriptor of the open file.
        folder: The folder of the file.

    Raises:
        OSError: The owner cannot be changed.
    """
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if os.fstat(descriptor).st_uid == 0 != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
