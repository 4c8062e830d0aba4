"""The three dialects, as data and small pure functions over the one command set.

`classic` speaks as the servers of 2000 to 2011 did, `drinkjs` as the one of 2011 to 2018, `drinkd`
as the first one of 1999. Where an old server had no text for something, the dialect says what the
classic one says, in its own punctuation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from drink_frontend.domain.entities import Slot
from drink_frontend.sessions.commands import HEED_ALL, Heed, Verb
from drink_frontend.sessions.phrases import Phrase

P, V = Phrase, Verb


class DialectName(StrEnum):
    """How a listener's dialect is named in the configuration."""

    CLASSIC = "classic"
    DRINKJS = "drinkjs"
    DRINKD = "drinkd"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Everything in which dialects differ.

    Attributes:
        name: Its name.
        texts: What each phrase sounds like; facts in braces.
        slot_line: One slot as STAT shows it, without its end; takes the number that it shows.
        machines_header: A line before them; None for none, then MACHINES_LISTED comes after them.
        wrong_arity: Texts for too few or too many arguments where it is not WRONG_ARITY's.
        heed: Which arguments it looks at.
        eol: Ends a line.
        greeting_eol: Ends the greeting.
        slot_eol: Ends a slot's line.
        stat_eol: Ends the last or only line of a reply to STAT.
        first_slot: What it calls the slot with the number 1.
        blank_is_unknown: Whether an empty line is an unknown command; else it is nothing.
        silence_ends_line: Whether a line may be ended by silence.
        refuses_second_drop: Whether a drop is refused while another of the session runs; else it
            waits for it.
    """

    name: DialectName
    texts: Mapping[Phrase, str]
    slot_line: Callable[[int, Slot], str]
    machines_header: str | None = None
    wrong_arity: Mapping[Verb, str] = field(default_factory=dict)
    heed: Heed = HEED_ALL
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


_CLASSIC: dict[Phrase, str] = {
    P.GREETING: "OK Welcome to {name}",
    P.PASSWORD_WANTED: "OK Password required.",
    P.BALANCE: "OK Credits: {credits}",
    P.USERNAME: "OK Username: {name}",
    P.MACHINE_CHOSEN: "OK Welcome to {name}",
    P.SLOTS_LISTED: "OK {count} Slots retrieved",
    P.MACHINES_LISTED: "OK {count} Machines retrieved",
    P.DROPPED: "OK Credits remaining: {credits}",
    P.TEMPERATURE: "OK {degrees:.4f}",
    P.CREDITS_SENT: "OK Credits remaining: {credits}",
    P.CREDITS_ADDED: "OK Added credits.",
    P.SAVED: "OK Changes saved.",
    P.USER_CREATED: "OK User created.",
    P.USER_REMOVED: "OK User removed.",
    P.ADMIN_FLAG_SET: "OK Admin flag set.",
    P.USER_KNOWN: "OK true User is known.",
    P.USER_NOT_KNOWN: "OK false User is not known.",
    P.IS_ADMIN: "OK true User is an administrator.",
    P.IS_NOT_ADMIN: "OK false User is not an administrator.",
    P.PASSWORD_CHANGED: "OK Password changed.",
    P.NOTED: "OK Message added to log file.",
    P.LOCATION: "OK {place}.",
    P.ACCOUNTS_READY: "OK Account server subsystem running.",
    P.VERSION: "OK Drink {version}",
    P.UPTIME: "OK Up since: {since}",
    P.SERVER_STATE: "OK {json}",
    P.STOPPING: "OK Shutting down server.",
    P.REBOOTING: "OK Rebooting.",
    P.GOODBYE: "OK Disconnecting.",
    P.UNKNOWN_COMMAND: "ERR 452 Invalid command.",
    P.GARBLED: "ERR 406 Invalid parameters.",
    P.WRONG_ARITY: "ERR 406 Invalid parameters.",
    P.NOT_IMPLEMENTED: "ERR 451 Not implemented.",
    P.BAD_PARAMETERS: "ERR 406 Invalid parameters.",
    P.BAD_ADMIN_FLAG: "ERR 400 Invalid admin flag.",
    P.BAD_COST: "ERR 401 Invalid cost.",
    P.BAD_CREDITS: "ERR 402 Invalid credits.",
    P.BAD_AMOUNT: "ERR 402 Invalid credits.",
    P.BAD_DELAY: "ERR 403 Invalid delay.",
    P.BAD_ENABLED_FLAG: "ERR 404 Invalid enable flag.",
    P.BAD_DROPPED_COUNT: "ERR 405 Invalid num_dropped.",
    P.BAD_PASSWORD: "ERR 407 Invalid password.",
    P.BAD_QUANTITY: "ERR 408 Invalid quantity.",
    P.BAD_SLOT: "ERR 409 Invalid slot.",
    P.BAD_REBOOT_FLAG: "ERR 411 Invalid reboot flag.",
    P.LOGIN_NEEDED: "ERR 204 You need to login.",
    P.USER_NEEDED: "ERR 201 USER command needs to be issued first.",
    P.LOGGED_IN_ALREADY: "ERR 201 USER command needs to be issued first.",
    P.WRONG_PASSWORD: "ERR 202 Invalid username or password.",
    P.WRONG_IBUTTON: "ERR 202 Invalid username or password.",
    P.THROTTLED: "ERR 350 Account server subsystem is not ready.",
    P.DENIED: "ERR 200 Access denied.",
    P.LAST_ADMINISTRATOR: "ERR 200 Access denied: this is the last administrator.",
    P.NO_MACHINE: "ERR 413 No machine selected.",
    P.UNKNOWN_MACHINE: "ERR 0 Invalid machine.",
    P.NO_MACHINES: "ERR 501 No machines connected.",
    P.UNKNOWN_SLOT: "ERR 409 Invalid slot.",
    P.UNKNOWN_USER: "ERR 410 Invalid user.",
    P.UNKNOWN_RECIPIENT: "ERR 410 Invalid user.",
    P.USER_EXISTS: "ERR 412 User already registered.",
    P.POOR: "ERR 203 User is poor.",
    P.SLOT_EMPTY: "ERR 100 Slot empty.",
    P.SLOT_DISABLED: "ERR 102 Slot disabled.",
    P.NO_SLOTS: "ERR 104 No slots available.",
    P.MACHINE_BUSY: "ERR 150 Unable to initialize hardware for drop.",
    P.UNREACHABLE: "ERR 151 Unable to communicate with hardware. Contact an admin.",
    P.NO_TEMPERATURE: "ERR 351 Unable to determine temperature.",
    P.DROP_FAILED: "ERR 101 Drop failed, contact an admin.",
    P.OUTCOME_UNKNOWN: "ERR 103 Unknown Failure. Credits held, drop {drop}",
    P.DROP_IN_PROGRESS: "WARN 152 Drop in progress, please wait before dropping again",
    P.FAULT: "ERR 103 Unknown Failure.",
    P.NOT_READY: "ERR 350 Account server subsystem is not ready.",
    P.STOCK_UNREADABLE: "ERR 350 Account server subsystem is not ready.",
    P.TRANSFER_FAILED: "ERR 103 Unknown Failure.",
    P.USER_NOT_CREATED: "ERR 352 Unable to create user.",
    P.USER_NOT_REMOVED: "ERR 353 Could not remove user.",
    P.ADMIN_FLAG_NOT_SET: "ERR 354 Unable to set admin flag.",
    P.SESSIONS_FULL: "ERR 205 Maximum user count reached.",
    P.IDLE: "ERR 450 Timeout, disconnecting.",
}


def _with_colon(said: str) -> str:
    return said.replace("OK ", "OK: ", 1) if said.startswith("OK ") else said


_DRINKJS: dict[Phrase, str] = {phrase: _with_colon(said) for phrase, said in _CLASSIC.items()} | {
    P.GREETING: "Welcome to {name}",
    P.PASSWORD_WANTED: "OK: ",
    P.BALANCE: "OK: {credits}",
    P.USERNAME: "OK:  {name}",
    P.MACHINE_CHOSEN: "OK:  Welcome to {name}",
    P.SLOTS_LISTED: "OK {count} Slots retrieved",
    P.DROPPED: "OK:  Dropping drink",
    P.CREDITS_SENT: "OK: ",
    P.SERVER_STATE: "{json}",
    P.GOODBYE: "Good Bye",
    P.UNKNOWN_COMMAND: "ERR 415 Invalid command",
    P.GARBLED: "ERR 406 Invalid parameters.",
    P.WRONG_ARITY: "ERR 206 Invalid number of args",
    P.BAD_AMOUNT: "ERR 210 Send amount must be a positive, whole number",
    P.BAD_DELAY: "ERR 403 Invalid delay",
    P.WRONG_PASSWORD: "ERR 407 Invalid password.",
    P.WRONG_IBUTTON: "ERR 207 Invalid Ibutton",
    P.UNKNOWN_MACHINE: "ERR 414 Invalid machine name - USAGE: MACHINE < d | ld | s >",
    P.NO_MACHINES: "ERR 501: No machines connected",
    P.UNKNOWN_SLOT: "ERR 105 Slot not found",
    P.UNKNOWN_RECIPIENT: "ERR 208 Transfer error - user doesnt exist",
    P.DROP_FAILED: "ERR 150 Unable to initialize hardware for drop.",
    P.STOCK_UNREADABLE: "ERR 416 Machine is offline or unreachable",
    P.TRANSFER_FAILED: "ERR 209 Error during credit transfer",
}


def _without_number(said: str) -> str:
    kind, _, rest = said.partition(" ")
    return said if kind == "OK" else f"ERR {rest.partition(' ')[2]}"


_DRINKD: dict[Phrase, str] = {
    phrase: _without_number(said) for phrase, said in _CLASSIC.items()
} | {
    P.GREETING: "Drink Server {version} Ready",
    P.GOODBYE: "OK Goodbye",
    P.UNKNOWN_COMMAND: "ERR Invalid command",
    P.BAD_SLOT: "ERR Invalid slot number.",
    P.UNKNOWN_SLOT: "ERR Invalid slot number.",
    P.LOGIN_NEEDED: "ERR You need to login first.",
    P.USER_NEEDED: "ERR You need to identify yourself first.",
    P.LOGGED_IN_ALREADY: "ERR You're already authenticated!",
    P.WRONG_PASSWORD: "ERR Invalid username or password.",
    P.POOR: "ERR Insuficient Credits.",
    P.SLOT_EMPTY: "ERR Slot appears to be empty",
    P.DROP_FAILED: "ERR Machine Failure on drop. Credits remaining: {credits}",
}

_LOGIN_USAGE = "ERR 206 Invalid number of args USAGE: PASS <username>"
_USAGE = "ERR 206 Invalid number of args - USAGE: "

CLASSIC = Dialect(
    name=DialectName.CLASSIC,
    texts=_CLASSIC,
    slot_line=_classic_slot,
    wrong_arity={V.MACHINE: _CLASSIC[P.UNKNOWN_COMMAND]},
)
"""What the touchscreens, the Qt client, PHP scripts and people with telnet speak."""

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
        V.DROP: _DRINKJS[P.BAD_SLOT],
    },
    heed=Heed({V.STAT: 0, V.GETBALANCE: 0, V.DROP: 2, V.UPTIME: 0, V.WHOAMI: 0, V.SERVERSTAT: 0}),
    eol="\r\n",
    stat_eol="\r\n",
    blank_is_unknown=True,
    silence_ends_line=True,
    refuses_second_drop=True,
)
"""What WebDrink, its socket bridge and everything else of 2011 to 2018 speak."""

DRINKD = Dialect(
    name=DialectName.DRINKD,
    texts=_DRINKD,
    slot_line=_drinkd_slot,
    wrong_arity={V.USER: "ERR Username required.", V.DROP: "ERR You must specify slot"},
    heed=Heed({V.STAT: 0, V.USER: 1, V.PASS: 1, V.DROP: 2}, frozenset({V.DROP})),
    greeting_eol="\n\0",
    slot_eol="\n\0",
    stat_eol="\n\0",
    first_slot=0,
    blank_is_unknown=True,
    silence_ends_line=True,
)
"""What the C client of 1999 speaks: it ends its strings where a NUL is sent."""

DIALECTS: Mapping[DialectName, Dialect] = {
    dialect.name: dialect for dialect in (CLASSIC, DRINKJS, DRINKD)
}
