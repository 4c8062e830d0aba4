"""Books of before accounts had ids, and what the migration makes of them."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction

USERS = ("ann", "Ann", "bob", "root")
"""Two of them differ only in case, as release 0.1.0 could create them."""

_SUMS = "0, 0, 0, 0"
_ACCOUNT = (
    "INSERT INTO accounts (name, kind, admin, closed, credit_limit, created_ms, debits_pending,"
    " debits_posted, credits_pending, credits_posted) VALUES"
)
_TRANSFER = (
    "INSERT INTO transfers (id, kind, debit_account, credit_account, amount, created_ms, drop_id,"
    " resolves, actor, request_id) VALUES"
)
_DROP = (
    "INSERT INTO drops (id, account, request_id, fingerprint, machine, slot, item, price, hold_id,"
    " state, cause, epoch, journal_id, revision, created_ms, dispatched_ms) VALUES"
)
_AUDIT = "INSERT INTO audit (kind, at_ms, actor, drop_id, machine, account, facts) VALUES"

ROWS = (
    f"{_ACCOUNT} ('ann', 'USER', 0, 0, 40, 1, 30, 0, 0, 25)",
    f"{_ACCOUNT} ('Ann', 'USER', 0, 0, 0, 1, {_SUMS})",
    f"{_ACCOUNT} ('bob', 'USER', 0, 1, 0, 1, 0, 5, 0, 5)",
    f"{_ACCOUNT} ('root', 'USER', 1, 0, 0, 1, {_SUMS})",
    f"{_ACCOUNT} ('sales/d', 'SALES', 0, 0, 0, 1, 0, 0, 30, 0)",
    "UPDATE accounts SET debits_posted = 25 WHERE kind = 'FUNDING'",
    (
        "INSERT INTO machines"
        " (name, display_name, location, enabled, epoch, journal_sequence, reach)"
        " VALUES ('d', 'D', '', 1, 1, 0, 'OFFLINE')"
    ),
    (
        "INSERT INTO slots (machine, number, item, price, enabled, loaded, on_hand, reserved,"
        " dispensed, unknown, sensor, updated_ms)"
        " VALUES ('d', 1, 'Coke', 30, 1, 5, 4, 1, 0, 0, 'UNSPECIFIED', 5)"
    ),
    (
        f"{_AUDIT} ('STOCK_CHANGED', 1, 'root', NULL, 'd', NULL,"
        """ '{"slot":1,"from":{"on_hand":0},"to":{"on_hand":5}}')"""
    ),
    (
        f"{_AUDIT} ('ACCOUNT_CHANGED', 1, 'root', NULL, NULL, 'ann',"
        """ '{"credit_limit":40,"after_transfer":0}')"""
    ),
    f"{_TRANSFER} ('T1', 'MOVE', 'funding', 'ann', 20, 2, NULL, NULL, 'root', 'gift')",
    f"{_TRANSFER} ('T2', 'MOVE', 'funding', 'bob', 5, 2, NULL, NULL, 'operator:eve', 'gift-2')",
    f"{_TRANSFER} ('T3', 'MOVE', 'bob', 'ann', 5, 3, NULL, NULL, 'bob', 'sent')",
    (
        f"{_DROP} ('D1', 'ann', 'r1', 'f', 'd', 1, 'Coke', 30, 'H1', 'RESERVED', 'NONE', NULL,"
        " NULL, 0, 6, NULL)"
    ),
    f"{_TRANSFER} ('H1', 'HOLD', 'ann', 'sales/d', 30, 6, 'D1', NULL, NULL, NULL)",
    "UPDATE drops SET state = 'DISPATCHED', epoch = 1, journal_id = 'J', dispatched_ms = 7",
    (
        f"{_AUDIT} ('DROP_MOVED', 6, 'ann', 'D1', 'd', 'ann',"
        """ '{"event":"RESERVE","to":"RESERVED","price":30}')"""
    ),
    (
        f"{_AUDIT} ('DROP_MOVED', 7, 'frontend', 'D1', 'd', 'ann',"
        """ '{"event":"DISPATCH","from":"RESERVED","to":"DISPATCHED","cause":"NONE"}')"""
    ),
    "INSERT INTO tokens (digest, account, expires_ms) VALUES ('token-of-ann', 'ann', 9)",
    (
        "INSERT INTO scoped_tokens (digest, account, expires_ms, made_by, created_ms, scope)"
        " VALUES ('phone-of-ann', 'ann', 9, 'PASSWORD', 1, 'DROP')"
    ),
    (
        "INSERT INTO cards (digest, account, kind, length, created_ms, key_id)"
        " VALUES ('card-of-bob', 'bob', 'CHIP', 8, 1, 'key')"
    ),
    (
        "INSERT INTO preferences (account, favourites, ranked, language)"
        " VALUES ('ann', '[]', 1, 'en')"
    ),
    (
        "INSERT INTO alarms (kind, subject, machine, opened_ms, last_ms, count, facts,"
        " acknowledged_by, acknowledged_ms, closed_by, closed_ms)"
        " VALUES ('TWO_AGENTS', 'machines/d', 'd', 1, 1, 1, '{}', 'root', 2, 'operator:eve', 3)"
    ),
    """INSERT INTO events (sequence, at_ms, changes)
        VALUES (1, 1, '[["CREDITS","root",{"name":"ann"}]]')""",
    """INSERT INTO events (sequence, at_ms, changes)
        VALUES (2, 1, '[["CREDITS","root",{"name":"bob"}]]')""",
    "UPDATE event_log SET mark = 'mark of before'",
    (
        "INSERT INTO stock_movements (machine, slot, kind, change, on_hand, at_ms, actor)"
        " VALUES ('d', 1, 'COUNTED', 5, 5, 1, 'root')"
    ),
)
"""Statements that keep the books: ann has a drop at the motor, bob is closed."""

REFERENCES = {
    "tokens.account": ["ann"],
    "scoped_tokens.account": ["ann"],
    "cards.account": ["bob"],
    "preferences.account": ["ann"],
    "drops.account": ["ann"],
    "transfers.debit_account": ["ann", "bob", "funding"],
    "transfers.credit_account": ["ann", "bob", "sales/d"],
    "transfers.actor": ["bob", "operator:eve", "root"],
    "alarms.acknowledged_by": ["root"],
    "alarms.closed_by": ["operator:eve"],
    "stock_movements.actor": ["root"],
}
"""Whom each column refers to, by the names of the accounts."""


async def check(settings: StorageSettings, execute: Callable[[str], list[Any]]) -> None:
    """Checks what the migration made of the books."""
    names = dict(execute("SELECT id, name FROM accounts"))
    assert sorted(names.values()) == sorted([*USERS, "funding", "sales/d"])
    others = {"funding", "sales/d"}
    assert others <= names.keys()
    assert all(re.fullmatch("~[0-9A-Z]{10}", each) for each in names.keys() - others)
    for reference, expected in REFERENCES.items():
        table, _, column = reference.partition(".")
        found = execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")
        shown = sorted(names.get(each, each) for (each,) in found)
        assert shown == expected, reference
        assert not {each for (each,) in found} & set(USERS), reference
    assert list(execute("SELECT sequence, changes FROM events")) == [(2, "[]")]
    assert not execute("SELECT mark FROM event_log WHERE mark = 'mark of before'")
    async with Database.open(settings) as storage:
        assert await storage.verify() == []
        for name, posted in (("ann", 25), ("Ann", 0), ("bob", 0)):
            account = await storage.read(lambda tx, name=name: tx.accounts.find(name))  # type: ignore[misc]
            assert (account.name, account.posted) == (name, posted)
        assert await storage.read(lambda tx: tx.accounts.find("aNN")) is None
        drop = await storage.read(lambda tx: tx.drops.get("D1"))
        assert drop is not None
        assert (drop.buyer, names[drop.account]) == ("ann", "ann")
    with pytest.raises(Exception, match="never_change"):
        execute("UPDATE transfers SET actor = 'eve'")
    with pytest.raises(Exception, match="drops_order_never_changes"):
        execute("UPDATE drops SET account = account")
    with pytest.raises(Exception, match="stock_movements_never_change"):
        execute("UPDATE stock_movements SET actor = 'eve'")


async def check_display_names(settings: StorageSettings) -> None:
    """Checks that nobody has a display name after the migration, and all can get one."""
    async with Database.open(settings) as storage:
        users = await storage.read(lambda tx: tx.accounts.list_users())
        assert [(each.name, each.display_name) for each in users] == [
            (name, None) for name in sorted(USERS)
        ]
        # The rows of before took a number that an event of its own for each user would get.
        await storage.write(partial(_call_all, users=users))
        after = await storage.read(lambda tx: tx.accounts.list_users())
        assert [each.display_name for each in after] == [each.name * 2 for each in users]
        assert await storage.verify() == []


def _call_all(tx: Transaction, users: Sequence[Account]) -> None:
    for each in users:
        tx.accounts.update(each.id, display_name=each.name * 2)


BEFORE = "0015"
"""The schema of before accounts had ids."""
