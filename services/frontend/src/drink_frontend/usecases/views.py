"""Accounts and machines to be shown, from memory until they change.

What is shown here is never older than what this frontend has told anybody: a commit's rows are
replaced, or forgotten, before anybody is answered who waits for it. What other processes commit is
shown once this one hears of it. So nothing that moves credits or cans is decided by what is seen
here.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from drink_frontend.domain.entities import Account, Machine
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.changes import Changes, ChangeSet

T = TypeVar("T")

ACCOUNTS_MAX = 10_000
"""Accounts kept in memory, some 5 MB; as many as sessions that a frontend serves."""

MACHINES_MAX = 1_000
"""Machines kept in memory, some 3 KB each with ten slots; more than one frontend has links of."""


class View(Generic[T]):
    """Values as they were last read, each until it may have changed.

    Args:
        read: Reads the present value; what it raises is raised and not kept.
        kept_max: Most values kept; the one kept longest makes room.
    """

    def __init__(self, read: Callable[[str], Awaitable[T]], kept_max: int) -> None:
        assert kept_max > 0
        self._read = read
        self._kept_max = kept_max
        self._kept: dict[str, T] = {}
        self._reading: dict[str, object] = {}

    def get_cached(self, name: str) -> T | None:
        """The value, if it is in memory."""
        return self._kept.get(name)

    async def get(self, name: str) -> T:
        """The value, from memory or else read."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        # What is read now is worth keeping only if it is not forgotten before it is here.
        mine = self._reading[name] = object()
        try:
            value = await self._read(name)
            if self._reading.get(name) is mine:
                self._keep(name, value)
        finally:
            if self._reading.get(name) is mine:
                del self._reading[name]
        return value

    def forget(self, names: Iterable[str]) -> None:
        """These have changed; reads under way may have missed it."""
        for name in names:
            self._kept.pop(name, None)
            self._reading.pop(name, None)

    def keep(self, name: str, value: T) -> None:
        """It has changed, and this is what it is now."""
        self.forget((name,))
        self._keep(name, value)

    def forget_all(self) -> None:
        """Anything may have changed."""
        self._kept.clear()
        self._reading.clear()

    def _keep(self, name: str, value: T) -> None:
        if len(self._kept) >= self._kept_max:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = value


class Views:
    """What is shown of accounts and machines.

    Args:
        changes: Tells what has changed.
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
        self.accounts = View(account, ACCOUNTS_MAX)
        self.machines = View(machine, MACHINES_MAX)
        changes.add_listener(self._hear)

    def _hear(self, changed: ChangeSet | None) -> None:
        if changed is None:
            self.accounts.forget_all()
            self.machines.forget_all()
            return
        self.machines.forget(changed.machines)
        for name, account in changed.accounts.items():
            if account is not None and account.kind is AccountKind.USER:
                self.accounts.keep(name, account)
            else:
                self.accounts.forget((name,))
