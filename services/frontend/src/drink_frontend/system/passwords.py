"""argon2 password hashes, computed on threads of their own so that they block nobody."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from drink_frontend.domain.errors import RateLimitedError

T = TypeVar("T")

DECOY = (
    "$argon2id$v=19$m=65536,t=3,p=4$g39CTwhW9jauPA1PeeK/+Q"
    "$pOW3Rvy/xjzVa05/+IwQRvyKgOoyqaDHJM7lGG9mYZo"
)
"""Verified in place of a hash that does not exist, so that both take the same time."""


class Argon2Hasher:
    """Implements `domain.ports.PasswordHasher` with argon2id at RFC 9106's low-memory profile.

    Args:
        threads: Hashes computed at a time. Each takes about 50 ms and 64 MiB; two leave a small
            computer's other cores to the drops.
        waiting_max: Most hashes that may wait; 200 keep the last one waiting for some 5 s.
    """

    def __init__(self, threads: int = 2, waiting_max: int = 200) -> None:
        self._hasher = PasswordHasher()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._waiting_max = waiting_max
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; takes as long for None as for a real hash.

        Raises:
            RateLimitedError: too many wait already.
        """
        fits = await self._run(lambda: self._fits(password_hash or DECOY, password))
        return fits and password_hash is not None

    def close(self) -> None:
        """Ends the threads; what waits is not computed."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._waiting_max:
            raise RateLimitedError("too many logins at once", retry_after_seconds=1)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1
