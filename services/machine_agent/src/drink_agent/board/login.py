"""Decides whether a board's login is good."""

import hmac
import re
from enum import Enum, auto
from typing import Final

from drink_agent.board.settings import BoardSettings
from drink_agent.board.tini import Login, TiniDecoder

LOGIN_REFUSED: Final = "the board logged in with a wrong password"
"""What a driver notes of a board that is refused."""

MAX_LOGIN_BYTES: Final = 4096
"""Bytes a connection may send before it has logged in; the firmware's first burst takes 300."""

_TAIL: Final = re.compile(rb"[0-9`. \t]*")


class Verdict(Enum):
    """What a login line means."""

    ADMITTED = auto()
    """The login is good."""
    REFUSED = auto()
    """Its password is wrong."""
    UNDECIDED = auto()
    """It is no login."""


def judge(settings: BoardSettings, login: Login) -> Verdict:
    """Whether a login carries the board's password; any password does if none is set.

    A status line that another one was written into, or whose beginning nobody heard, may end in
    something like ``0`5 1``. That is no login, and must not cost a board its connection. Nor must a
    login that begins with an earlier one, which the board's power interrupted: who says that knows
    the password as well.
    """
    if settings.password:
        good = b"0" + settings.password.encode("ascii")
        line = b"0" + login.password
        if hmac.compare_digest(line[-len(good) :], good):
            return Verdict.ADMITTED
    if _TAIL.fullmatch(login.password):
        return Verdict.UNDECIDED
    return Verdict.REFUSED if settings.password else Verdict.ADMITTED


class LoginGate:
    """Holds back a new connection's bytes until it has logged in.

    Lines before the login are let pass: the firmware's threads may write a slot's status first.
    """

    def __init__(self, settings: BoardSettings) -> None:
        self._settings = settings
        self._decoder = TiniDecoder(settings.max_line_bytes)
        self.held = bytearray()
        """All bytes so far, for the driver once they are admitted."""

    def feed(self, data: bytes) -> Verdict:
        """Takes bytes and decides."""
        self.held += data
        for decoded in self._decoder.feed(data):
            if isinstance(decoded.message, Login):
                verdict = judge(self._settings, decoded.message)
                if verdict is not Verdict.UNDECIDED:
                    return verdict
        return Verdict.UNDECIDED if len(self.held) < MAX_LOGIN_BYTES else Verdict.REFUSED
