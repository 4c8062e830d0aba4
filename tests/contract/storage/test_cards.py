"""The contract of `CardTable`."""

import sqlite3

import psycopg
import pytest

from drink_frontend.domain.cards import Card, CardKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW
from tests.support.ids import ALICE, BOB

BLUE = Card("b" * 64, ALICE, CardKind.CHIP, 8, "the blue one", NOW)
RED = Card("a" * 64, ALICE, CardKind.BARCODE, 13, None, NOW + 1)
OF_BOB = Card("c" * 64, BOB, CardKind.CHIP, 16, None, NOW)


def add_all(tx: Transaction) -> None:
    for card in (RED, OF_BOB, BLUE):
        tx.cards.add(card, "key-1")


async def test_cards_are_listed_as_they_were_stored(house: Database) -> None:
    await house.write(add_all)
    assert await house.read(lambda tx: tx.cards.list(ALICE)) == [BLUE, RED]
    assert await house.read(lambda tx: tx.cards.list("nobody")) == []
    assert await house.read(lambda tx: tx.cards.get(RED.digest)) == RED
    assert await house.read(lambda tx: tx.cards.get("d" * 64)) is None


async def test_a_card_and_an_ibutton_lead_to_their_account(house: Database) -> None:
    await house.write(add_all)
    await house.write(lambda tx: tx.accounts.update(BOB, ibutton_digest="d" * 64))

    async def holder(digest: str) -> str | None:
        account = await house.read(lambda tx: tx.cards.holder(digest))
        return None if account is None else account.id

    assert await holder(BLUE.digest) == ALICE
    assert await holder(OF_BOB.digest) == BOB
    assert await holder("d" * 64) == BOB
    assert await holder("e" * 64) is None


async def test_a_number_belongs_to_one_account(house: Database) -> None:
    await house.write(add_all)
    twin = Card(BLUE.digest, BOB, CardKind.CHIP, 8, None, NOW)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.cards.add(twin, "key-1"))
    assert await house.read(lambda tx: tx.cards.get(BLUE.digest)) == BLUE


async def test_a_card_of_nobody_is_refused(house: Database) -> None:
    nobodys = Card("f" * 64, "nobody", CardKind.CHIP, 8, None, NOW)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.cards.add(nobodys, "key-1"))


async def test_keys_are_told_apart(house: Database) -> None:
    assert not await house.read(lambda tx: tx.cards.has_other_key("key-1"))
    await house.write(add_all)
    assert not await house.read(lambda tx: tx.cards.has_other_key("key-1"))
    assert await house.read(lambda tx: tx.cards.has_other_key("key-2"))


async def test_removed_cards_revoke_what_they_had_let_in(house: Database) -> None:
    await house.write(add_all)

    def remove(tx: Transaction) -> ChangeSet:
        tx.cards.remove(BLUE)
        return tx.touched

    assert (await house.write(remove)).revoked == {ALICE}
    assert await house.read(lambda tx: tx.cards.list(ALICE)) == [RED]
    assert (await house.write(remove)).revoked == set()
    await house.write(lambda tx: tx.cards.remove_all(ALICE))
    assert await house.read(lambda tx: tx.cards.list(ALICE)) == []
    assert await house.read(lambda tx: tx.cards.list(BOB)) == [OF_BOB]
