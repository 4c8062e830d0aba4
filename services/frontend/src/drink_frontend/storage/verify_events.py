"""Checks the log of events against what the database says of the same resources.

Like `verify`, it shares nothing with the code that writes events. Events may have been deleted from
the oldest on, and there are none of what happened before the log existed: so what is kept of a
drop's and an account's events must be the end of their history, and the last event of anything must
show its present state.
"""

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

from drink_frontend.storage.engine import Query

_CHANGES = "SELECT changes FROM events ORDER BY sequence"
_MOVES = "SELECT drop_id, facts FROM audit WHERE kind = 'DROP_MOVED' ORDER BY sequence"
_TRANSFERS = "SELECT kind, debit_account, credit_account, amount FROM transfers ORDER BY sequence"

_PRESENT = {
    "drop": "SELECT id, state, cause, decided_by, settled_ms FROM drops",
    "account": """SELECT id, admin, closed, credit_limit, debits_pending,
        credits_posted - debits_posted FROM accounts WHERE kind = 'USER'""",
    "machine": """SELECT name, display_name, location, enabled, reach, temperature_celsius,
        reach_ms, temperature_ms, agent_version, firmware_version FROM machines""",
    "slot": """SELECT machine || '/' || number, item, price, enabled, on_hand, reserved, dispensed,
        unknown, sensor FROM slots""",
    "item": "SELECT number, name, barcode, price FROM items",
    "alarm": "SELECT sequence, count, last_ms, acknowledged_by, closed_by FROM alarms",
    "kiosk": "SELECT sequence, machine, name, paired_ms, ended_ms FROM kiosks",
}
"""What the database says of each type of resource: its name, then what its last event shows."""

_SHOWN = {
    "drop": ("state", "cause", "decided_by", "settled_ms"),
    "account": ("admin", "closed", "credit_limit", "held", "posted"),
    "machine": (
        "display_name",
        "location",
        "enabled",
        "reach",
        "temperature_celsius",
        "reach_ms",
        "temperature_ms",
        "agent_version",
        "firmware_version",
    ),
    "slot": (
        "item",
        "price",
        "enabled",
        "on_hand",
        "reserved",
        "dispensed",
        "unknown",
        "sensor",
    ),
    "item": ("name", "barcode", "price"),
    "alarm": ("count", "last_ms", "acknowledged_by", "closed_by"),
    "kiosk": ("machine", "name", "paired_ms", "ended_ms"),
}
"""The same facts in an event, in the same order."""

_TYPES = {
    "DROP": "drop",
    "CREDITS": "account",
    "ACCOUNT": "account",
    "MACHINE": "machine",
    "REACH": "machine",
    "TEMPERATURE": "machine",
    "SLOT": "slot",
    "STOCK": "slot",
    "SLOT_DELETED": "slot",
    "ITEM": "item",
    "ITEM_DELETED": "item",
    "ALARM": "alarm",
    "KIOSK": "kiosk",
}
"""The type of resource that an event of each kind shows; a DROP_RECORD shows no resource."""


def check_events(query: Query) -> Iterator[str]:
    """The problems found, each beginning with the number of the invariant.

    Args:
        query: Runs a query on a snapshot.
    """
    last: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    moves: defaultdict[str, list[str]] = defaultdict(list)
    credits_: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    refunded: dict[str, int] = {}
    for (changes,) in query(_CHANGES):
        for kind, _, state in json.loads(changes):
            if kind not in _TYPES:
                continue
            name = _name(_TYPES[kind], state)
            last[_TYPES[kind]][name] = state
            if kind == "DROP" and state["refunded"] == refunded.get(name, state["refunded"]):
                moves[name].append(state["state"])
            if kind == "DROP":
                refunded[name] = state["refunded"]
            if kind == "CREDITS":
                credits_[name].append((state["posted"], state["held"]))
    yield from _check_last(query, last)
    yield from _check_ends("drop", moves, _histories(query, moves))
    yield from _check_ends("account", credits_, _balances(query, credits_))


def _name(kind: str, state: Mapping[str, Any]) -> str:
    match kind:
        case "drop" | "account":
            return str(state["id"])
        case "slot":
            return f"{state['machine']}/{state['number']}"
        case "alarm" | "kiosk":
            return str(state["sequence"])
        case "item":
            return str(state["number"])
        case _:
            return str(state["name"])


def _check_last(query: Query, last: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    for kind, shown in last.items():
        for name, *facts in query(_PRESENT[kind]):
            event = shown.get(str(name))
            # An event of an older version lacks facts that the resource did not have then.
            if event is not None and [event.get(fact) for fact in _SHOWN[kind]] != facts:
                yield f"28: the last event of {kind} {name} does not show what became of it"


def _check_ends(
    kind: str, told: Mapping[str, list[Any]], happened: Mapping[str, deque[Any]]
) -> Iterator[str]:
    for name, events in told.items():
        if events != list(happened[name]):
            yield f"28: the events of {kind} {name} leave out, add or repeat a change"


def _histories(query: Query, told: Mapping[str, list[str]]) -> dict[str, deque[str]]:
    """The last states of each drop by the audit log, as many as events tell of."""
    ends = {name: deque[str](maxlen=len(events)) for name, events in told.items()}
    for name, facts in query(_MOVES):
        if name in ends:
            ends[name].append(json.loads(facts)["to"])
    return ends


def _balances(
    query: Query, told: Mapping[str, list[tuple[int, int]]]
) -> dict[str, deque[tuple[int, int]]]:
    """What each account owned and had held after its last transfers, as many as events tell of."""
    ends = {name: deque[tuple[int, int]](maxlen=len(events)) for name, events in told.items()}
    now: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for kind, debit_account, credit_account, amount in query(_TRANSFERS):
        is_paid = kind in {"MOVE", "POST"}
        held = {"HOLD": amount, "MOVE": 0}.get(kind, -amount)
        for name, sign in ((debit_account, -1), (credit_account, 1)):
            if name in ends:
                posted, before = now[name]
                now[name] = (
                    posted + sign * amount * is_paid,
                    before + held if sign < 0 else before,
                )
                ends[name].append(now[name])
    return ends
