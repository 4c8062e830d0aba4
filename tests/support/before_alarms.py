"""What a program of release 0.1.0 kept and what alarms a migration makes of it."""

_SLOT = "'d', 1, 'Coke', 50, 1, 9, 8, 0, 0, 1, 'UNSPECIFIED', 5"
_DROP = "'D1', 'ann', 'r1', 'f', 'd', 1, 'Coke', 50, 'H1', 'UNKNOWN', 'BOARD_SILENT', 1, 'J', 0"

_RECORDS = (
    ("TWO_AGENTS", 1, "NULL", '{"n": 1}'),
    ("LINK_OPENED", 2, "NULL", "{}"),
    ("TWO_AGENTS", 3, "NULL", '{"n": 2}'),
    ("SENSOR_CONTRADICTED", 4, "NULL", '{"slot": 1}'),
    ("DROP_CONTRADICTED", 5, "'D0'", "{}"),
)
_INTO_ACCOUNTS = (
    "accounts (name, kind, admin, closed, created_ms, debits_pending, debits_posted,"
    " credits_pending, credits_posted)"
)
_INTO_MACHINES = "machines (name, display_name, location, enabled, epoch, journal_sequence, reach)"
_INTO_SLOTS = (
    "slots (machine, number, item, price, enabled, loaded, on_hand, reserved, dispensed, unknown,"
    " sensor, updated_ms)"
)
_INTO_DROPS = (
    "drops (id, account, request_id, fingerprint, machine, slot, item, price, hold_id, state,"
    " cause, epoch, journal_id, revision, created_ms, dispatched_ms, settled_ms)"
)
_INTO_AUDIT = "audit (kind, at_ms, actor, drop_id, machine, facts)"

ROWS = (
    f"INSERT INTO {_INTO_ACCOUNTS} VALUES ('ann', 'USER', 0, 0, 1, 0, 0, 0, 0)",
    f"INSERT INTO {_INTO_MACHINES} VALUES ('d', 'D', '', 1, 1, 0, 'OFFLINE')",
    f"INSERT INTO {_INTO_SLOTS} VALUES ({_SLOT})",
    f"INSERT INTO {_INTO_DROPS} VALUES ({_DROP}, 6, 7, 8)",
    *(
        f"INSERT INTO {_INTO_AUDIT} VALUES ('{kind}', {at_ms}, 'agent:d', {drop}, 'd', '{facts}')"
        for kind, at_ms, drop, facts in _RECORDS
    ),
)
"""Statements that keep it."""

ALARMS = [
    ("TWO_AGENTS", "machines/d", "d", 1, 3, 2, '{"n": 2}', None),
    ("SENSOR_CONTRADICTED", "machines/d/slots/1", "d", 4, 4, 1, '{"slot": 1}', None),
    ("DROP_CONTRADICTED", "drops/D0", "d", 5, 5, 1, "{}", None),
    (
        "DROP_UNKNOWN",
        "drops/D1",
        "d",
        8,
        8,
        1,
        '{"cause": "BOARD_SILENT", "price": 50, "slot": 1, "item": "Coke"}',
        None,
    ),
]
"""What ASKED answers after the migration."""

ASKED = (
    "SELECT kind, subject, machine, opened_ms, last_ms, count, facts, closed_ms FROM alarms"
    " ORDER BY sequence"
)

MOVEMENTS = [("d", 1, "COUNTED", 9, 8, 5, "frontend", "opening", None)]
"""What ASKED_MOVEMENTS answers after the migration."""

ASKED_MOVEMENTS = (
    "SELECT machine, slot, kind, change, on_hand, at_ms, actor, reason, drop_id"
    " FROM stock_movements ORDER BY sequence"
)


RELEASE = "0001"
"""The schema of release 0.1.0."""
