"""Bearer tokens as plain values. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass, field
from enum import StrEnum

from drink_frontend.domain.durations import DAY_MS
from drink_frontend.domain.entities import Account

TOKEN_ID_DIGITS = 16
"""Hexadecimal digits of the id of a bearer token: 64 bits, which no two tokens share by chance."""


def day_of(ms: int) -> int:
    """The beginning of a time's day, UTC."""
    return ms - ms % DAY_MS


class Scope(StrEnum):
    """What a bearer token may be used for; drink.v1.TokenScope documents each value."""

    ALL = "ALL"
    DROP = "DROP"
    READ = "READ"
    NOTIFY = "NOTIFY"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token as it is stored, without the secret itself.

    Attributes:
        digest: SHA-256 of the token in hexadecimal digits.
        account: Name of its account.
        scope: What it may be used for.
        name: What its owner calls it; None if it has no name.
        created_ms: When it was issued; None for a token of release 0.1.0.
        used_ms: Beginning of the day (UTC) on which it was issued or last used; None for a token
            of release 0.1.0 that was not used since.
        expires_ms: When it is refused.
        kiosk: Number of the kiosk at which it was issued; None for a login elsewhere.
        buys_until_ms: When it buys nothing any more; None for as long as it is good.
    """

    digest: str = field(repr=False)
    account: str
    scope: Scope
    name: str | None
    created_ms: int | None
    used_ms: int | None
    expires_ms: int
    kiosk: int | None = None
    buys_until_ms: int | None = None

    @property
    def id(self) -> str:
        """Names the token among those of its account; the token cannot be computed from it."""
        return self.digest[:TOKEN_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class KioskLogin:
    """Where and for how long the token of a login at a kiosk buys.

    Attributes:
        kiosk: Number of the kiosk.
        machine: The only machine at which it buys.
        buys_until_ms: When it buys nothing any more.
    """

    kiosk: int
    machine: str
    buys_until_ms: int


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a valid bearer token stands for.

    Attributes:
        account: The account.
        scope: What the token may be used for.
        used_ms: As in AccessToken.
        kiosk: What limits a login at a kiosk; None for a login elsewhere.
    """

    account: Account
    scope: Scope
    used_ms: int | None
    kiosk: KioskLogin | None = None

    def is_used_before(self, now_ms: int) -> bool:
        """Whether the day of the token's last use is an earlier one than today.

        Never of a login at a kiosk, which lasts for minutes.
        """
        if self.kiosk is not None:
            return False
        return self.used_ms is None or self.used_ms < day_of(now_ms)
