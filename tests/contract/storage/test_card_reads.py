"""The contract of `CardReadTable`."""

import sqlite3
from dataclasses import replace

import psycopg
import pytest

from drink_frontend.domain.cards import CardKind, CardRead
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW
from tests.support.ids import ALICE


async def kiosk_of(house: Database, code: str = "first") -> int:
    made = await house.write(
        lambda tx: tx.kiosks.add(Kiosk("d", "by the door", NOW, NOW + 600), code)
    )
    return made.sequence


def read_for(kiosk: int, digest: str | None = "digest", account: str | None = None) -> CardRead:
    return CardRead(kiosk, digest, CardKind.CHIP, 8, account, NOW + 300)


async def added(house: Database, read: CardRead, now_ms: int = NOW) -> CardRead:
    return await house.write(lambda tx: tx.card_reads.add(read, "d", now_ms))


async def test_a_read_replaces_the_one_before_and_wakes_the_machine(house: Database) -> None:
    kiosk, other = await kiosk_of(house), await kiosk_of(house, "second")
    with house.changes.machine("d") as machine:
        first = await added(house, read_for(kiosk))
        await machine.changed()
        elsewhere = await added(house, read_for(other, None))
        second = await added(house, read_for(kiosk, account=ALICE))
    assert first == replace(read_for(kiosk), sequence=first.sequence)

    def newest(tx: Transaction) -> list[CardRead | None]:
        return [tx.card_reads.newest(each) for each in (kiosk, other, other + 1)]

    assert await house.read(newest) == [second, elsewhere, None]
    assert await house.write(lambda tx: tx.card_reads.remove(second.sequence))
    assert not await house.write(lambda tx: tx.card_reads.remove(second.sequence))
    assert await house.read(lambda tx: tx.card_reads.newest(kiosk)) is None


async def test_a_read_with_a_code_is_kept_until_it_expires(house: Database) -> None:
    kiosk = await kiosk_of(house)
    read = await added(house, read_for(kiosk))
    await house.write(lambda tx: tx.card_reads.offer(read.sequence, "code", NOW + 600))
    offered = replace(read, expires_ms=NOW + 600)
    await added(house, read_for(kiosk))
    assert await house.read(lambda tx: tx.card_reads.by_code("code", NOW + 599)) == offered
    assert await house.read(lambda tx: tx.card_reads.by_code("code", NOW + 600)) is None
    assert await house.read(lambda tx: tx.card_reads.by_code("other", NOW)) is None
    assert not await house.read(lambda tx: tx.card_reads.is_free("code"))
    assert await house.read(lambda tx: tx.card_reads.is_free("other"))
    await added(house, read_for(kiosk), NOW + 600)
    assert await house.read(lambda tx: tx.card_reads.is_free("code"))


async def test_a_code_is_of_one_card_that_can_be_added(house: Database) -> None:
    kiosk, other = await kiosk_of(house), await kiosk_of(house, "second")
    first, second = await added(house, read_for(kiosk)), await added(house, read_for(other))
    await house.write(lambda tx: tx.card_reads.offer(first.sequence, "code", NOW + 600))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.card_reads.offer(second.sequence, "code", NOW + 600))
    unknown = await added(house, read_for(other, None))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.card_reads.offer(unknown.sequence, "other", NOW + 600))
