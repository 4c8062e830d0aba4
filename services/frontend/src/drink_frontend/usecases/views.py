"""Rows of the database in memory, until a commit changes them.

What is read from here is never older than what this frontend has answered to anybody: the rows of a
commit are replaced or removed before its caller is answered. Commits of other processes take effect
once this one is notified. So nothing that moves credits or cans is decided by what is read here.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from drink_frontend.domain.cache import Cache
from drink_frontend.domain.entities import Account, Machine
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.changes import Changes, ChangeSet

V = TypeVar("V")

ACCOUNTS_MAX = 10_000
"""Most accounts kept in memory, about 5 MB: one for each session that a frontend can serve."""

MACHINES_MAX = 1_000
"""Most machines kept in memory, about 3 KB each; more than one frontend has links to."""


class ReadThroughCache(Cache[str, V]):
    """Values by name, read when they are not in memory.

    Args:
        read: Reads the present value; an error that it raises is passed on and not kept.
        size_max: Most values kept.
    """

    def __init__(self, read: Callable[[str], Awaitable[V]], size_max: int) -> None:
        super().__init__(size_max)
        self._read = read
        self._reading: dict[str, object] = {}

    async def get(self, name: str) -> V:
        """The value, from memory or else read."""
        cached = self.get_cached(name)
        if cached is not None:
            return cached
        # A value is kept only if no change of it was reported while it was read.
        mine = self._reading[name] = object()
        try:
            value = await self._read(name)
            if self._reading.get(name) is mine:
                super().keep(name, value)
        finally:
            if self._reading.get(name) is mine:
                del self._reading[name]
        return value

    def keep(self, key: str, value: V) -> None:
        """Replaces a value that has changed."""
        self._reading.pop(key, None)
        super().keep(key, value)

    def forget(self, *keys: str) -> None:
        """Removes values that have changed; reads of them under way are not kept."""
        for key in keys:
            self._reading.pop(key, None)
        super().forget(*keys)

    def clear(self) -> None:
        """Removes all values, since any may have changed."""
        self._reading.clear()
        super().clear()


class Views:
    """Accounts and machines for display.

    Args:
        changes: Reports what commits change.
        account: Reads a user's account.
        machine: Reads a machine.

    Attributes:
        accounts: Users' accounts.
        machines: Machines with their slots. Their `journal_sequence` may lag behind.
    """

    def __init__(
        self,
        changes: Changes,
        account: Callable[[str], Awaitable[Account]],
        machine: Callable[[str], Awaitable[Machine]],
    ) -> None:
        self.accounts = ReadThroughCache(account, ACCOUNTS_MAX)
        self.machines = ReadThroughCache(machine, MACHINES_MAX)
        changes.add_listener(self._apply)

    def _apply(self, changed: ChangeSet | None) -> None:
        if changed is None:
            self.accounts.clear()
            self.machines.clear()
            return
        self.machines.forget(*changed.machines)
        for name, account in changed.accounts.items():
            if account is not None and account.kind is AccountKind.USER:
                self.accounts.keep(name, account)
            else:
                self.accounts.forget(name)
