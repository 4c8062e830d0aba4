"""argon2 password hashes, computed on separate threads so that the event loop is not blocked."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.system.fairness import FairTurns, Lane

log = structlog.get_logger(__name__)

T = TypeVar("T")

DECOY = (
    "$argon2id$v=19$m=65536,t=3,p=4$g39CTwhW9jauPA1PeeK/+Q"
    "$pOW3Rvy/xjzVa05/+IwQRvyKgOoyqaDHJM7lGG9mYZo"
)
"""Verified in place of a hash that does not exist, so that both take the same time."""


NO_LANE: Lane = ("", "")
"""The lane of hashes that are not computed for a login."""

WAITING_LOGGED_SHARE = 20
"""Divisor of `waiting_max`: from that many waiting hashes on, `passwords_busy` is logged. They are
ten of 200, which take half a second."""

BUSY_S = 60.0
"""Seconds between two `passwords_busy` lines."""


class Argon2Hasher:
    """Implements `domain.ports.PasswordHasher` with argon2id at RFC 9106's low-memory profile.

    Args:
        threads: Hashes computed at a time. Each takes about 50 ms of up to four cores, and 64 MiB
            of memory.
        waiting_max: Most hashes that are computed or wait; 200 keep the last one waiting for some
            10 s. They wait lane by lane, see `FairTurns`.
        niceness: How much lower than the process's own the threads' priority is.
    """

    def __init__(self, threads: int = 1, waiting_max: int = 200, niceness: int = 5) -> None:
        self._hasher = PasswordHasher()
        self._executor = ThreadPoolExecutor(
            threads,
            thread_name_prefix="password",
            initializer=_lower_priority,
            initargs=(niceness,),
        )
        self._turns = FairTurns(threads, waiting_max)
        self._waiting_logged = max(1, waiting_max // WAITING_LOGGED_SHARE)
        self._busy = LogRateLimiter(1, BUSY_S)

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(password), NO_LANE)

    async def verify(self, password_hash: str | None, password: str, lane: Lane = NO_LANE) -> bool:
        """Whether the password matches; takes as long for None as for a real hash.

        Raises:
            RateLimitedError: too many wait already.
        """
        fits = await self._run(lambda: self._fits(password_hash or DECOY, password), lane)
        return fits and password_hash is not None

    def close(self) -> None:
        """Ends the threads; waiting hashes are not computed."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], lane: Lane) -> T:
        self._log_waiting(lane)
        try:
            async with self._turns.turn(lane):
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except RateLimitedError:
            log.warning("passwords_crowded", lane=lane[1])
            raise

    def _log_waiting(self, lane: Lane) -> None:
        waiting = self._turns.waiting
        if waiting >= self._waiting_logged and (
            self._busy.passes(asyncio.get_running_loop().time()) is not None
        ):
            log.warning("passwords_busy", waiting=waiting, lane=lane[1])


def _lower_priority(niceness: int) -> None:
    """Lowers the priority of the current thread and of the threads that argon2 starts."""
    # On Linux each thread has a priority, and the threads that it starts inherit it.
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(now + niceness, 19))
