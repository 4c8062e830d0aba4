from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres_turns import TurnCounts, Turns
from benchmarks.proxy import Control
from benchmarks.systems import counting_proxy
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.mark.parametrize("delay_s", [0, 0.01])
def test_turns_on_a_real_server_are_counted(
    server: PostgresServer, tmp_path: Path, delay_s: float
) -> None:
    with counting_proxy(tmp_path, Turns, server.port) as (port, control):
        control.delay(delay_s)
        url = server.url_of("postgres", port) + "?sslmode=disable&gssencmode=disable"
        with psycopg.connect(url, autocommit=True) as connection:
            write_in_turns(connection, control)


def write_in_turns(connection: psycopg.Connection, control: Control) -> None:
    for _ in range(2):
        connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        found = connection.execute("SELECT repeat('x', 200000)").fetchone()
        assert found == ("x" * 200_000,)
        connection.execute("COMMIT")
    counts = TurnCounts(**control.delay(0))
    assert counts.round_trips == [3, 3]
    assert counts.held_s > 0
    with connection.pipeline():
        for statement in ("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT 1", "COMMIT"):
            connection.execute(statement)
    assert control.delay(0)["round_trips"] == [1]
    assert TurnCounts(**control.delay(0)) == TurnCounts()


def test_without_a_server_a_connection_is_closed(tmp_path: Path) -> None:
    with (
        counting_proxy(tmp_path, Turns, 1) as (port, control),
        pytest.raises(psycopg.OperationalError),
    ):
        psycopg.connect(f"postgresql://drink@127.0.0.1:{port}/postgres?sslmode=disable")
    assert control is not None
