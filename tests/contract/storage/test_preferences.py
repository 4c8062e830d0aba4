"""The contract of `PreferenceTable`."""

import sqlite3

import psycopg
import pytest

from drink_frontend.domain.preferences import Preferences
from drink_frontend.storage.database import Database

MINE = Preferences(("items/7", "machines/d/slots/1"), True, "de-AT")


async def test_preferences_are_kept_as_they_were_stored(house: Database) -> None:
    assert await house.read(lambda tx: tx.preferences.get("alice")) == Preferences()
    await house.write(lambda tx: tx.preferences.keep("alice", MINE))
    assert await house.read(lambda tx: tx.preferences.get("alice")) == MINE
    other = Preferences(("items/1",), False, "")
    await house.write(lambda tx: tx.preferences.keep("alice", other))
    assert await house.read(lambda tx: tx.preferences.get("alice")) == other
    assert await house.read(lambda tx: tx.preferences.get("bob")) == Preferences()


async def test_removed_preferences_are_the_defaults(house: Database) -> None:
    await house.write(lambda tx: tx.preferences.keep("alice", MINE))
    await house.write(lambda tx: tx.preferences.keep("bob", MINE))
    await house.write(lambda tx: tx.preferences.remove("alice"))
    assert await house.read(lambda tx: tx.preferences.get("alice")) == Preferences()
    assert await house.read(lambda tx: tx.preferences.get("bob")) == MINE


async def test_preferences_of_nobody_are_refused(house: Database) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.preferences.keep("nobody", MINE))
