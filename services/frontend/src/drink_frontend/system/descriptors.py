"""The limit of open files, and its division among the kinds of connections.

Only client connections can use up all descriptors, and a process without free descriptors can
neither accept a link nor open the database again. So a part is reserved for everything that is not
a client connection, and the rest is divided before the first connection is accepted.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass

UNLIMITED = 1 << 30
"""The limit that is assumed on a system without one."""


def raise_file_limit() -> int:
    """Raises the limit of open files as far as the process may.

    Returns:
        How many files the process may have open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else UNLIMITED


@dataclass(frozen=True, slots=True)
class DescriptorBudget:
    """Division of the open files of the process.

    Attributes:
        open_max: Files that the process may have open.
        reserved: Files that client connections leave to everything else: the database, the log,
            agents' links, operators' calls, listening sockets.
        sessions: Most session connections.
        calls: Most gRPC connections of buyers.
    """

    open_max: int
    reserved: int
    sessions: int
    calls: int


def share_out(open_max: int, *, reserved: int, sessions: int, calls: int) -> DescriptorBudget:
    """Divides the open files.

    Each kind of connection gets what it wants if everything fits. Otherwise no kind gets more than
    an equal share as long as another kind wants more than it gets.

    Args:
        open_max: Files that the process may have open.
        reserved: Files to keep for everything else; at most half of all are kept.
        sessions: Session connections wanted.
        calls: gRPC connections of buyers wanted.
    """
    kept = min(reserved, open_max // 2)
    for_sessions, for_calls = _fair_shares(open_max - kept, (sessions, calls))
    return DescriptorBudget(open_max, kept, for_sessions, for_calls)


def _fair_shares(available: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """Shares of `available`, at least 1 each: small wants in full, the others equal shares."""
    shares = [0] * len(wanted)
    left = available
    by_want = sorted(range(len(wanted)), key=lambda number: wanted[number])
    for done, number in enumerate(by_want):
        shares[number] = max(1, min(wanted[number], left // (len(wanted) - done)))
        left -= shares[number]
    return tuple(shares)
