"""A bounded cache, without time or threads."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Values by key. When it is full, the value that was kept first makes room.

    Args:
        size_max: Most values kept.
    """

    def __init__(self, size_max: int) -> None:
        assert size_max > 0
        self._size_max = size_max
        self._values: dict[K, V] = {}

    def get_cached(self, key: K) -> V | None:
        """The value, if it is in memory."""
        return self._values.get(key)

    def keep(self, key: K, value: V) -> None:
        """Keeps a value in place of an earlier one."""
        if self._values.pop(key, None) is None and len(self._values) >= self._size_max:
            del self._values[next(iter(self._values))]
        self._values[key] = value

    def forget(self, *keys: K) -> None:
        """Removes the values of these keys."""
        for key in keys:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Removes all values."""
        self._values.clear()
