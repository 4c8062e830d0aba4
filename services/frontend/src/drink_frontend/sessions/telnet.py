"""Removes what telnet clients mix into the lines (RFC 854, 855).

Negotiations are dropped and never answered: a client goes on without an option that is not
accepted, and an answer would be a reply without a command.
"""

import re

SUB_BYTES_MAX = 512
"""Most bytes of a subnegotiation. What honest clients send (the size of a window, the name of a
terminal) is much shorter; one that goes on is taken for ended, so that a client that never ends it
is not silent for ever."""

IAC_MAX = 1_024
"""Most bytes 255 in what arrives at once, some 0.3 ms of work. Honest clients send a few dozen in
their first line; more is a flood, and nothing of it is looked at."""

IAC = 0xFF
"""Interpret As Command: the first byte of every sequence."""

_TOKENS = re.compile(
    rb"""
      ([^\xff]+)                            # what belongs to lines
    | \xff(\xff)                            # the byte 255 itself
    | \xff[\xfb-\xfe].                      # WILL, WONT, DO or DONT, and an option
    | \xff\xfa(?:[^\xff]|\xff\xff){0,%(max)d}
      (?:\xff\xf0 | (?=\xff[^\xff]))        # a subnegotiation, or one that another command breaks
    | \xff\xfa(?=.{%(over)d})               # the beginning of one that is too long
    | \xff[\xec-\xf9]                       # any other command
    | \xff(?=[\x00-\xeb])                   # no command: the system took out an urgent byte
    | (\xff.*)                              # the beginning of a sequence, to be gone on with
    """
    % {b"max": SUB_BYTES_MAX, b"over": SUB_BYTES_MAX + 3},
    re.VERBOSE | re.DOTALL,
)


class TelnetFilter:
    """Removes telnet sequences from the bytes of one client.

    Attributes:
        flooded: Whether more than `IAC_MAX` came at once; the connection is of no use any more.
    """

    __slots__ = ("_begun", "flooded")

    def __init__(self) -> None:
        self.flooded = False
        self._begun = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes without NUL and without sequences of IAC; IAC IAC is one byte 255."""
        if self._begun or IAC in data:
            if data.count(IAC) > IAC_MAX:
                self.flooded = True
                return b""
            tokens = _TOKENS.findall(self._begun + data)
            self._begun = tokens[-1][2] if tokens else b""
            data = b"".join([text or escaped for text, escaped, _ in tokens])
        return data.replace(b"\0", b"")
