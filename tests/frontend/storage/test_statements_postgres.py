"""How PostgreSQL finds drops for lists, where there are many of them."""

import asyncio
import re
from collections.abc import Iterator

import psycopg
import pytest

from drink_frontend.domain.entities import MS_MAX, MS_MIN
from drink_frontend.storage.postgres_executor import DIALECT
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import SEQUENCE_MAX
from tests.frontend.storage.test_statements import STATEMENTS
from tests.support.books import open_house
from tests.support.ids import ALICE, BOB
from tests.support.postgres import execute, fresh_postgres

DROPS = 30_000

ROWS = f"""
    INSERT INTO drops (sequence, id, account, request_id, fingerprint, machine, slot, item, price,
        hold_id, state, cause, revision, created_ms, settled_ms)
    SELECT n, 'drop-' || n, CASE WHEN n % 100 = 0 THEN '{BOB}' ELSE '{ALICE}' END, 'r-' || n, '',
        'd', 1 + n % 2, 'item ' || n % 50, 0, 'hold-' || n,
        'NOT_DISPENSED', 'BOARD_REFUSED', 0, n, n
    FROM generate_series(1, {DROPS}) AS n"""

PARAMETERS = {
    "account": BOB,
    "machine": "d",
    "slot": 1,
    "item": "item 7",
    "from_ms": MS_MIN,
    "before_ms": MS_MAX,
    "upper_ms": DROPS // 2,
    "upper": DROPS // 2,
    "before": SEQUENCE_MAX,
    "limit": 50,
    **{f"state_{number}": "NOT_DISPENSED" for number in range(6)},
}


async def _house(settings: StorageSettings) -> None:
    async with open_house(settings):
        pass


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection]:
    """To a database with many settled drops, all of one machine."""
    settings = fresh_postgres()
    asyncio.run(_house(settings))
    execute(settings, ROWS, "ANALYZE drops")
    with psycopg.connect(
        settings.url or "", autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        yield connection


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("drops_list_by_time_0", "drops_by_creation"),
        ("drops_list_by_time_1", "drops_by_item"),
        ("drops_list_by_time_2", "drops_by_machine|drops_by_creation"),
        ("drops_list_by_time_3", "drops_by_item"),
        ("drops_list_by_time_4", "drops_by_machine|drops_by_creation"),
        ("drops_list_by_time_5", "drops_by_item"),
        *((f"drops_list_of_{number}", "drops_by_account") for number in range(6)),
        *((f"drops_list_open_{number}", "drops_by_state") for number in range(6)),
    ],
)
def test_drops_are_listed_by_indexes(connection: psycopg.Connection, name: str, index: str) -> None:
    sql = STATEMENTS[name].text(DIALECT)
    plan = "\n".join(
        row[0] for row in connection.execute(f"EXPLAIN {sql}".encode(), PARAMETERS).fetchall()
    )
    used = re.findall(r"(?:Scan Backward using|Scan using|Scan on) (drops\w+)", plan)
    assert re.fullmatch(index, used[0]), plan
    assert "Seq Scan on drops" not in plan
