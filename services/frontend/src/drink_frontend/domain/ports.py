"""Interfaces of the use cases to clock, randomness, password hashes and a directory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from drink_frontend.domain.identities import Person, Presence


class Clock(Protocol):
    """Time. Limits and time-outs use `monotonic`; `now_ms` is for people and schedules."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""


class Randomness(Protocol):
    """Ids and secrets."""

    def drop_id(self) -> str:
        """A new drop id: 26 characters of [0-9A-Z] that sort by time, as exactly as the clock."""

    def account_id(self) -> str:
        """A new id of a user's account, of which `check_account_reference` has the pattern."""

    def id(self) -> str:
        """A new id of anything but a drop."""

    def token(self) -> str:
        """A new secret with 256 random bits, in URL-safe characters."""


class PasswordHasher(Protocol):
    """Password hashes, computed without blocking the event loop."""

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many hashes are waiting.
        """

    async def verify(
        self, password_hash: str | None, password: str, lane: tuple[str, str] = ("", "")
    ) -> bool:
        """Whether the password is right; takes as long for None as for a real hash.

        Args:
            password_hash: Hash of the account; None if there is no such account.
            password: The password that was given.
            lane: Group of this call: waiting groups are served in turn, one hash each.

        Raises:
            RateLimitedError: too many hashes are waiting.
        """


class Directory(Protocol):
    """A directory of people with passwords, such as LDAP, asked without blocking the event loop.

    Attributes:
        source: The source of its identities.
        creates_accounts: Whether who logs in for the first time gets an account.
    """

    source: str
    creates_accounts: bool

    async def log_in(self, name: str, password: str, lane: tuple[str, str]) -> Person | None:
        """Whom it knows by a name and password; None if they are wrong.

        Args:
            name: The name, as `check_account` takes it.
            password: The password that was given.
            lane: Group of this call: waiting groups are served in turn.

        Raises:
            NotMemberError: they are right, but the person may not log in here.
            DirectoryUnavailableError: the directory did not say.
            RateLimitedError: too many wait already.
        """

    async def present(self, subjects: Sequence[str]) -> Mapping[str, Presence]:
        """Which persons it still knows, by their ids.

        Raises:
            DirectoryUnavailableError: the directory did not say it of all.
        """
