"""The three dialects of the protocol: words, line ends and rules, as data.

`classic` is the dialect of the servers of 2000 to 2011, `drinkjs` that of the server of 2011 to
2018, `drinkd` that of 1999. Where an old server had no text for a reply, the dialect has the
classic text in its own punctuation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from drink_frontend.domain.entities import Slot
from drink_frontend.sessions.commands import ALL_ARGUMENTS, ArgumentLimits, Verb
from drink_frontend.sessions.reply_codes import ReplyCode

C, V = ReplyCode, Verb


class DialectName(StrEnum):
    """Name of a dialect in the configuration."""

    CLASSIC = "classic"
    DRINKJS = "drinkjs"
    DRINKD = "drinkd"


@dataclass(frozen=True, slots=True)
class Dialect:
    """All differences between dialects.

    Attributes:
        name: Its name.
        texts: The text of each reply code; fields in braces.
        slot_line: Formats one slot for STAT, without the line end; takes the number to show.
        machines_header: Line before a list of machines; None for MACHINES_LISTED after it.
        wrong_arity: Texts for a wrong number of arguments, of verbs that do not use WRONG_ARITY.
        argument_limits: Which arguments it uses.
        eol: End of a line.
        greeting_eol: End of the greeting.
        slot_eol: End of a slot's line.
        stat_eol: End of the last or only line of a reply to STAT.
        first_slot: Number on the wire of the slot with the number 1.
        blank_is_unknown: Whether an empty line is an unknown command; else it has no reply.
        silence_ends_line: Whether a line may be ended by silence.
        refuses_second_drop: Whether a drop is refused while another one of the session is in
            progress; else it waits.
    """

    name: DialectName
    texts: Mapping[ReplyCode, str]
    slot_line: Callable[[int, Slot], str]
    machines_header: str | None = None
    wrong_arity: Mapping[Verb, str] = field(default_factory=dict)
    argument_limits: ArgumentLimits = ALL_ARGUMENTS
    eol: str = "\n"
    greeting_eol: str = "\n"
    slot_eol: str = "\n"
    stat_eol: str = "\n"
    first_slot: int = 1
    blank_is_unknown: bool = False
    silence_ends_line: bool = False
    refuses_second_drop: bool = False


def clean(value: str, bytes_max: int) -> str:
    """A text that cannot break a line: printable, and cut to that many bytes of UTF-8."""
    if not value.isprintable():
        value = "".join(character if character.isprintable() else "?" for character in value)
    return value.encode()[:bytes_max].decode(errors="ignore")


ITEM_BYTES_MAX = 64
"""Bytes of an item's name in a slot line; as long as names can be, in ASCII."""

DRINKD_ITEM_BYTES_MAX = 39
"""Bytes of an item's name for the client of 1999, whose array for it holds 40."""

NAME_BYTES_MAX = 80
"""Bytes of a machine's name or place in a line: the Qt client reads replies of up to 100 bytes."""


def _quoted(slot: Slot) -> str:
    return '"' + clean(slot.item.replace('"', "'"), ITEM_BYTES_MAX) + '"'


def _classic_slot(number: int, slot: Slot) -> str:
    enabled = "true" if slot.enabled else "false"
    return f"{number} {_quoted(slot)} {slot.price} {slot.available} {slot.dispensed} {enabled}"


def _drinkjs_slot(number: int, slot: Slot) -> str:
    return f"{number} {_quoted(slot)} {slot.price} {slot.available} {int(slot.enabled)}"


def _drinkd_slot(number: int, slot: Slot) -> str:
    item = clean("_".join(slot.item.split()) or "_", DRINKD_ITEM_BYTES_MAX)
    return f"{number} {item} {slot.price} {slot.available} {slot.dispensed}"


_CLASSIC: dict[ReplyCode, str] = {code: code.text for code in ReplyCode}


def _with_colon(text: str) -> str:
    return text.replace("OK ", "OK: ", 1) if text.startswith("OK ") else text


_DRINKJS: dict[ReplyCode, str] = {code: _with_colon(text) for code, text in _CLASSIC.items()} | {
    C.GREETING: "Welcome to {name}",
    C.PASSWORD_WANTED: "OK: ",
    C.BALANCE: "OK: {credits}",
    C.USERNAME: "OK:  {name}",
    C.MACHINE_CHOSEN: "OK:  Welcome to {name}",
    C.SLOTS_LISTED: "OK {count} Slots retrieved",
    C.DROPPED: "OK:  Dropping drink",
    C.CREDITS_SENT: "OK: ",
    C.SERVER_STATE: "{json}",
    C.GOODBYE: "Good Bye",
    C.UNKNOWN_COMMAND: "ERR 415 Invalid command",
    C.GARBLED: "ERR 406 Invalid parameters.",
    C.WRONG_ARITY: "ERR 206 Invalid number of args",
    C.BAD_AMOUNT: "ERR 210 Send amount must be a positive, whole number",
    C.BAD_DELAY: "ERR 403 Invalid delay",
    C.WRONG_PASSWORD: "ERR 407 Invalid password.",
    C.WRONG_IBUTTON: "ERR 207 Invalid Ibutton",
    C.UNKNOWN_MACHINE: "ERR 414 Invalid machine name - USAGE: MACHINE < d | ld | s >",
    C.NO_MACHINES: "ERR 501: No machines connected",
    C.UNKNOWN_SLOT: "ERR 105 Slot not found",
    C.UNKNOWN_RECIPIENT: "ERR 208 Transfer error - user doesnt exist",
    C.DROP_FAILED: "ERR 150 Unable to initialize hardware for drop.",
    C.STOCK_UNREADABLE: "ERR 416 Machine is offline or unreachable",
    C.TRANSFER_FAILED: "ERR 209 Error during credit transfer",
}


def _without_number(text: str) -> str:
    kind, _, rest = text.partition(" ")
    return text if kind == "OK" else f"ERR {rest.partition(' ')[2]}"


_DRINKD: dict[ReplyCode, str] = {code: _without_number(text) for code, text in _CLASSIC.items()} | {
    C.GREETING: "Drink Server {version} Ready",
    C.GOODBYE: "OK Goodbye",
    C.UNKNOWN_COMMAND: "ERR Invalid command",
    C.BAD_SLOT: "ERR Invalid slot number.",
    C.UNKNOWN_SLOT: "ERR Invalid slot number.",
    C.LOGIN_NEEDED: "ERR You need to login first.",
    C.USER_NEEDED: "ERR You need to identify yourself first.",
    C.LOGGED_IN_ALREADY: "ERR You're already authenticated!",
    C.WRONG_PASSWORD: "ERR Invalid username or password.",
    C.POOR: "ERR Insuficient Credits.",
    C.SLOT_EMPTY: "ERR Slot appears to be empty",
    C.DROP_FAILED: "ERR Machine Failure on drop. Credits remaining: {credits}",
}

_LOGIN_USAGE = "ERR 206 Invalid number of args USAGE: PASS <username>"
_USAGE = "ERR 206 Invalid number of args - USAGE: "

CLASSIC = Dialect(
    name=DialectName.CLASSIC,
    texts=_CLASSIC,
    slot_line=_classic_slot,
    wrong_arity={V.MACHINE: _CLASSIC[C.UNKNOWN_COMMAND]},
)
"""For touchscreens, the Qt client, PHP scripts and people with telnet."""

DRINKJS = Dialect(
    name=DialectName.DRINKJS,
    texts=_DRINKJS,
    slot_line=_drinkjs_slot,
    machines_header="OK: connected machines",
    wrong_arity={
        V.USER: _LOGIN_USAGE,
        V.PASS: _LOGIN_USAGE,
        V.IBUTTON: _USAGE + "IBUTTON <ibutton number>",
        V.MACHINE: _USAGE + "MACHINE < d | ld | s >",
        V.SENDCREDITS: _USAGE + "SENDCREDITS <(int) num credits> <username>",
        V.DROP: _DRINKJS[C.BAD_SLOT],
    },
    argument_limits=ArgumentLimits(
        {V.STAT: 0, V.GETBALANCE: 0, V.DROP: 2, V.UPTIME: 0, V.WHOAMI: 0, V.SERVERSTAT: 0}
    ),
    eol="\r\n",
    stat_eol="\r\n",
    blank_is_unknown=True,
    silence_ends_line=True,
    refuses_second_drop=True,
)
"""For WebDrink, its socket bridge and all other clients of 2011 to 2018."""

DRINKD = Dialect(
    name=DialectName.DRINKD,
    texts=_DRINKD,
    slot_line=_drinkd_slot,
    wrong_arity={V.USER: "ERR Username required.", V.DROP: "ERR You must specify slot"},
    argument_limits=ArgumentLimits(
        {V.STAT: 0, V.USER: 1, V.PASS: 1, V.DROP: 2}, frozenset({V.DROP})
    ),
    greeting_eol="\n\0",
    slot_eol="\n\0",
    stat_eol="\n\0",
    first_slot=0,
    blank_is_unknown=True,
    silence_ends_line=True,
)
"""For the C client of 1999, which reads strings up to a NUL."""

DIALECTS: Mapping[DialectName, Dialect] = {
    dialect.name: dialect for dialect in (CLASSIC, DRINKJS, DRINKD)
}
