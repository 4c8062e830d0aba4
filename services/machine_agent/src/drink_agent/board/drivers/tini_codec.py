"""The tini-board's line protocol: one digit, a payload, a line feed; and the board's login.

The board's firmware writes byte by byte from three threads without a lock. So lines may be cut
anywhere, and two lines may be mixed into one. A line that cannot be read is decoded as `Malformed`.
"""

import hmac
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

MAX_LOGIN_BYTES: Final = 4096
"""Bytes that a connection may send before its login; the firmware's first burst takes 300."""

_BLANKS: Final = b" \t\r"
_PAIR: Final = re.compile(rb"(\d{1,3})[ \t]+([01])")
_DEGREES: Final = re.compile(rb"[+-]?\d{1,4}(\.\d{1,16})?")
_SLOT: Final = re.compile(rb"\d{1,3}")


@dataclass(frozen=True, slots=True)
class Login:
    """`0`, from the board: its password."""

    password: bytes = field(repr=False)
    """Without surrounding blanks."""


@dataclass(frozen=True, slots=True)
class LoginAccepted:
    """`1`, to the board."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """`2`, to the board."""


@dataclass(frozen=True, slots=True)
class RunMotor:
    """`3`, to the board: run a slot's motor once."""

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
    """`6`, to the board: report the status of all slots."""

    guarded: bool = False
    """Whether to write it so that it cannot complete a motor command whose line feed was lost."""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """`7`, from the board, on request or pushed: all slots, or one slot that changed."""

    slots: tuple[tuple[int, bool], ...]
    """Slot number, and whether the slot is stocked. The Ruby simulator reports a slot 0."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """`8`, from the board."""

    degrees: float
    """In the unit of the board's thermometer; Fahrenheit for the firmware."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """`9`, from a board without a thermometer."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is none of the other messages."""

    reason: str
    """For the log."""


Message = (
    Login
    | LoginAccepted
    | LoginRefused
    | RunMotor
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
    """A line and its message."""

    line: bytes = field(repr=False)
    """Without the line feed; the beginning of a line that is too long."""
    message: Message
    """The message of the line."""


class TiniDecoder:
    """Splits bytes into lines and decodes them.

    Args:
        max_line_bytes: Longest line that is decoded, and the most bytes that are buffered.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._line = bytearray()
        self._discarding = False

    def feed(self, data: bytes) -> list[Decoded]:
        """Returns the lines that these bytes complete, wherever the bytes are cut."""
        decoded: list[Decoded] = []
        for number, part in enumerate(data.split(b"\n")):
            if number:  # a line feed comes before this part
                if not self._discarding:
                    decoded.append(decode(bytes(self._line)))
                self._line.clear()
                self._discarding = False
            if self._discarding:
                continue
            room = self._max_line_bytes - len(self._line)
            self._line += part[:room]
            if len(part) > room:
                decoded.append(Decoded(bytes(self._line), Malformed("too long")))
                self._line.clear()
                self._discarding = True
        return decoded


def decode(line: bytes) -> Decoded:
    """Decodes one line, given without its line feed."""
    opcode, payload = line[:1], line[1:].strip(_BLANKS)
    message: Message = Malformed("odd payload" if opcode.isdigit() else "no opcode")
    match opcode:
        case b"0":
            message = Login(payload)
        case b"3" if _SLOT.fullmatch(payload) and int(payload) > 0:
            message = RunMotor(int(payload))
        case b"6":
            message = StatusRequest()
        case b"7":
            message = _read_slots(payload)
        case b"8" if _DEGREES.fullmatch(payload):
            message = Temperature(float(payload))
        case b"1" | b"2" | b"4" | b"5" | b"9" if not payload:
            message = _BARE[opcode]
    return Decoded(line, message)


def encode(message: Message) -> bytes:
    """Returns the line of a message as the firmware writes or reads it, with its line feed.

    An empty line, a line that does not begin with a digit and a blank after a `3` end the
    firmware's reader thread until the machine is power-cycled. No such line is returned.
    """
    match message:
        case Login(password):
            payload = password
        case RunMotor(slot):
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
"""The firmware ignores it after a `6`. After a torn `3` or `31` the line is `36000` or `316000`,
for a slot that no machine has. A bare `6` would have run the motor of slot 6 or 16."""

_OPCODES: Final[dict[type[Message], int]] = {
    Login: 0,
    LoginAccepted: 1,
    LoginRefused: 2,
    RunMotor: 3,
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


def _read_slots(payload: bytes) -> Message:
    """Decodes pairs that are separated by back-ticks, with or without blanks, or by blanks only."""
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


class LoginVerdict(Enum):
    """What a login line proves."""

    ADMITTED = auto()
    """The password is right, or none is set."""
    REFUSED = auto()
    """The password is wrong."""
    UNDECIDED = auto()
    """The line is no login."""


_TAIL: Final = re.compile(rb"[0-9`. \t]*")


def judge_login(password: str, login: Login) -> LoginVerdict:
    """Compares a login with the board's password; without a password every login is admitted.

    A status line that another line was written into, or whose beginning was lost, may end in
    something like ``0`5 1``. That is no login, and must not end the board's connection. A login
    whose beginning is an earlier one that a power cut interrupted is admitted: its end holds the
    whole password.
    """
    if password:
        good = b"0" + password.encode("ascii")
        line = b"0" + login.password
        if hmac.compare_digest(line[-len(good) :], good):
            return LoginVerdict.ADMITTED
    if _TAIL.fullmatch(login.password):
        return LoginVerdict.UNDECIDED
    return LoginVerdict.REFUSED if password else LoginVerdict.ADMITTED


class LoginGate:
    """Buffers the bytes of a new connection until its login.

    Other lines before the login are allowed: the firmware's threads may write the status of a slot
    first.

    Args:
        password: The board's password.
        max_line_bytes: Longest line that is decoded.
    """

    def __init__(self, password: str, max_line_bytes: int) -> None:
        self._password = password
        self._decoder = TiniDecoder(max_line_bytes)
        self.held = bytearray()
        """All bytes so far, for the driver once the connection is admitted."""

    def feed(self, data: bytes) -> LoginVerdict:
        """Takes bytes and returns the verdict so far."""
        self.held += data
        for decoded in self._decoder.feed(data):
            if isinstance(decoded.message, Login):
                verdict = judge_login(self._password, decoded.message)
                if verdict is not LoginVerdict.UNDECIDED:
                    return verdict
        enough = len(self.held) >= MAX_LOGIN_BYTES
        return LoginVerdict.REFUSED if enough else LoginVerdict.UNDECIDED
