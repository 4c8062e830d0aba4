"""Replies as bytes, in a listener's dialect."""

from drink_frontend.domain.entities import Slot
from drink_frontend.sessions.dialects import NAME_BYTES_MAX, Dialect, DialectName, clean
from drink_frontend.sessions.phrases import Phrase
from drink_frontend.sessions.replies import MachineList, Reply, Say, SlotList, WrongArity, title


def greeting(dialect: Dialect, name: str, version: str) -> bytes:
    """The first line of a session."""
    said = _said(dialect, Say(Phrase.GREETING, {"name": name, "version": version}))
    return (said + dialect.greeting_eol).encode()


PAGES_MAX = 1_000
"""Machines' pages kept, some 1 KB each with ten slots; as many as views of machines."""


class Pages:
    """Machines' slots as they were last put into words, for as long as they are the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[DialectName, str], tuple[tuple[Slot, ...], tuple[bytes, ...]]] = {}

    def encode(self, dialect: Dialect, reply: SlotList) -> tuple[bytes, ...]:
        """A reply to STAT, as `encode` gives it."""
        slots = reply.slots
        if len(slots) < 2:
            # One line is soon said, and must not take the place of a whole page.
            return encode(dialect, reply, to_stat=True)
        key = (dialect.name, slots[0].machine)
        kept = self._kept.get(key)
        # Slots are values that never change: the same ones have the same words.
        if kept is not None and kept[0] is slots:
            return kept[1]
        parts = encode(dialect, reply, to_stat=True)
        if kept is None and len(self._kept) >= PAGES_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (slots, parts)
        return parts


def encode(dialect: Dialect, reply: Reply, *, to_stat: bool = False) -> tuple[bytes, ...]:
    """A reply as bytes, in the parts that a client may need to receive one by one.

    Args:
        dialect: How to say it.
        reply: What to say.
        to_stat: Whether STAT is answered, whose lines some clients need ended in their own way.
    """
    eol = dialect.stat_eol if to_stat else dialect.eol
    match reply:
        case Say():
            return ((_said(dialect, reply) + eol).encode(),)
        case WrongArity(verb):
            said = dialect.wrong_arity.get(verb, dialect.texts[Phrase.WRONG_ARITY])
            return ((said + eol).encode(),)
        case SlotList(slots):
            body = "".join(
                dialect.slot_line(slot.number - 1 + dialect.first_slot, slot) + dialect.slot_eol
                for slot in slots
            )
            trailer = _said(dialect, Say(Phrase.SLOTS_LISTED, {"count": len(slots)})) + eol
            return (body.encode(), trailer.encode()) if body else (trailer.encode(),)
        case MachineList():
            return (_machines(dialect, reply).encode(),)


def _said(dialect: Dialect, say: Say) -> str:
    facts = {
        name: clean(fact, NAME_BYTES_MAX) if isinstance(fact, str) and name != "json" else fact
        for name, fact in say.facts.items()
    }
    return dialect.texts[say.phrase].format_map(facts)


def _machines(dialect: Dialect, reply: MachineList) -> str:
    lines = "".join(
        f"{machine.name} - {clean(title(machine), NAME_BYTES_MAX)}\n" for machine in reply.machines
    )
    if dialect.machines_header is not None:
        return f"{dialect.machines_header}\n{lines}{dialect.eol}"
    count = Say(Phrase.MACHINES_LISTED, {"count": len(reply.machines)})
    return lines + _said(dialect, count) + dialect.eol
