from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres_proxy import Control, Counts, Exchange, Turns
from benchmarks.systems import postgres_proxy
from tests.support.postgres import PostgresServer

BEGIN = b"Q...BEGIN ISOLATION LEVEL SERIALIZABLE"
OPEN = b"Z\0\0\0\x05T"
IDLE = b"Z\0\0\0\x05I"
NOTICE = b"N\0\0\0\x08ZZZI"


def pass_through(exchange: Exchange, *steps: tuple[float, bytes, bytes]) -> None:
    """What a client says at a time, and the answer that it gets a second later."""
    for at, asked, answer in steps:
        exchange.asked(asked, at)
        exchange.answers(answer, at + 1)
        exchange.answered()


def test_a_turn_is_counted_from_its_first_statement_to_the_answer_to_its_commit() -> None:
    turns = Turns()
    statements = [(10.0, BEGIN, OPEN), (12.0, b"one", OPEN), (14.0, b"COMMIT", IDLE)]
    pass_through(Exchange(turns), *statements)
    assert turns.counts == Counts([3], 5)


def test_a_pipeline_is_one_round_trip_and_its_answers_may_come_in_pieces() -> None:
    turns = Turns()
    exchange = Exchange(turns)
    exchange.asked(BEGIN, 1)
    exchange.asked(b"one", 2)
    for piece in (OPEN, NOTICE[:2], NOTICE[2:] + IDLE[:5]):
        exchange.answers(piece, 3)
        exchange.answered()
    assert turns.counts == Counts()
    exchange.answers(IDLE[5:], 4)
    assert turns.counts == Counts([1], 3)


def test_a_turn_that_waits_for_another_frontends_is_held_from_the_end_of_that_one() -> None:
    turns = Turns()
    first, second = Exchange(turns), Exchange(turns)
    first.asked(BEGIN, 1)
    second.asked(BEGIN, 2)
    first.answers(IDLE, 5)
    second.answers(IDLE, 6)
    assert turns.counts == Counts([1, 1], 5)


def test_what_readers_ask_is_no_turn() -> None:
    turns = Turns()
    pass_through(Exchange(turns), (1, b"BEGIN READ ONLY", OPEN), (2, b"COMMIT", IDLE))
    assert turns.counts == Counts()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.mark.parametrize("delay_s", [0, 0.01])
def test_turns_on_a_real_server_are_counted(
    server: PostgresServer, tmp_path: Path, delay_s: float
) -> None:
    with postgres_proxy(tmp_path, server.port) as (port, control):
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
    counts = control.delay(0)
    assert counts.round_trips == [3, 3]
    assert counts.held_s > 0
    with connection.pipeline():
        for statement in ("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT 1", "COMMIT"):
            connection.execute(statement)
    assert control.delay(0).round_trips == [1]
    assert control.delay(0) == Counts()


def test_without_a_server_a_connection_is_closed(tmp_path: Path) -> None:
    with (
        postgres_proxy(tmp_path, 1) as (port, control),
        pytest.raises(psycopg.OperationalError),
    ):
        psycopg.connect(f"postgresql://drink@127.0.0.1:{port}/postgres?sslmode=disable")
    assert control is not None
