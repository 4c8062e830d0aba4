"""Replies as bytes, in a listener's dialect."""

from drink_frontend.sessions.dialects import NAME_BYTES_MAX, Dialect, clean
from drink_frontend.sessions.phrases import Phrase
from drink_frontend.sessions.replies import MachineList, Reply, Say, SlotList, WrongArity


def greeting(dialect: Dialect, name: str, version: str) -> bytes:
    """The first line of a session."""
    said = _said(dialect, Say(Phrase.GREETING, {"name": name, "version": version}))
    return (said + dialect.greeting_eol).encode()


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
        f"{machine.name} - {clean(machine.display_name, NAME_BYTES_MAX)}\n"
        for machine in reply.machines
    )
    if dialect.machines_header is not None:
        return f"{dialect.machines_header}\n{lines}{dialect.eol}"
    count = Say(Phrase.MACHINES_LISTED, {"count": len(reply.machines)})
    return lines + _said(dialect, count) + dialect.eol
