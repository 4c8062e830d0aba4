"""Permits that end when a test says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drink_frontend.usecases.permits import Permit


class HandPermits:
    """The permits that are held; implements what both edges ask of `usecases.permits.Permits`.

    Attributes:
        held_by: Permits that are held, in order.
    """

    def __init__(self) -> None:
        self._holds: dict[object, tuple[Permit, Callable[[], None]]] = {}

    @property
    def held_by(self) -> list[Permit]:
        return [permit for permit, _ in self._holds.values()]

    def hold(self, permit: Permit, end: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._holds[key] = (permit, end)
        return lambda: self._holds.pop(key, None) and None

    @contextmanager
    def held(self, permit: Permit, end: Callable[[], None]) -> Iterator[None]:
        give_back = self.hold(permit, end)
        try:
            yield
        finally:
            give_back()

    def revoke(self, account: str) -> None:
        """Ends every permit of the account."""
        for key, (permit, end) in list(self._holds.items()):
            if permit.account == account:
                del self._holds[key]
                end()
