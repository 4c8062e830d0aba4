"""The encrypted cookie that keeps a browser's login; the process itself keeps nothing."""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from starlette.requests import Request
from starlette.responses import Response

from drink_web.settings import ConfigError, CookieSettings

NAME = "drink"
"""Name on plain loopback, where browsers take no `__Host-` cookie."""

SECURE_NAME = "__Host-drink"
"""Name over HTTPS: only this very host can have set it."""

AGE_MAX_S = 30 * 86_400
"""Seconds until a browser forgets it; a token of the frontend is good for as long."""

COOKIE_BYTES_MAX = 2_048
"""Bytes of the longest cookie that is decrypted; ours have about 300."""


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


class Cookies:
    """Reads and writes the cookie.

    Args:
        settings: Where the keys are.

    Raises:
        ConfigError: the file of the keys cannot be made or used.
    """

    def __init__(self, settings: CookieSettings) -> None:
        self._keys = MultiFernet([Fernet(key) for key in _keys(settings.key_file)])

    def read(self, request: Request) -> Login | None:
        """The login of a browser; None if it has none that can be read."""
        text = request.cookies.get(_name(request), "")
        if not text or len(text) > COOKIE_BYTES_MAX:
            return None
        try:
            return Login(**json.loads(self._keys.decrypt(text.encode(), ttl=AGE_MAX_S)))
        except (InvalidToken, ValueError, TypeError):
            return None

    def write(self, request: Request, response: Response, login: Login) -> None:
        """Sets the cookie with the login."""
        text = self._keys.encrypt(json.dumps(asdict(login)).encode()).decode()
        response.set_cookie(
            _name(request),
            text,
            max_age=AGE_MAX_S,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def clear(self, request: Request, response: Response) -> None:
        """Deletes the cookie."""
        response.delete_cookie(
            _name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax"
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
