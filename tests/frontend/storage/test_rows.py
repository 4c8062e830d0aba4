"""Dataclasses as rows, by equal names of fields and columns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, update

from drink_frontend.storage.rows import RowMapping, evolved, if_given, plain
from drink_frontend.storage.sqlite_engine import DIALECT
from drink_frontend.storage.statements import Statement, constant


class Colour(StrEnum):
    RED = "RED"


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    colour: Colour
    hot: bool
    facts: dict[str, Any]
    doubled: int
    sequence: int = 0
    parts: tuple[str, ...] = ()


things = Table(
    "things",
    MetaData(),
    Column("sequence", Integer, primary_key=True),
    Column("name", Text),
    Column("colour", Text),
    Column("hot", Integer),
    Column("facts", Text),
    Column("size", Integer),
    Column("parts", Text),
)
ROWS = RowMapping(Thing, things, doubled=things.c.size + things.c.size, parts=constant(0))
LEADING = RowMapping(Thing, things)
THING = Thing("kettle", Colour.RED, True, {"é": [1]}, 8, 3)


def text(described: Any) -> str:
    return " ".join(Statement(described).text(DIALECT).split())


def test_a_row_is_read_into_the_types_of_its_fields() -> None:
    row = ("kettle", "RED", 1, '{"é":[1]}', 8, 3, ("lid",))
    read = ROWS.read(row)

    assert read == Thing("kettle", Colour.RED, True, {"é": [1]}, 8, 3, ("lid",))
    assert read.hot is True
    assert ROWS.read_one(row) == read
    assert ROWS.read_one(None) is None


def test_fields_after_the_first_without_a_column_are_not_mapped() -> None:
    assert [column.name for column in LEADING.columns] == ["name", "colour", "hot", "facts"]
    assert LEADING.read(("kettle", "RED", 1, '{"é":[1]}'), 8, 3) == THING


def test_columns_are_written_but_expressions_and_sequences_are_not() -> None:
    expected = {"name": "kettle", "colour": "RED", "hot": 1, "facts": '{"é":[1]}'}
    assert ROWS.parameters(THING) == expected
    assert text(ROWS.insert(size=constant(4))) == (
        "INSERT INTO things (name, colour, hot, facts, size)"
        " VALUES (:name, :colour, :hot, :facts, 4)"
    )


def test_an_update_changes_what_is_given() -> None:
    assert text(update(things).values(if_given(things.c.name))) == (
        "UPDATE things SET name=coalesce(:name, things.name)"
    )
    assert [plain(value) for value in (Colour.RED, True, None, 7, "x")] == ["RED", 1, None, 7, "x"]


def test_a_copy_has_other_values_in_some_fields() -> None:
    thing = Thing("tea", Colour.RED, True, {}, 4)
    assert evolved(thing, name="mate", doubled=6) == Thing("mate", Colour.RED, True, {}, 6)
    assert thing == Thing("tea", Colour.RED, True, {}, 4)
    with pytest.raises(AttributeError):
        evolved(thing, nothing=1)


def test_a_row_has_the_values_as_they_are_stored() -> None:
    row_of = ROWS.row_of("hot", "colour", "facts")
    assert row_of(Thing("tea", Colour.RED, True, {"a": 1}, 4)) == (1, "RED", '{"a":1}')
