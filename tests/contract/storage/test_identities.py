"""The contract of `IdentityTable`."""

import sqlite3
from dataclasses import replace

import psycopg
import pytest

from drink_frontend.domain.identities import Identity
from drink_frontend.storage.database import Database
from tests.support.ids import ALICE, BOB

HOUSE, CLUB = "ldap:house", "https://sso.example.org"
HERS = Identity(HOUSE, "0f4c", ALICE, None, 5)
ALSO_HERS = Identity(CLUB, "17", ALICE, "alice", 6, 7, True, 8, "blue red")
HIS = Identity(HOUSE, "17", BOB, "Bob", 4)


async def store(house: Database) -> None:
    for each in (ALSO_HERS, HERS, HIS):
        await house.write(lambda tx, each=each: tx.identities.add(each))  # type: ignore[misc]


async def test_identities_are_kept_and_found(house: Database) -> None:
    await store(house)
    assert await house.read(lambda tx: tx.identities.get(CLUB, "17")) == ALSO_HERS
    assert await house.read(lambda tx: tx.identities.get(HOUSE, "17")) == HIS
    assert await house.read(lambda tx: tx.identities.get(HOUSE, "18")) is None
    assert await house.read(lambda tx: tx.identities.list(ALICE)) == [ALSO_HERS, HERS]
    assert await house.read(lambda tx: tx.identities.of_source(HOUSE)) == [HERS, HIS]
    assert await house.read(lambda tx: tx.identities.named(HOUSE, "bOB")) == [HIS]
    assert await house.read(lambda tx: tx.identities.named(CLUB, "bob")) == []


async def test_what_changes_is_stored_and_nothing_else(house: Database) -> None:
    await store(house)
    changed = replace(HERS, name="Alice", login_ms=9, admin=True, left_ms=10, cards="green")
    moved = replace(changed, account=BOB, created_ms=99)
    await house.write(lambda tx: tx.identities.change(moved))
    assert await house.read(lambda tx: tx.identities.get(HOUSE, "0f4c")) == changed


async def test_decisions_about_an_account_cover_its_identities_only(house: Database) -> None:
    await store(house)
    await house.write(lambda tx: tx.identities.change(replace(HIS, admin=True, left_ms=3)))
    await house.write(lambda tx: tx.identities.keep_rights(ALICE))
    assert not (await house.read(lambda tx: tx.identities.get(CLUB, "17")) or HIS).admin
    await house.write(lambda tx: tx.identities.keep_closed(ALICE))
    found = await house.read(lambda tx: tx.identities.list(ALICE))
    assert [each.left_ms for each in found] == [None, None]
    his = await house.read(lambda tx: tx.identities.get(HOUSE, "17"))
    assert his == replace(HIS, admin=True, left_ms=3)


async def test_identities_are_removed_one_by_one_and_together(house: Database) -> None:
    await store(house)
    await house.write(lambda tx: tx.identities.remove(HERS))
    assert await house.read(lambda tx: tx.identities.list(ALICE)) == [ALSO_HERS]
    await house.write(lambda tx: tx.identities.remove_all(ALICE))
    assert await house.read(lambda tx: tx.identities.list(ALICE)) == []
    assert await house.read(lambda tx: tx.identities.list(BOB)) == [HIS]


async def test_one_subject_of_a_source_has_one_account(house: Database) -> None:
    await store(house)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.identities.add(replace(HERS, account=BOB)))


async def test_an_identity_of_nobody_is_refused(house: Database) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.identities.add(replace(HERS, account="nobody")))
