"""Asks the running agent how it is."""

import errno
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

ANSWER_LIMIT_S = 5.0
"""An agent that takes longer hangs; its watchdog will notice too."""

ANSWER_BYTES_MAX = 1 << 20
"""Longest answer read."""


class NoAnswerError(Exception):
    """The agent does not run, or hangs."""


def ask(path: Path) -> dict[str, object]:
    """Returns what the agent says of itself.

    Args:
        path: Of its socket.

    Raises:
        NoAnswerError: Nobody answers there in time.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_LIMIT_S)
            connection.connect(str(path))
            with connection.makefile("rb") as answer:
                told = json.loads(answer.read(ANSWER_BYTES_MAX))
    except OSError as error:
        raise NoAnswerError(f"no agent answers at {path}: {_reason(error)}") from error
    except ValueError as error:
        raise NoAnswerError(f"what answers at {path} is no agent") from error
    if not isinstance(told, dict):
        raise NoAnswerError(f"what answers at {path} is no agent")
    return told


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ECONNREFUSED:
            return "it does not run, or has another journal.path"
        case errno.EACCES | errno.EPERM:
            return "this user may not ask it; ask as root, or as the service's user"
        case None:
            return f"it has not answered within {ANSWER_LIMIT_S:g} s"
        case _:
            return str(error.strerror)


def is_ready(status: Mapping[str, object]) -> bool:
    """Whether a drop asked for now could reach the motor: link and board are up."""
    match status:
        case {"link": {"up": True}, "board": {"ready": True}, "stopping": False}:
            return True
        case _:
            return False


def lines_of(status: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yields `key: value` lines for a person."""
    for key, value in status.items():
        if isinstance(value, dict):
            yield from lines_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {'-' if value is None else value}"
