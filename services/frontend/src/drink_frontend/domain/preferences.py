"""What people prefer: favourites, whether they appear in rankings, their language."""

import re
from dataclasses import dataclass

from drink_frontend.domain.errors import FieldInvalidError

FAVOURITES_MAX = 20
"""Most favourites of one account: as many as a person chooses from at one glance."""

LANGUAGE_MAX = 35
"""Most characters of a language tag: what RFC 5646 (4.4.1) advises to have room for."""

_TAG = re.compile(
    # language, with up to three extended subtags after two or three letters
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"
    r"(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<variants>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"(?P<extensions>(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*)"
    r"(?:-x(?:-[a-z0-9]{1,8})+)?"
)
"""A well-formed `langtag` of RFC 5646 (2.1) in lower case; grandfathered tags are not taken."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one person prefers.

    Attributes:
        favourites: Resource names of items and slots, in the person's order.
        ranked: Whether the account may appear in rankings.
        language: Language tag of BCP 47; empty without one.
    """

    favourites: tuple[str, ...] = ()
    ranked: bool = False
    language: str = ""


def check_language(value: str) -> str:
    """Returns a language tag in its usual case, such as `de-AT`.

    Raises:
        FieldInvalidError: it is no well-formed tag of BCP 47.
    """
    lower = value.lower()
    tag = _TAG.fullmatch(lower) if len(value) <= LANGUAGE_MAX and value.isascii() else None
    if tag is None or _repeats(tag["variants"], tag["extensions"]):
        raise FieldInvalidError(
            "language",
            f"must be a tag of BCP 47, such as de or en-GB, of at most {LANGUAGE_MAX} characters",
        )
    parts = lower.split("-")
    # The language, which stands first, may have the same letters.
    if tag["script"]:
        parts[parts.index(tag["script"], 1)] = tag["script"].title()
    if tag["region"]:
        parts[parts.index(tag["region"], 1)] = tag["region"].upper()
    return "-".join(parts)


def _repeats(variants: str, extensions: str) -> bool:
    """Whether a variant, or the letter of an extension, stands in a tag twice (2.2.5, 2.2.6)."""
    singletons = [part for part in extensions.split("-") if len(part) == 1]
    return any(len(set(each)) < len(each) for each in (variants.split("-")[1:], singletons))
