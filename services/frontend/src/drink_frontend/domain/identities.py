"""Identities: how other sources than the own database know the owners of accounts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.errors import FieldInvalidError

IDENTITIES_MAX = 20
"""Most identities of one account: more sources than any house has; all fit on one page."""

_VISIBLE = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Identity:
    """How a source knows the owner of an account.

    Attributes:
        source: Names the source: `ldap:<name>`, or the issuer of OpenID Connect.
        subject: Names the person there for ever: the UUID of an entry, or the claim `sub`.
        account: Id of the account.
        name: With which the person last logged in there; None before.
        created_ms: When it was linked.
        login_ms: When its owner last logged in by it; None before.
        admin: Whether the account's right to administer comes from this source.
        left_ms: Since when the source does not know the person any more, if the account was closed
            for that reason; None otherwise.
        cards: Digests of the cards that come from the source, separated by blanks.
    """

    source: str
    subject: str
    account: str
    name: str | None
    created_ms: int
    login_ms: int | None = None
    admin: bool = False
    left_ms: int | None = None
    cards: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """What a source says of somebody who has proven to be that person.

    Attributes:
        source: As `Identity.source`.
        subject: As `Identity.subject`.
        name: The name with which the person logs in there, in the source's spelling.
        display_name: What to call the person; empty if the source does not say.
        is_administrator: Whether the source gives the right to administer.
        cards: Kind and number of each card that the source knows; None if it is not asked for
            cards, so that those of before stay.
    """

    source: str
    subject: str
    name: str
    display_name: str = ""
    is_administrator: bool = False
    cards: Sequence[tuple[CardKind, str]] | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """What a source says of somebody whom it knows.

    Attributes:
        is_member: Whether the person may log in here; None if that was not found out.
        is_administrator: Whether the source gives the right to administer; likewise.
    """

    is_member: bool | None
    is_administrator: bool | None


def check_identity_part(value: str, field: str) -> str:
    """Returns a valid source or subject: 1 to 255 visible characters of ASCII.

    Raises:
        FieldInvalidError: it is anything else.
    """
    if not _VISIBLE.fullmatch(value):
        raise FieldInvalidError(field, "must be 1 to 255 visible characters of ASCII")
    return value
