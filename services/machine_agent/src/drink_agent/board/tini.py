"""The tini-board's line protocol as bytes: one digit, a payload, a line feed; no I/O.

The board's firmware writes byte by byte from three threads without a lock, so lines may come in
any cut and two of them may be mixed up in one; what cannot be read is `Malformed`, never an error.
"""

import re
from dataclasses import dataclass, field
from typing import Final

_BLANKS: Final = b" \t\r"
_PAIR: Final = re.compile(rb"(\d{1,3})[ \t]+([01])")
_DEGREES: Final = re.compile(rb"[+-]?\d{1,4}(\.\d{1,16})?")
_SLOT: Final = re.compile(rb"\d{1,3}")


@dataclass(frozen=True, slots=True)
class Login:
    """`0`, from the board: its password."""

    password: bytes = field(repr=False)
    """Without the blanks around it."""


@dataclass(frozen=True, slots=True)
class LoginAccepted:
    """`1`, to the board."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """`2`, to the board."""


@dataclass(frozen=True, slots=True)
class Drop:
    """`3`, to the board: run a slot's motor."""

    slot: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Ack:
    """`4`, from the board: the motor was run."""


@dataclass(frozen=True, slots=True)
class Nack:
    """`5`, from the board: the motor was not run."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """`6`, to the board: how are the slots."""

    guarded: bool = False
    """Whether it must not complete a motor command that was cut off before its line feed."""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """`7`, from the board, asked or not: all slots, or one that changed."""

    slots: tuple[tuple[int, bool], ...]
    """Number and whether it is stocked; the Ruby simulator answers for a slot 0."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """`8`, from the board."""

    degrees: float
    """In the board's own unit; Fahrenheit for the firmware."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """`9`, from a board without a thermometer."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is none of the others."""

    reason: str
    """For the log."""


Message = (
    Login
    | LoginAccepted
    | LoginRefused
    | Drop
    | Ack
    | Nack
    | StatusRequest
    | SlotStatus
    | Temperature
    | KeepAlive
    | Malformed
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A line and what it says."""

    line: bytes = field(repr=False)
    """Without its end; of a line that is too long, its beginning."""
    message: Message
    """What it says."""


class TiniDecoder:
    """Cuts bytes into lines and reads them; holds at most one line of the longest length."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._line = bytearray()
        self._discarding = False

    def feed(self, data: bytes) -> list[Decoded]:
        """The lines that these bytes complete; the same ones however the bytes are cut."""
        decoded: list[Decoded] = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._extend(part, decoded)
            if not self._discarding:
                decoded.append(decode(bytes(self._line)))
            self._line.clear()
            self._discarding = False
        self._extend(rest, decoded)
        return decoded

    def _extend(self, part: bytes, decoded: list[Decoded]) -> None:
        if self._discarding:
            return
        room = self._max_line_bytes - len(self._line)
        self._line += part[:room]
        if len(part) > room:
            decoded.append(Decoded(bytes(self._line), Malformed("too long")))
            self._line.clear()
            self._discarding = True


def decode(line: bytes) -> Decoded:
    """Reads one line, given without its line feed."""
    return Decoded(line, _read(line[:1], line[1:].strip(_BLANKS)))


def encode(message: Message) -> bytes:
    """The line as the real firmware writes or reads it, line feed included.

    No line is empty, begins with anything but a digit or has a blank after a `3`: each of these
    ends the firmware's reader thread until someone power-cycles the machine.
    """
    match message:
        case Login(password):
            payload = password
        case Drop(slot):
            assert slot > 0, slot
            payload = b"%d" % slot
        case SlotStatus(slots):
            payload = b"`".join(b"%d %d" % pair for pair in slots)
        case Temperature(degrees):
            payload = b"%.1f" % degrees
        case StatusRequest(guarded=True):
            payload = _GUARD
        case _:
            payload = b""
    return b"%d%b\n" % (_OPCODES[type(message)], payload)


_GUARD: Final = b"000"
"""Ignored after a `6`. After a torn `3` or `31` the line is `36000` or `316000`: a slot that no
machine has, where a bare `6` would have run the motor of slot 6 or 16."""

_OPCODES: Final[dict[type[Message], int]] = {
    Login: 0,
    LoginAccepted: 1,
    LoginRefused: 2,
    Drop: 3,
    Ack: 4,
    Nack: 5,
    StatusRequest: 6,
    SlotStatus: 7,
    Temperature: 8,
    KeepAlive: 9,
}

_BARE: Final[dict[bytes, Message]] = {
    b"1": LoginAccepted(),
    b"2": LoginRefused(),
    b"4": Ack(),
    b"5": Nack(),
    b"9": KeepAlive(),
}


def _read(opcode: bytes, payload: bytes) -> Message:
    message: Message = Malformed("odd payload" if opcode.isdigit() else "no opcode")
    match opcode:
        case b"0":
            message = Login(payload)
        case b"3" if _SLOT.fullmatch(payload) and int(payload) > 0:
            message = Drop(int(payload))
        case b"6":
            message = StatusRequest()
        case b"7":
            message = _read_slots(payload)
        case b"8" if _DEGREES.fullmatch(payload):
            message = Temperature(float(payload))
        case b"1" | b"2" | b"4" | b"5" | b"9" if not payload:
            message = _BARE[opcode]
    return message


def _read_slots(payload: bytes) -> Message:
    """Pairs between back-ticks, with or without blanks around those, or blanks only."""
    if b"`" in payload:
        chunks = [chunk.strip(_BLANKS) for chunk in payload.split(b"`")]
    else:
        words = payload.split()
        chunks = [b" ".join(words[at : at + 2]) for at in range(0, len(words), 2)]
    slots: list[tuple[int, bool]] = []
    for chunk in chunks:
        if not chunk:
            continue
        pair = _PAIR.fullmatch(chunk)
        if pair is None:
            return Malformed("odd slot status")
        slots.append((int(pair[1]), pair[2] == b"1"))
    return SlotStatus(tuple(slots))
