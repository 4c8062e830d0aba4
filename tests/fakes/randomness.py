"""Ids and secrets that count up; implements the frontend's `domain.ports.Randomness`."""


class CountingRandomness:
    """Ids in order, so that a failed test reads the same each time.

    Args:
        prefix: Sets the ids of several instances apart; of [0-9A-Z].
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._count = 0

    def drop_id(self) -> str:
        return f"{self._prefix}{self._next():0{26 - len(self._prefix)}d}"

    def account_id(self) -> str:
        return f"~{self._prefix}{self._next():0{10 - len(self._prefix)}d}"

    def id(self) -> str:
        return f"{self._prefix}id{self._next()}"

    def token(self) -> str:
        return f"{self._prefix}token{self._next():0>38}"

    def _next(self) -> int:
        self._count += 1
        return self._count
