"""The contract of `PreferenceTable`."""

import sqlite3

import psycopg
import pytest

from drink_frontend.domain.preferences import Preferences
from drink_frontend.storage.database import Database
from tests.support.ids import ALICE, BOB

MINE = Preferences(("items/7", "machines/d/slots/1"), True, "de-AT")


async def test_preferences_are_kept_as_they_were_stored(house: Database) -> None:
    assert await house.read(lambda tx: tx.preferences.get(ALICE)) == Preferences()
    await house.write(lambda tx: tx.preferences.keep(ALICE, MINE))
    assert await house.read(lambda tx: tx.preferences.get(ALICE)) == MINE
    other = Preferences(("items/1",), False, "")
    await house.write(lambda tx: tx.preferences.keep(ALICE, other))
    assert await house.read(lambda tx: tx.preferences.get(ALICE)) == other
    assert await house.read(lambda tx: tx.preferences.get(BOB)) == Preferences()


async def test_removed_preferences_are_the_defaults(house: Database) -> None:
    await house.write(lambda tx: tx.preferences.keep(ALICE, MINE))
    await house.write(lambda tx: tx.preferences.keep(BOB, MINE))
    await house.write(lambda tx: tx.preferences.remove(ALICE))
    assert await house.read(lambda tx: tx.preferences.get(ALICE)) == Preferences()
    assert await house.read(lambda tx: tx.preferences.get(BOB)) == MINE


async def test_preferences_of_nobody_are_refused(house: Database) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.preferences.keep("nobody", MINE))
