"""Replies of sessions, and their encoding in a listener's dialect."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from drink_frontend.domain.cache import Cache
from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.dialects import NAME_BYTES_MAX, Dialect, DialectName, clean
from drink_frontend.sessions.reply_codes import ReplyCode

UNKNOWN_LOCATION = "Unknown"
"""Shown for a machine without a location."""

STAT_REPLIES_MAX = 1_000
"""Encoded replies to STAT that are cached, some 1 KB each with ten slots; as many as cached
machines."""


Fields = Mapping[str, str | int | float]
"""What a text has in braces, by name."""


class StatusLine(NamedTuple):
    """One line: a reply code, and the fields of its text."""

    code: ReplyCode
    fields: Fields = MappingProxyType({})


class WrongArity(NamedTuple):
    """The command has too few or too many arguments; some dialects then describe its usage."""

    verb: Verb


class SlotList(NamedTuple):
    """One line for each slot, and a line with their number."""

    slots: tuple[Slot, ...]


class MachineList(NamedTuple):
    """One line for each machine that can be reached; at least one."""

    machines: tuple[Machine, ...]


Reply = StatusLine | WrongArity | SlotList | MachineList


def machine_title(machine: Machine) -> str:
    """The display name of a machine, or its name if it has none."""
    return machine.display_name.strip() or machine.name


def machine_location(machine: Machine) -> str:
    """The location of a machine, without a full stop at the end."""
    return machine.location.strip().removesuffix(".").strip() or UNKNOWN_LOCATION


def greeting(dialect: Dialect, name: str, version: str) -> bytes:
    """The first line of a session."""
    line = _text(dialect, ReplyCode.GREETING, {"name": name, "version": version})
    return (line + dialect.greeting_eol).encode()


def encode(dialect: Dialect, reply: Reply, *, to_stat: bool = False) -> tuple[bytes, ...]:
    """A reply as bytes, in the parts that a client may need to receive separately.

    Args:
        dialect: The words and line ends.
        reply: The content.
        to_stat: Whether it is a reply to STAT, whose lines have other ends in some dialects.
    """
    eol = dialect.stat_eol if to_stat else dialect.eol
    if isinstance(reply, StatusLine):
        return ((_text(dialect, reply.code, reply.fields) + eol).encode(),)
    match reply:
        case WrongArity(verb):
            text = dialect.wrong_arity.get(verb, dialect.texts[ReplyCode.WRONG_ARITY])
            return ((text + eol).encode(),)
        case SlotList(slots):
            body = "".join(
                dialect.slot_line(slot.number - 1 + dialect.first_slot, slot) + dialect.slot_eol
                for slot in slots
            )
            trailer = _text(dialect, ReplyCode.SLOTS_LISTED, {"count": len(slots)}) + eol
            return (body.encode(), trailer.encode()) if body else (trailer.encode(),)
        case MachineList(machines):
            return (_machine_lines(dialect, machines).encode(),)


def _text(dialect: Dialect, code: ReplyCode, fields: Fields) -> str:
    for value in fields.values():
        if isinstance(value, str):
            fields = _cleaned(fields)
            break
    return dialect.texts[code].format_map(fields)


def _cleaned(fields: Fields) -> Fields:
    return {
        name: clean(value, NAME_BYTES_MAX) if isinstance(value, str) and name != "json" else value
        for name, value in fields.items()
    }


def _machine_lines(dialect: Dialect, machines: tuple[Machine, ...]) -> str:
    lines = "".join(
        f"{machine.name} - {clean(machine_title(machine), NAME_BYTES_MAX)}\n"
        for machine in machines
    )
    if dialect.machines_header is not None:
        return f"{dialect.machines_header}\n{lines}{dialect.eol}"
    count = {"count": len(machines)}
    return lines + _text(dialect, ReplyCode.MACHINES_LISTED, count) + dialect.eol


class StatReplies:
    """The encoded reply to STAT of each machine and dialect, until the machine's slots change."""

    def __init__(self) -> None:
        self._cache = Cache[tuple[DialectName, str], tuple[tuple[Slot, ...], tuple[bytes, ...]]](
            STAT_REPLIES_MAX
        )

    def encode(self, dialect: Dialect, reply: SlotList) -> tuple[bytes, ...]:
        """The reply as bytes, as `encode` returns them."""
        slots = reply.slots
        if len(slots) < 2:
            # A reply to STAT with a number: encoded quickly, and not the machine's whole reply.
            return encode(dialect, reply, to_stat=True)
        key = (dialect.name, slots[0].machine)
        cached = self._cache.get_cached(key)
        # Slots are immutable, so the same tuple has the same encoding.
        if cached is not None and cached[0] is slots:
            return cached[1]
        parts = encode(dialect, reply, to_stat=True)
        self._cache.keep(key, (slots, parts))
        return parts
