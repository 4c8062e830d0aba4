"""Bytes of readers to numbers of cards. Pure: no device, no clock."""

import re
import struct

LINE_BYTES_MAX = 128
"""Longest line in bytes that is read; a longer one is no card, and is left out whole."""

NUMBER_MAX = 64
"""Characters of the longest number of a card, that of the frontend."""

CHIP_DIGITS_MIN = 8
"""Hexadecimal digits of the shortest number of a chip: 4 bytes."""

INPUT_EVENT = struct.Struct("llHHi")
"""One event of a Linux input device: seconds, microseconds, type, code, value (linux/input.h)."""

_KEY = 1
"""Type of the events of keys (linux/input-event-codes.h, EV_KEY)."""

_DOWN = 1
"""Value of an event of a key that goes down; 0 is up and 2 a repeat."""

_SHIFTS = frozenset({42, 54})
_ENTERS = frozenset({28, 96})
_ROWS = ((2, "1234567890-"), (16, "qwertyuiop"), (30, "asdfghjkl"), (44, "zxcvbnm"))
_PADS = ((71, "789"), (75, "456"), (79, "1230."))
_PLAIN = {code + at: text for code, row in _ROWS + _PADS for at, text in enumerate(row)}
_PLAIN |= {57: " ", 52: "."}
_SHIFTED = {code: text.upper() for code, text in _PLAIN.items() if text.isalpha()}
_SHIFTED |= {12: "_", 39: ":"}

_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.: -]*")


class Lines:
    """Cuts a stream of bytes into lines, and keeps no more than one."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._is_too_long = False

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes; returns the lines that end in them, without their ends.

        Readers end a line with CR, LF, ETX or several of them, so that empty lines are left out.
        """
        lines = []
        for byte in data:
            if byte in b"\r\n\x03":
                if self._rest and not self._is_too_long:
                    lines.append(bytes(self._rest))
                self._rest.clear()
                self._is_too_long = False
            elif len(self._rest) < LINE_BYTES_MAX:
                self._rest.append(byte)
            else:
                self._is_too_long = True
        return lines


class Keys:
    """Turns the events of an input device into the bytes that they type, on an English keyboard.

    Readers type digits, letters and few signs, whatever the keyboard layout of the computer is.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._shifts: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        """Takes whole or cut-off events; returns what they type, with LF for Enter."""
        data = self._rest + data
        whole = len(data) - len(data) % INPUT_EVENT.size
        self._rest = data[whole:]
        return b"".join(
            self._typed(code, value)
            for _, _, kind, code, value in INPUT_EVENT.iter_unpack(data[:whole])
            if kind == _KEY
        )

    def _typed(self, code: int, value: int) -> bytes:
        if code in _SHIFTS:
            (self._shifts.add if value else self._shifts.discard)(code)
            return b""
        if value != _DOWN:
            return b""
        if code in _ENTERS:
            return b"\n"
        # What is not on a reader makes the line no number, and not another number.
        return (_SHIFTED if self._shifts else _PLAIN).get(code, _PLAIN.get(code, "?")).encode()


def card_number(line: bytes, *, decimal: bool = False) -> str | None:
    """The number of a card in a line of a reader; None if there is none.

    Args:
        line: The line.
        decimal: Whether chips are printed as decimal numbers.
    """
    text = line.strip(b"\x02\x00 \t").decode("ascii", "replace")
    if not _NUMBER.fullmatch(text) or len(text) > NUMBER_MAX:
        return None
    if not decimal:
        return text
    if not text.isdecimal() or int(text) >= 1 << 128:
        return None
    digits = f"{int(text):0{CHIP_DIGITS_MIN}X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"
