"""Files of one user: where they are, and writing them so that a crash leaves the old or the new."""

import os
import tempfile
from pathlib import Path


def config_folder() -> Path:
    """Folder of the settings (XDG Base Directory Specification)."""
    return _folder("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """Folder of tokens and pending purchases (XDG Base Directory Specification)."""
    return _folder("XDG_STATE_HOME", ".local/state")


def data_folder() -> Path:
    """Folder of what programs of this user share, such as manual pages (the same specification)."""
    return _base("XDG_DATA_HOME", ".local/share")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, durably: the old content or the new one stays.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def create_private(path: Path) -> int:
    """Creates an empty file that only its owner can read, durably; returns its descriptor.

    Raises:
        OSError: it cannot be made, or there is one.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _sync_folder(path.parent)
    return descriptor


def remove(path: Path) -> bool:
    """Removes a file durably; returns whether there was one."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    _sync_folder(path.parent)
    return True


def _folder(variable: str, default: str) -> Path:
    return _base(variable, default) / "drink"


def _base(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    # The specification says that a relative path is invalid and to be ignored.
    return Path(base) if Path(base).is_absolute() else Path.home() / default


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
