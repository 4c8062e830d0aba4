"""Every constraint and trigger, proven by trying to break it with raw SQL."""

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import psycopg
import pytest

from drink_frontend.domain.cards import Card, CardKind, CardRead
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.identities import Identity
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.ledger import TransferKind
from drink_frontend.domain.pictures import Picture
from drink_frontend.domain.preferences import Preferences
from drink_frontend.domain.provider_logins import ProviderLogin
from drink_frontend.domain.statistics import NAMES
from drink_frontend.domain.tokens import Scope
from drink_frontend.domain.upkeep import Done, Task
from drink_frontend.storage.engine import DatabaseConnection
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.sqlite_engine import SqliteEngine, open_file
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.triggers import TRIGGERS
from tests.support.books import NOW, PRICE, advance, found, hold_of, reserve, resolution_of, token
from tests.support.books import drop as order
from tests.support.books import refund as give_back
from tests.support.databases import fresh_sqlite
from tests.support.guards import guards
from tests.support.ids import ALICE, BOB, id_of
from tests.support.kiosk_breaks import KIOSK_BREAKS, NOBODY, insert
from tests.support.notification_breaks import NOTIFICATION_BREAKS, furnish_notifications
from tests.support.postgres import fresh_postgres
from tests.support.temperature_breaks import TEMPERATURES

PostgresBooks = psycopg.Connection[tuple[Any, ...]]


def furnish(connection: DatabaseConnection) -> None:
    """Makes a sound house: drop 1 is reserved, 2 dispensed, 3 unknown, 4 dispensed and refunded."""
    connection.begin()
    rows = IdentityMap(connection.executor)
    tx = Transaction(rows, 9)
    found(tx)
    tx.accounts.update(ALICE, ibutton_digest="ibutton")
    tx.machines.update("d", token_digest="token")
    tx.tokens.add(token("bearer"))
    tx.tokens.add(token("limited", scope=Scope.READ))
    tx.items.add(Item(7, "item 2", "4001", PRICE, 0, 0))
    tx.items.add(Item(9, "item 9", None, PRICE, 0, 0))
    tx.items.set_picture(7, Picture("image/png", 1, 1, 5, "e"), b"bytes", 0)
    tx.machines.sell_item("d", 2, tx.items.get(7), 0)
    tx.preferences.keep(ALICE, Preferences())
    tx.identities.add(Identity("s", "uuid", ALICE, "alice", 0))
    tx.upkeep.keep(Done(Task.BACKUP, 1))
    furnish_notifications(tx)
    tx.provider_logins.add(ProviderLogin("a", "i", "s", None, None, 1), 0)
    kiosk = tx.kiosks.add(Kiosk("d", None, 0, 1), "code")
    tx.kiosks.pair(kiosk.sequence, "kiosk token", 0)
    tx.kiosks.add(Kiosk("d", None, 0, 1), "kiosk code")
    tx.tokens.add(token("at-kiosk", scope=Scope.DROP, kiosk=kiosk.sequence, buys_until_ms=NOW))
    read = tx.card_reads.add(CardRead(1, "white", CardKind.CHIP, 8, None, 1), "d", 0)
    tx.card_reads.offer(read.sequence, "card code", 1)
    tx.cards.add(Card("blue", ALICE, CardKind.CHIP, 8, None, 0), "key-1")
    for number in (1, 2, 3):
        reserve(tx, order(number))
    advance(tx, order(2).id, State.DISPENSED, Cause.BOARD_ACK)
    advance(tx, order(3).id, State.UNKNOWN, Cause.BOARD_SILENT)
    reserve(tx, order(4))
    advance(tx, order(4).id, State.DISPENSED, Cause.BOARD_ACK)
    give_back(tx, order(4), 10)
    rows.store()
    connection.commit()
    connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    settings = fresh_sqlite(tmp_path_factory.mktemp("house"))
    furnish(SqliteEngine(settings, exclusive=False).connect(read_only=False))
    driver = open_file(settings, read_only=False)
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def postgres_house() -> Iterator[PostgresBooks]:
    settings = fresh_postgres()
    furnish(PostgresEngine(settings).connect(read_only=False))
    with psycopg.connect(settings.url or "") as driver:
        yield driver


SUM: dict[str, Any] = dict.fromkeys(NAMES, 1) | {
    "owner": "alice",
    "kind": "DAY",
    "period": 20261129,
    "machine": "",
    "subject": "",
}


def account(**changes: Any) -> str:
    row = dict.fromkeys(
        ("admin", "closed", "debits_pending", "debits_posted", "credits_pending", "credits_posted"),
        0,
    )
    return insert(
        "accounts",
        **{"id": id_of("eve"), "name": "eve", "kind": "USER", "created_ms": 0, **row, **changes},
    )


def slot(**changes: Any) -> str:
    row = dict.fromkeys(("loaded", "on_hand", "reserved", "dispensed", "unknown"), 0)
    new = {"machine": "d", "number": 9, "item": "Tea", "price": 1, "enabled": 1, "sensor": "EMPTY"}
    return insert("slots", **{**new, "updated_ms": 0, **row, **changes})


def machine(**changes: Any) -> str:
    new = {"name": "x", "display_name": "", "location": "", "enabled": 1, "epoch": 0}
    return insert("machines", **{**new, "journal_sequence": 0, "reach": "OFFLINE", **changes})


def frontend(**changes: Any) -> str:
    new = {"id": "F", "name": "", "version": "", "started_ms": 0, "beats": 1}
    return insert("frontends", **{**new, **changes})


def drop(**changes: Any) -> str:
    row = asdict(order(9))
    del row["sequence"], row["refunded"], row["buyer"], row["decider"]
    return insert("drops", **{**row, **changes})


def transfer(**changes: Any) -> str:
    new = {
        "id": "new",
        "kind": "MOVE",
        "debit_account": ALICE,
        "credit_account": BOB,
        "amount": 1,
        "created_ms": 0,
        "actor": "root",
        "request_id": "new",
    }
    return insert("transfers", **{**new, **changes})


def resolution(kind: TransferKind, number: int, **changes: Any) -> str:
    return insert("transfers", **asdict(resolution_of(order(number), kind, **changes)))


def hold(**changes: Any) -> str:
    return insert("transfers", **asdict(hold_of(order(1), **changes)))


def refund(**changes: Any) -> str:
    new = {"drop_id": order(2).id, "transfer_id": "new", "amount": 50}
    return insert("refunds", **{**new, "restocked": 0, **changes})


def movement(**changes: Any) -> str:
    new = {"machine": "d", "slot": 1, "kind": "LOADED", "change": 1, "on_hand": 1, "at_ms": 0}
    return insert("stock_movements", **{**new, "actor": "root", **changes})


SALE = {"kind": "SOLD", "change": -1, "drop_id": order(2).id}


def update(what: str) -> str:
    return f"UPDATE {what}"


OF_DROP = {"drop_id": order(1).id, "actor": None, "request_id": None}
SETTLE = "drops SET settled_ms = 1, "
LINK = "epoch = 1, journal_id = 'j', dispatched_ms = 1"
FIRST = "WHERE request_id = 'request-1'"

ALARM_ROW: dict[str, Any] = {
    "kind": "LINK_FLOODED",
    "subject": "machines/d",
    "machine": "d",
    "opened_ms": 1,
    "last_ms": 1,
    "count": 1,
    "facts": "{}",
}
ALARM = insert("alarms", **ALARM_ROW)

SCOPED: dict[str, Any] = {
    "digest": "x",
    "account": BOB,
    "expires_ms": 0,
    "made_by": "PASSWORD",
    "created_ms": 0,
    "scope": "DROP",
}
CARD: dict[str, Any] = {
    "digest": "x",
    "account": BOB,
    "kind": "CHIP",
    "length": 8,
    "created_ms": 0,
    "key_id": "key-1",
}

ITEM = {"number": 8, "name": "Tea", "price": 1, "created_ms": 0, "updated_ms": 0}
PROVIDER_LOGIN = {"assertion": "a", "issuer": "i", "subject": "s", "expires_ms": 1}
IDENTITY = {"source": "s", "subject": "new", "account": BOB, "created_ms": 0}
IDENTITY |= {"admin": 0, "cards": ""}

PREFERENCES = {"account": BOB, "favourites": "", "ranked": 0, "language": ""}
UPKEEP = {"task": "BACKUP", "done_ms": 1, "problems": 0, "facts": "{}"}
PICTURE = {
    "item_number": 9,
    "media_type": "image/png",
    "width": 1,
    "height": 1,
    "size": 1,
    "etag": "x",
}

# What breaks each: a statement, after those that take other guards out of its way.
BREAKS: dict[str, str | tuple[str, str]] = {
    "compatibility_key": insert("compatibility", revision="0001", oldest="0001"),
    "alarms_key": (
        insert("alarms", **ALARM_ROW | {"sequence": 7}),
        insert("alarms", **ALARM_ROW | {"sequence": 7, "subject": "machines/ld"}),
    ),
    "alarms_open_once": (ALARM, ALARM),
    "alarms_acknowledged": insert("alarms", **ALARM_ROW | {"acknowledged_by": "root"}),
    "alarms_closed": insert("alarms", **ALARM_ROW | {"closed_ms": 1}),
    "alarms_machine_exists": insert("alarms", **ALARM_ROW | {"machine": "nowhere"}),
    "alarms_count": insert("alarms", **ALARM_ROW | {"count": 0}),
    "alarms_facts": insert("alarms", **ALARM_ROW | {"facts": "x" * 65_537}),
    "events_key": insert("events", sequence=0, at_ms=0, changes="[]"),
    "event_log_key": (insert("event_log", mark="00"), insert("event_log", mark="00")),
    "writers_key": (
        insert("writers", id="one", batch=1, seen_ms=0),
        insert("writers", id="one", batch=2, seen_ms=0),
    ),
    "accounts_key": account(id=ALICE),
    "accounts_name_once": account(name="alice"),
    "accounts_ibutton_digest_once": account(ibutton_digest="ibutton"),
    "accounts_kind": account(kind="BANK"),
    "accounts_flags": account(admin=2),
    "accounts_totals": account(kind="FUNDING", credits_posted=-1),
    "accounts_limit": account(credit_limit=-1),
    "accounts_available": update("accounts SET debits_pending = 951 WHERE name = 'alice'"),
    "tokens_key": insert("tokens", digest="bearer", account=BOB, expires_ms=0),
    "tokens_account_exists": insert("tokens", digest="x", account=NOBODY, expires_ms=0),
    "scoped_tokens_key": insert("scoped_tokens", **SCOPED | {"digest": "limited"}),
    "scoped_tokens_account_exists": insert("scoped_tokens", **SCOPED | {"account": NOBODY}),
    "scoped_tokens_scope": insert("scoped_tokens", **SCOPED | {"scope": "ALL"}),
    "cards_key": insert("cards", **CARD | {"digest": "blue"}),
    "cards_account_exists": insert("cards", **CARD | {"account": NOBODY}),
    "cards_kind": insert("cards", **CARD | {"kind": "RING"}),
    "cards_length": insert("cards", **CARD | {"length": 0}),
    **KIOSK_BREAKS,
    **NOTIFICATION_BREAKS,
    "identities_key": insert("identities", **IDENTITY | {"subject": "uuid"}),
    "identities_account_exists": insert("identities", **IDENTITY | {"account": NOBODY}),
    "identities_admin": insert("identities", **IDENTITY | {"admin": 2}),
    "upkeep_key": insert("upkeep", **UPKEEP),
    "upkeep_task": insert("upkeep", **UPKEEP | {"task": "SWEEP"}),
    "upkeep_problems": insert("upkeep", **UPKEEP | {"task": "BOOKS", "problems": -1}),
    "upkeep_facts": insert("upkeep", **UPKEEP | {"task": "BOOKS", "facts": "x" * 65_537}),
    "provider_logins_key": insert("provider_logins", **PROVIDER_LOGIN),
    "preferences_key": insert("preferences", **PREFERENCES | {"account": ALICE}),
    "preferences_account_exists": insert("preferences", **PREFERENCES | {"account": NOBODY}),
    "preferences_ranked": insert("preferences", **PREFERENCES | {"ranked": 2}),
    "machines_key": machine(name="d"),
    "machines_token_digest_once": machine(token_digest="token"),
    "machines_flags": machine(enabled=2),
    "machines_counts": machine(epoch=-1),
    "machines_reach": machine(reach="NEAR", frontend="F"),
    "machines_linked": machine(reach="READY"),
    "frontends_key": (frontend(), frontend()),
    "frontends_beats": frontend(beats=0),
    "items_key": insert("items", **ITEM | {"number": 7}),
    "items_barcode_once": insert("items", **ITEM | {"barcode": "4001"}),
    "items_number": insert("items", **ITEM | {"number": 1_000_000}),
    "items_price": insert("items", **ITEM | {"price": -1}),
    "item_pictures_key": insert("item_pictures", **PICTURE | {"item_number": 7}),
    "item_pictures_item_number_exists": insert("item_pictures", **PICTURE | {"item_number": 8}),
    "item_pictures_sides": insert("item_pictures", **PICTURE | {"width": 4_097}),
    "item_pictures_size": insert("item_pictures", **PICTURE | {"size": 0}),
    "statistics_key": (insert("statistics", **SUM), insert("statistics", **SUM)),
    "statistics_kind": insert("statistics", **SUM | {"kind": "YEAR"}),
    "statistics_numbers": insert("statistics", **SUM | {"held": -1}),
    "statistics_unknown_key": (insert("statistics_unknown", drop_id="x"),) * 2,
    "statistics_progress_key": "INSERT INTO statistics_progress SELECT * FROM statistics_progress",
    "statistics_progress_number": update("statistics_progress SET number = 2"),
    "statistics_progress_phase": update("statistics_progress SET phase = 'RESTING'"),
    "picture_parts_key": "INSERT INTO picture_parts SELECT * FROM picture_parts",
    "picture_parts_item_number_exists": update("picture_parts SET item_number = 8"),
    "picture_parts_content": update("picture_parts SET content = substr(content, 9)"),
    "slots_item_number_exists": slot(item_number=8),
    "slots_fit_item": update("slots SET price = price + 1 WHERE number = 2"),
    "slots_key": slot(number=1),
    "slots_machine_exists": slot(machine="nowhere"),
    "slots_number": slot(number=0),
    "slots_price": slot(price=1_000_001),
    "slots_flags": slot(enabled=-1),
    "slots_places": slot(on_hand=-1, reserved=1),
    "slots_loaded": slot(on_hand=1),
    "slots_levels": slot(low_stock_mark=-1),
    "slots_deleted": update("slots SET deleted_ms = 1 WHERE number = 1"),
    "slots_sensor": slot(sensor="BROKEN"),
    "slots_loaded_within_limit": update(
        "slots SET on_hand = 10001, loaded = 10005 WHERE number = 1"
    ),
    "drops_key": drop(sequence=1),
    "drops_id_once": drop(id=order(1).id),
    "drops_account_request_id_once": drop(request_id="request-1"),
    "drops_account_exists": drop(account=NOBODY),
    "drops_machine_slot_exists": drop(slot=9),
    "drops_state": drop(state="LOST"),
    "drops_price": drop(price=-1),
    "drops_scheduled": drop(state="SCHEDULED"),
    "drops_waiting": drop(epoch=1),
    "drops_dispatched": update(f"drops SET state = 'DISPATCHED' {FIRST}"),
    "drops_settled": update(f"drops SET state = 'UNKNOWN', cause = 'AGENT_LOST' {FIRST}"),
    "drops_dispensed": update(f"{SETTLE} state = 'DISPENSED', cause = 'AGENT_LOST' {FIRST}"),
    "drops_not_dispensed": update(f"{SETTLE} state = 'NOT_DISPENSED', cause = 'NONE' {FIRST}"),
    "drops_unknown": update(f"{SETTLE} state = 'UNKNOWN', cause = 'CANCELLED' {FIRST}"),
    "drops_decided": update(f"{SETTLE} state = 'DISPENSED', cause = 'OPERATOR' {FIRST}"),
    "drops_revision": drop(revision=-1),
    "drops_dispatched_alone": (
        update(f"drops SET state = 'DISPATCHED', {LINK} {FIRST}"),
        drop(state="DISPATCHED", epoch=1, journal_id="j", dispatched_ms=1),
    ),
    "drops_never_go": "DELETE FROM drops",
    "drops_order_never_changes": update("drops SET price = 1"),
    "drops_settled_stay": update("drops SET state = state WHERE request_id = 'request-2'"),
    "drops_dispatched_from_reserved": (
        update(f"drops SET state = 'DISPATCHED', {LINK} {FIRST}"),
        update(f"drops SET state = state {FIRST}"),
    ),
    "drops_move_with_hold": (
        drop(),
        update("drops SET state = state WHERE request_id = 'request-9'"),
    ),
    "transfers_key": transfer(sequence=1),
    "transfers_id_once": transfer(id="move-founding"),
    "transfers_debit_account_exists": transfer(debit_account=NOBODY),
    "transfers_credit_account_exists": transfer(credit_account=NOBODY),
    "transfers_drop_id_exists": (
        "DROP TRIGGER transfers_hold_fits",
        hold(id="new", drop_id="nothing"),
    ),
    "transfers_resolves_exists": (
        "DROP TRIGGER transfers_resolution_fits",
        resolution(TransferKind.VOID, 1, resolves="nothing"),
    ),
    "transfers_kind": transfer(kind="GIFT", **OF_DROP),
    "transfers_amount": transfer(amount=1_000_001),
    "transfers_accounts": transfer(credit_account=ALICE),
    "transfers_drop": transfer(drop_id=order(1).id),
    "transfers_resolves": transfer(kind="POST", **OF_DROP),
    "transfers_actor": transfer(actor=None),
    "transfers_request": transfer(request_id=None),
    "transfers_one_hold": ("DROP TRIGGER transfers_hold_fits", hold(id="new")),
    "transfers_one_resolution": resolution(TransferKind.POST, 2, id="new"),
    "transfers_one_request": transfer(request_id="founding"),
    "transfers_hold_fits": hold(id="new"),
    "transfers_resolution_fits": resolution(TransferKind.POST, 3),
    "transfers_never_change": update("transfers SET created_ms = 0"),
    "transfers_never_go": "DELETE FROM transfers",
    "transfers_refund_fits": (refund(), transfer(debit_account="sales/d", credit_account=ALICE)),
    "refunds_key": refund(drop_id=order(4).id),
    "refunds_drop_id_exists": ("DROP TRIGGER refunds_fit", refund(drop_id="nothing")),
    "refunds_transfer_id_once": refund(transfer_id="move-refund"),
    "refunds_amount": refund(amount=0),
    "refunds_restocked": refund(restocked=2),
    "refunds_fit": refund(amount=51),
    "refunds_never_change": update("refunds SET amount = 2"),
    "refunds_never_go": "DELETE FROM refunds",
    "stock_movements_key": movement(sequence=1),
    "stock_movements_machine_slot_exists": movement(slot=9),
    "stock_movements_drop_id_exists": (
        "DROP TRIGGER stock_movements_fit",
        movement(**SALE | {"drop_id": "nothing"}),
    ),
    "stock_movements_kind": movement(kind="GIVEN", change=-1),
    "stock_movements_change": movement(change=0),
    "stock_movements_on_hand": movement(on_hand=-1),
    "stock_movements_drop": movement(drop_id=order(2).id),
    "stock_movements_one_drop": movement(**SALE),
    "stock_movements_one_request": (movement(request_id="once"), movement(request_id="once")),
    "stock_movements_fit": movement(**SALE | {"drop_id": order(1).id}),
    "stock_movements_never_change": update("stock_movements SET change = 2"),
    "stock_movements_never_go": "DELETE FROM stock_movements",
    "audit_key": insert("audit", sequence=1, kind="NOTE", at_ms=0, actor="root", facts="{}"),
    "audit_facts": insert("audit", kind="NOTE", at_ms=0, actor="root", facts=" " * 65_537),
    "audit_never_changes": update("audit SET actor = 'nobody'"),
    "audit_never_goes": "DELETE FROM audit",
    **TEMPERATURES,
}


def test_each_guard_has_its_case() -> None:
    assert sorted(BREAKS) == sorted(guards())


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_guard_refuses_what_would_break_it(books: sqlite3.Connection, name: str) -> None:
    """Invariants 2, 3, 4, 8, 10 and 11: the database itself refuses what would break them."""
    steps = BREAKS[name]
    *before, last = [steps] if isinstance(steps, str) else steps
    for statement in before:
        books.execute(statement)
    with pytest.raises(sqlite3.IntegrityError) as refusal:
        books.execute(last)
    assert str(refusal.value) == guards()[name]


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_guard_refuses_it_on_postgresql_too(postgres_house: PostgresBooks, name: str) -> None:
    """Invariants 2, 3, 4, 8, 10 and 11, on the other engine."""
    steps = BREAKS[name]
    *before, last = [steps] if isinstance(steps, str) else steps
    with postgres_house.transaction(force_rollback=True):
        for statement in before:
            dropped = statement.removeprefix("DROP TRIGGER ")
            on_table = f" ON {TRIGGERS[dropped].table}" if dropped != statement else ""
            postgres_house.execute(f"{statement}{on_table}".encode())
        with pytest.raises(psycopg.IntegrityError) as refusal:
            postgres_house.execute(last.encode())
        assert refusal.value.diag.constraint_name == name


@pytest.mark.parametrize("table", ["transfers", "audit", "drops", "refunds", "stock_movements"])
def test_rows_do_not_go_all_at_once_either(postgres_house: PostgresBooks, table: str) -> None:
    """Invariant 4, where TRUNCATE would get around it."""
    with (
        pytest.raises(psycopg.IntegrityError, match="_never_go"),
        postgres_house.transaction(force_rollback=True),
    ):
        postgres_house.execute(f"TRUNCATE {table} CASCADE".encode())


def test_replacing_a_row_is_deleting_it(books: sqlite3.Connection) -> None:
    """Invariant 4, where REPLACE would get around it."""
    with pytest.raises(sqlite3.IntegrityError, match="transfers_never_go"):
        books.execute(transfer(id="move-founding").replace("INSERT", "REPLACE"))


@pytest.mark.parametrize(
    "statement",
    [account(admin="yes"), account(created_ms=1.5), account(id=None), drop(price="50 credits")],
)
def test_columns_take_their_type_only(books: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=r"cannot store|NOT NULL"):
        books.execute(statement)


def test_sequences_never_recur(books: sqlite3.Connection) -> None:
    """They are the highest number plus one, and the highest never goes; see test above."""
    books.execute(transfer(id="a", request_id="a"))
    (last,) = books.execute("SELECT MAX(sequence) FROM transfers").fetchone()
    books.execute(transfer(id="b", request_id="b"))
    assert books.execute("SELECT MAX(sequence) FROM transfers").fetchone() == (last + 1,)
