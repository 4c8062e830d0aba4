from enum import StrEnum

import pytest
from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from drink_frontend.storage.columns import (
    APPEND_ONLY,
    REMOVABLE,
    among,
    check,
    column,
    rights_on,
    strict,
    text_column,
)
from drink_frontend.storage.tables import metadata


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


def test_what_is_never_changed_needs_no_right_to_change_it() -> None:
    assert list(rights_on(metadata.tables["transfers"])) == ["SELECT", "INSERT"]
    assert list(rights_on(metadata.tables["compatibility"])) == ["SELECT"]
    assert list(rights_on(metadata.tables["tokens"])) == ["SELECT", "INSERT", "UPDATE", "DELETE"]


def test_every_table_has_rights() -> None:
    for table in metadata.tables.values():
        assert rights_on(table)[0] == "SELECT"


@pytest.mark.parametrize(
    ("by_key", "options"), [(True, "STRICT, WITHOUT ROWID"), (False, "STRICT")]
)
def test_a_table_is_strict(by_key: bool, options: str) -> None:
    table = Table(
        "cans",
        MetaData(),
        column("number", key=True),
        text_column("colour", null=True),
        check("colour", f"colour IN {among(Colour.RED, Colour.BLUE)}"),
        **strict(APPEND_ONLY if by_key else REMOVABLE, by_key=by_key),
    )
    made = str(CreateTable(table).compile(dialect=sqlite.dialect()))
    assert "colour IN ('RED', 'BLUE')" in made
    assert "number INTEGER NOT NULL" in made
    assert sorted(made.rpartition(")")[2].replace(",", "").split()) == sorted(
        options.replace(",", "").split()
    )
