"""Whose the files are that the agent makes."""

import os
from pathlib import Path


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Gives a file of root's to the owner of its folder.

    Otherwise a command that was run as root once would leave a file that the service's own user
    cannot open.

    Args:
        descriptor: Of the file, open.
        folder: Where it is.

    Raises:
        OSError: It cannot be done.
    """
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if os.fstat(descriptor).st_uid == 0 != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
