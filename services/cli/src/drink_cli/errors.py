"""Errors of the command line, and the exit code of each."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """Exit codes. Scripts rely on them; docs/cli.md lists them.

    Attributes:
        explanation: What it means, for a person.
    """

    explanation: str

    def __new__(cls, code: int, explanation: str = "") -> Self:
        """The code is the value."""
        exit_ = int.__new__(cls, code)
        exit_._value_ = code
        exit_.explanation = explanation
        return exit_

    DONE = 0, "The command did what was asked."
    NOT_DISPENSED = 1, "The drop ended without a can, and nothing was paid."
    USAGE = 2, "The command line is wrong."
    UNKNOWN = 3, "Nobody can tell whether the can fell; the credits are held."
    UNREACHABLE = (
        4,
        "The server did not answer; a drop may be under way, which drink drop --resume finds out.",
    )
    LOGIN = 5, "Not logged in, or the login is no longer good."
    FORBIDDEN = 6, "The account may not do this."
    NOT_FOUND = 7, "The machine, slot, account or drop does not exist."
    REFUSED = 8, "The server refused: too few credits, an empty slot, a machine out of service."
    BUSY = 9, "Too many requests or drops wait; the same command may succeed later."
    FAULT = 10, "A fault of the server or of this program, or a server of another version."
    PENDING = 11, "The drop is under way, and the command did not wait for its end."
    INTERRUPTED = 130, "Ctrl-C."
    PIPE_CLOSED = 141, "Whoever read the output went away."


CODES: Mapping[str, Exit] = {
    "INVALID_ARGUMENT": Exit.USAGE,
    "UNAUTHENTICATED": Exit.LOGIN,
    "PERMISSION_DENIED": Exit.FORBIDDEN,
    "NOT_FOUND": Exit.NOT_FOUND,
    "FAILED_PRECONDITION": Exit.REFUSED,
    "ALREADY_EXISTS": Exit.REFUSED,
    "RESOURCE_EXHAUSTED": Exit.BUSY,
    "UNAVAILABLE": Exit.UNREACHABLE,
    "DEADLINE_EXCEEDED": Exit.UNREACHABLE,
}
"""Exit code by gRPC status; every other status is a fault."""

REASONS: Mapping[str, Exit] = {
    "DIRECTORY_UNAVAILABLE": Exit.BUSY,
    "PROVIDER_UNAVAILABLE": Exit.BUSY,
    "MACHINE_OFFLINE": Exit.REFUSED,
    "BOARD_UNREACHABLE": Exit.REFUSED,
}
"""Exit code by the reason of an error, where that of its status would be wrong: the server did
answer, although the status is UNAVAILABLE."""


class CommandError(Exception):
    """The command failed.

    Args:
        message: What happened and what helps, for a person.
        code: Exit code.
    """

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


class CallError(CommandError):
    """The server refused a call, or did not answer it.

    Args:
        status: Name of the gRPC status, such as `NOT_FOUND`.
        reason: Reason of the error's `google.rpc.ErrorInfo`; empty if it has none.
        message: The server's message, for a person.
        metadata: Facts of the ErrorInfo, such as `price`.
    """

    def __init__(self, status: str, reason: str, message: str, metadata: Mapping[str, str]) -> None:
        code = REASONS.get(reason) or CODES.get(status, Exit.FAULT)
        super().__init__(message, code)
        self.status = status
        self.reason = reason
        self.metadata = metadata

    @property
    def is_lost(self) -> bool:
        """Whether the call may have been carried out although no answer came."""
        return self.code is Exit.UNREACHABLE and self.reason != "SHUTTING_DOWN"
