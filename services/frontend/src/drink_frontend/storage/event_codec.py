"""The text of events in the database: JSON of what somebody may see.

A batch is a list of `[kind, actor, state]`; the state is an object with a field for each visible
field of the domain's class. What is hidden is not stored: password hashes, ids of holds, tokens.
Nor are names of accounts and of their owners, which change and are erased: the states refer to
accounts by ids, and `named` adds the present names to what was read.
Rows outlive an upgrade: a field that a row lacks has the default of its class, and one that the
class lacks is ignored.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, get_type_hints

from drink_frontend.domain.alarms import Alarm
from drink_frontend.domain.drop import State as DropState
from drink_frontend.domain.entities import ID_BEGINS, Account, AuditRecord, Drop, Machine, Slot
from drink_frontend.domain.events import Event, EventKind, State
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.pictures import Picture

STATES: Mapping[EventKind, type] = {
    EventKind.DROP: Drop,
    EventKind.DROP_RECORD: AuditRecord,
    EventKind.CREDITS: Account,
    EventKind.ACCOUNT: Account,
    EventKind.MACHINE: Machine,
    EventKind.REACH: Machine,
    EventKind.TEMPERATURE: Machine,
    EventKind.SLOT: Slot,
    EventKind.STOCK: Slot,
    EventKind.SLOT_DELETED: Slot,
    EventKind.ITEM: Item,
    EventKind.ITEM_DELETED: Item,
    EventKind.ALARM: Alarm,
    EventKind.KIOSK: Kiosk,
}
"""The class of each kind's state."""

HIDDEN: Mapping[type, Mapping[str, Any]] = {
    Drop: {
        "fingerprint": "",
        "hold_id": "",
        "sequence": 0,
        "epoch": None,
        "journal_id": None,
        "revision": 0,
        "buyer": "",
        "decider": None,
        "traceparent": None,
    },
    Account: {"name": "", "password_hash": None, "display_name": None},
    Machine: {"epoch": 0, "journal_id": None, "journal_sequence": 0, "slots": ()},
    # Evidence of an agent is stored once, so that what one stolen token can store stays bounded.
    Alarm: {"facts": {}},
    AuditRecord: {"sequence": 0, "facts": {}},
}
"""Fields that are not stored, with the value that each has when a batch is read."""

_REFERENCES: Mapping[type, Mapping[str, str]] = {
    Drop: {"buyer": "account", "decider": "decided_by"},
    Account: {"name": "id"},
    AuditRecord: {"actor": "actor"},
    Alarm: {"acknowledged_by": "acknowledged_by", "closed_by": "closed_by"},
}
"""Fields with a name for people, and the field with the id of whose name it is."""

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=asdict).encode


class _Codec:
    """Makes an object of a state's visible fields, and the reverse."""

    def __init__(self, kind: type) -> None:
        hints, self._hidden = get_type_hints(kind), HIDDEN.get(kind, {})
        self._names = [each.name for each in fields(kind) if each.name not in self._hidden]
        self._values = attrgetter(*self._names)
        self._readers: dict[str, Callable[[Any], Any]] = {
            name: hints[name]
            for name in self._names
            if isinstance(hints[name], type) and issubclass(hints[name], StrEnum)
        }
        if "picture" in self._names:
            self._readers["picture"] = _picture
        self._kind = kind

    def encode(self, state: State) -> dict[str, Any]:
        return dict(zip(self._names, self._values(state), strict=True))

    def decode(self, facts: Mapping[str, Any]) -> State:
        values = {name: facts[name] for name in self._names if name in facts}
        for name, reader in self._readers.items():
            if name in values:
                values[name] = reader(values[name])
        state: State = self._kind(**values, **self._hidden)
        return state


def _picture(facts: Mapping[str, Any] | None) -> Picture | None:
    return None if facts is None else Picture(**facts)


_CODECS = {kind: _Codec(kind) for kind in set(STATES.values())}

_DROP = _CODECS[Drop]
_ANSWERED = frozenset(state.value for state in DropState if state.answered)


def encode(events: Sequence[Event]) -> str:
    """The text of a batch."""
    return _to_json(
        [
            [event.kind, event.actor, _CODECS[type(event.state)].encode(event.state)]
            for event in events
        ]
    )


def decode(text: str) -> tuple[Event, ...]:
    """The events of a batch."""
    return tuple(
        Event(kind, _CODECS[STATES[kind]].decode(facts), actor)
        for kind, actor, facts in (
            (EventKind(name), actor, facts) for name, actor, facts in json.loads(text)
        )
    )


def outcomes(text: str) -> tuple[Drop, ...]:
    """The drops with an outcome that the events of a batch show, in their order."""
    found = []
    for kind, _, facts in json.loads(text):
        if kind == EventKind.DROP and facts["state"] in _ANSWERED:
            drop = _DROP.decode(facts)
            assert isinstance(drop, Drop)
            found.append(drop)
    return tuple(found)


def accounts_of(events: Sequence[Event]) -> set[str]:
    """The ids of users whose names `named` adds."""
    found = {event.actor for event in events}
    for event in events:
        fields_of = _REFERENCES.get(type(event.state), {})
        found |= {getattr(event.state, field) for field in fields_of.values()}
    return {each for each in found if each is not None and each.startswith(ID_BEGINS)}


def named(
    event: Event, names: Mapping[str, str], display_names: Mapping[str, str] | None = None
) -> Event:
    """The event with the names of these accounts, for people.

    Whose name is not among them has its id in its place, as after it was erased.

    Args:
        event: The event.
        names: Names of accounts by their ids.
        display_names: What to call their owners, of those who have such a name.
    """
    state = event.state
    shown: dict[str, Any] = {
        field: names.get(whose, whose)
        for field, source in _REFERENCES.get(type(state), {}).items()
        if (whose := getattr(state, source)) is not None
    }
    if isinstance(state, Account) and display_names:
        shown["display_name"] = display_names.get(state.id)
    actor = None if event.actor is None else names.get(event.actor, event.actor)
    changed: Any = replace(state, **shown) if shown else state
    return replace(event, state=changed, actor=actor)
