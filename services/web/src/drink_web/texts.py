"""All texts of the page, in every language that it speaks; they are in `texts.toml`."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import event_service_pb2 as events
from drink.v1 import machine_service_pb2 as machines

LANGUAGES = ("en", "de")
"""The languages, the default first."""

_ALL: Mapping[str, Mapping[str, Mapping[str, str]]] = tomllib.loads(
    (files("drink_web") / "texts.toml").read_text(encoding="utf-8")
)

ENUMS: Mapping[str, Any] = {
    "state": drops.Drop.State,
    "cause": drops.Drop.Cause,
    "reach": machines.Machine.Reach,
    "kind": accounts.Entry.Kind,
    "scope": accounts.TokenScope,
    "card": accounts.Card.Kind,
    "event": events.Event.Kind,
    "movement": machines.StockMovement.Kind,
}
"""Values of the API that have words, by their section in the file."""


class Texts:
    """The texts in one language.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **facts: object) -> str:
        """A text with its facts filled in."""
        return _ALL["text"][key][self.language].format(**facts)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in _ALL["text"]

    def counted(self, key: str, n: int | str, **facts: object) -> str:
        """A text that says `n` of something: the one that ends with `_one` for one of it."""
        return self(f"{key}_one" if str(n) == "1" else key, n=n, **facts)

    def credits(self, count: int | str) -> str:
        """So many credits."""
        return self.counted("credits", count)

    def word(self, enum: str, value: int) -> str:
        """A value of the API in words, by its section in the file, such as `state` or `cause`.

        A newer server may have values that this page does not know; they are shown as numbers.
        """
        try:
            return _ALL[enum][ENUMS[enum].Name(value)][self.language]
        except (KeyError, ValueError):
            return f"{enum} {value}"

    def degrees(self, celsius: float) -> str:
        """A temperature."""
        text = f"{celsius:.1f}"
        return self("temperature", t=text.replace(".", ",") if self.language == "de" else text)


TEXTS: Mapping[str, Texts] = {language: Texts(language) for language in LANGUAGES}
"""The texts by language."""


def preferred(accept_language: str, default: str = LANGUAGES[0]) -> str:
    """The language that a browser likes best of those there are.

    Args:
        accept_language: The header `Accept-Language`, or one language tag; empty for none.
        default: If none of them is there.
    """
    found: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:200].split(",")):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > 0:
            found.append((-weight, place, language))
    return min(found)[2] if found else default
