"""The encrypted cookies that keep logins and kiosks; the process itself keeps nothing."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from starlette.requests import Request
from starlette.responses import Response

from drink_web.settings import ConfigError, CookieSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

NAME = "drink"
"""Name on plain loopback, where browsers take no `__Host-` cookie."""

SECURE_NAME = "__Host-drink"
"""Name over HTTPS: only this very host can have set it."""

AGE_MAX_S = 30 * 86_400
"""Seconds until a browser forgets it; a token of the frontend is good for as long."""

COOKIE_BYTES_MAX = 3_800
"""Bytes of the longest cookie, less than the 4,096 of browsers with its name and attributes; those
of logins have about 300."""


@dataclass(frozen=True, slots=True)
class Login:
    """The login of a browser.

    Attributes:
        token: Of the frontend; secret.
        account: Resource name.
        admin: Whether it was an administrator's at the login; only for what is shown.
        language: Tag of the language that the account prefers; empty for the browser's.
    """

    token: str
    account: str
    admin: bool = False
    language: str = ""

    @property
    def user(self) -> str:
        """The account's name for people."""
        return self.account.removeprefix("accounts/")

    @property
    def key(self) -> str:
        """Identifies the login in limits; the token cannot be derived from it."""
        return sha256(self.token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Paired:
    """A browser that is a kiosk.

    Attributes:
        token: The kiosk's, of the frontend; secret.
        machine: Resource name of its machine.
    """

    token: str
    machine: str


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who has logged in at a kiosk with a card.

    Attributes:
        token: Of the frontend; secret.
        user: The account's name for people.
        credits: What can be spent, as the frontend told it last.
        buys_until_ms: When the token buys nothing any more, in milliseconds since the epoch by the
            clock of this computer.
        drop: Resource name of what was bought last; empty for nothing.
        order: Slot, price and request_id of an order without an answer; empty for none.
    """

    token: str
    user: str
    credits: int
    buys_until_ms: int
    drop: str = ""
    order: tuple[str, str, str] | tuple[()] = ()


@dataclass(frozen=True, slots=True)
class Attempts:
    """Logins that a browser has begun at OpenID providers, the newest last.

    Attributes:
        begun: Each as `Attempt.packed` gives it.
    """

    begun: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The provider at which a browser has signed in.

    Attributes:
        provider: Its name.
        id_token: What it gave, for signing out there; empty if it is too long for a cookie.
    """

    provider: str
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """A card that logs nobody in, and the code with which its owner adds it.

    Attributes:
        code: The code, a secret; empty if the card cannot be added.
    """

    code: str


class Cookies:
    """Reads and writes the cookies.

    Args:
        settings: Where the keys are.

    Raises:
        ConfigError: the file of the keys cannot be made or used.
    """

    def __init__(self, settings: CookieSettings) -> None:
        self._keys = MultiFernet([Fernet(key) for key in _keys(settings.key_file)])

    def read(self, request: Request) -> Login | None:
        """The login of a browser; None if it has none that can be read."""
        return self.read_as(Login, request, "", AGE_MAX_S)

    def write(self, request: Request, response: Response, login: Login) -> None:
        """Sets the cookie with the login."""
        self.write_as(login, request, response, "", AGE_MAX_S)

    def clear(self, request: Request, response: Response, suffix: str = "") -> None:
        """Deletes the cookie of the login, or one with a suffix."""
        response.delete_cookie(
            _name(request) + suffix,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def read_as(self, kind: type[T], request: Request, suffix: str, age_max_s: int) -> T | None:
        """What a cookie keeps; None if the browser has none that can be read.

        Args:
            kind: Its class.
            request: The request.
            suffix: Of the cookie's name.
            age_max_s: Seconds after which it is refused.
        """
        return self.unseal(kind, request.cookies.get(_name(request) + suffix, ""), age_max_s)

    def seal(self, value: "DataclassInstance") -> str:
        """A value as an encrypted text, which nobody but this site can read or make."""
        return self._keys.encrypt(json.dumps(asdict(value)).encode()).decode()

    def unseal(self, kind: type[T], text: str, age_max_s: int) -> T | None:
        """The value in an encrypted text; None if it is none of that class, or too old.

        Args:
            kind: Its class.
            text: The text.
            age_max_s: Seconds after which it is refused.
        """
        if not text or len(text) > COOKIE_BYTES_MAX:
            return None
        try:
            return kind(**json.loads(self._keys.decrypt(text.encode(), ttl=age_max_s)))
        except (InvalidToken, ValueError, TypeError):
            return None

    def write_as(
        self, value: T, request: Request, response: Response, suffix: str, age_max_s: int
    ) -> None:
        """Sets a cookie; see `read_as`. Browsers refuse those above 4,096 bytes."""
        response.set_cookie(
            _name(request) + suffix,
            self.seal(value),
            max_age=age_max_s,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="lax",
        )


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _name(request: Request) -> str:
    return SECURE_NAME if _is_secure(request) else NAME


def _keys(path: Path) -> list[str]:
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(Fernet.generate_key().decode() + "\n")
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"cookies.key_file: others can use {path}; run `chmod 600` on it")
        keys = path.read_text(encoding="ascii").split()
        for key in keys:
            Fernet(key)
    except OSError as error:
        raise ConfigError(f"cookies.key_file: {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"cookies.key_file: {path} has a line that is no key") from None
    if not keys:
        raise ConfigError(f"cookies.key_file: {path} has no key")
    return keys
