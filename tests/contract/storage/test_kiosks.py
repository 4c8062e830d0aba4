"""The contract of `KioskTable`, and of tokens that were issued at kiosks."""

import sqlite3

import psycopg
import pytest

from drink_frontend.domain.entities import Proof
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.tokens import KioskLogin, Scope
from drink_frontend.storage.database import Database
from tests.support.books import NOW, token
from tests.support.ids import ALICE

WANTED = Kiosk("d", "by the door", NOW, NOW + 600)


async def made(house: Database, code: str = "code") -> Kiosk:
    return await house.write(lambda tx: tx.kiosks.add(WANTED, code))


async def test_kiosks_are_numbered_paired_and_ended(house: Database) -> None:
    first, second = await made(house), await made(house, "other")
    assert second.sequence > first.sequence > 0
    assert await house.read(lambda tx: tx.kiosks.list(NOW)) == [first, second]
    assert await house.read(lambda tx: tx.kiosks.by_code("code", NOW)) == first
    assert await house.read(lambda tx: tx.kiosks.by_code("code", NOW + 600)) is None

    paired = await house.write(lambda tx: tx.kiosks.pair(first.sequence, "token", NOW + 1))

    assert paired.paired_ms == NOW + 1
    assert await house.read(lambda tx: tx.kiosks.by_code("code", NOW)) is None
    assert await house.read(lambda tx: tx.kiosks.by_token("token")) == paired
    assert await house.read(lambda tx: tx.kiosks.list(NOW + 600)) == [paired]

    ended = await house.write(lambda tx: tx.kiosks.end(first.sequence, NOW + 2))

    assert ended.ended_ms == NOW + 2
    assert await house.read(lambda tx: tx.kiosks.by_token("token")) is None
    assert await house.read(lambda tx: tx.kiosks.get(first.sequence)) == ended
    assert await house.read(lambda tx: tx.kiosks.list(NOW)) == [second]
    assert await house.read(lambda tx: tx.kiosks.get(second.sequence + 1)) is None


async def test_a_code_and_a_token_are_of_one_kiosk(house: Database) -> None:
    first, second = await made(house), await made(house, "other")
    await house.write(lambda tx: tx.kiosks.pair(first.sequence, "token", NOW))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await house.write(lambda tx: tx.kiosks.pair(second.sequence, "token", NOW))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await made(house, "other")


async def test_a_kiosks_token_is_limited_to_its_machine(house: Database) -> None:
    kiosk = await made(house)
    issued = token(
        "at-kiosk", scope=Scope.DROP, name="by the door", kiosk=kiosk.sequence, buys_until_ms=NOW
    )
    await house.write(lambda tx: tx.tokens.add(token("plain"), Proof.CARD))
    await house.write(lambda tx: tx.tokens.add(issued, Proof.CARD))

    bearer = await house.read(lambda tx: tx.tokens.holder("at-kiosk", NOW - 1))
    plain = await house.read(lambda tx: tx.tokens.holder("plain", NOW - 1))
    assert bearer is not None
    assert plain is not None
    assert (bearer.account.id, bearer.scope) == (ALICE, Scope.DROP)
    assert bearer.kiosk == KioskLogin(kiosk.sequence, "d", NOW)
    assert plain.kiosk is None
    assert await house.read(lambda tx: tx.tokens.holder("at-kiosk", NOW)) is None
    assert issued in await house.read(lambda tx: tx.tokens.list(ALICE, NOW - 1))

    await house.write(lambda tx: tx.tokens.remove_made_at(kiosk.sequence))

    assert await house.read(lambda tx: tx.tokens.holder("at-kiosk", NOW - 1)) is None
    assert await house.read(lambda tx: tx.tokens.holder("plain", NOW - 1)) == plain


async def test_what_ends_cards_ends_tokens_at_kiosks(house: Database) -> None:
    kiosk = await made(house)
    issued = token("at-kiosk", scope=Scope.DROP, kiosk=kiosk.sequence, buys_until_ms=NOW)
    for proof in (Proof.CARD, Proof.IBUTTON):
        await house.write(lambda tx, proof=proof: tx.tokens.add(issued, proof))  # type: ignore[misc]
        await house.write(lambda tx, proof=proof: tx.tokens.remove_all(ALICE, proof))  # type: ignore[misc]
        assert await house.read(lambda tx: tx.tokens.list(ALICE, 0)) == []
    await house.write(lambda tx: tx.tokens.add(issued))
    await house.write(lambda tx: tx.tokens.remove(issued))
    assert await house.read(lambda tx: tx.tokens.list(ALICE, 0)) == []
