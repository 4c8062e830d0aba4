"""The keyring of the user's desktop, through the library `keyring`, where that is installed.

A keyring may be locked, or wait for a person who is not there. So it is asked in a thread that is
left behind when its time is over, and no command waits longer.
"""

import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

SERVICE = "drink"
"""Under which tokens are kept in a keyring."""

LIMIT_S = 5.0
"""Seconds that a keyring may take where nobody can be asked to unlock it."""

PERSON_LIMIT_S = 60.0
"""Seconds where a desktop may ask a person for the keyring's password."""

RECOMMENDED = 1
"""Priority from which the library recommends a backend; those below keep plain text, or nothing."""


class KeyringError(Exception):
    """The keyring cannot be used, with the reason for a person."""


def is_there(*, any_backend: bool = False) -> bool:
    """Whether there is a keyring to keep tokens in.

    Args:
        any_backend: Whether one counts that `keyring` does not recommend, such as a file.

    Raises:
        KeyringError: it did not answer.
    """
    try:
        priority = _ask(lambda keyring: float(keyring.get_keyring().priority))
    except ModuleNotFoundError:
        return False
    return priority > 0 if any_backend else priority >= RECOMMENDED


@functools.cache
def read(user: str) -> str:
    """The token of a user; empty if there is none.

    Args:
        user: Profile and server.

    Raises:
        KeyringError: the keyring cannot be used.
    """
    return _secret(lambda keyring: keyring.get_password(SERVICE, user)) or ""


def store(user: str, token: str) -> None:
    """Keeps the token of a user.

    Raises:
        KeyringError: the keyring cannot be used.
    """
    read.cache_clear()
    _secret(lambda keyring: keyring.set_password(SERVICE, user, token))


def forget(user: str) -> bool:
    """Removes the token of a user; returns whether there was one.

    Raises:
        KeyringError: the keyring cannot be used.
    """
    if not read(user):
        return False
    read.cache_clear()
    _secret(lambda keyring: keyring.delete_password(SERVICE, user))
    return True


def _secret(ask: Callable[[Any], T]) -> T:
    try:
        return _ask(ask)
    except ModuleNotFoundError:
        raise KeyringError("the keyring needs drink-cli[keyring] to be installed") from None


def _ask(ask: Callable[[Any], T]) -> T:
    """What the library answers within the limit.

    Raises:
        KeyringError: it failed, or did not answer.
        ModuleNotFoundError: it is not installed.
    """
    answers: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            # It is an optional extra, and loading it takes longer than most commands need.
            answers.append(ask(importlib.import_module("keyring")))
        # Each backend raises errors of its own.
        except Exception as error:
            failures.append(error)

    limit_s = PERSON_LIMIT_S if _has_person() else LIMIT_S
    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(limit_s)
    if answers:
        return answers[0]
    if not failures:
        raise KeyringError(f"the keyring did not answer within {limit_s:g} s")
    if isinstance(failures[0], ModuleNotFoundError) and failures[0].name == "keyring":
        raise failures[0]
    raise KeyringError(f"the keyring cannot be used: {failures[0]}")


def _has_person() -> bool:
    """Whether a desktop can ask somebody for a password."""
    has_desktop = any(os.environ.get(each) for each in ("DISPLAY", "WAYLAND_DISPLAY"))
    return has_desktop and sys.stdin.isatty()
