"""The contract of `AccountTable`."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, AccountKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.contract.storage.conftest import OpenStorage
from tests.support.books import NOW, reserve
from tests.support.books import drop as order

NAMES = ["dora", "Dora", "DORA", "doRA", "dOra", "dora"]


async def test_the_funding_account_is_there_from_the_start(storage: Database) -> None:
    funding = await storage.read(lambda tx: tx.accounts.get(FUNDING_ACCOUNT))
    assert funding is not None
    assert (funding.kind, funding.posted, funding.held) == (AccountKind.FUNDING, 0, 0)
    assert await storage.read(lambda tx: tx.accounts.list_users()) == []


async def test_a_new_account_has_what_it_was_made_with(storage: Database) -> None:
    def make(tx: Transaction) -> None:
        tx.accounts.add("zoe", AccountKind.USER, NOW, admin=True, password_hash="hash")
        tx.accounts.add("adam", AccountKind.USER, NOW)
        tx.accounts.add("sales/d", AccountKind.SALES, NOW)

    await storage.write(make)
    new: dict[str, Any] = {"closed": False, "posted": 0, "held": 0, "since_ms": NOW}
    zoe = Account("zoe", "zoe", AccountKind.USER, admin=True, password_hash="hash", **new)
    adam = Account("adam", "adam", AccountKind.USER, admin=False, password_hash=None, **new)
    assert await storage.read(lambda tx: tx.accounts.get("zoe")) == zoe
    assert await storage.read(lambda tx: tx.accounts.get("Zoe")) is None
    assert await storage.read(lambda tx: tx.accounts.list_users()) == [adam, zoe]


async def test_a_name_is_given_once_whatever_its_kind(storage: Database) -> None:
    await storage.write(lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.add("zoe", AccountKind.SALES, NOW))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.add(FUNDING_ACCOUNT, AccountKind.USER, NOW))


async def test_update_changes_only_what_is_given(storage: Database) -> None:
    await storage.write(
        lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW, password_hash="old")
    )
    await storage.write(lambda tx: tx.accounts.update("zoe", admin=True))
    await storage.write(lambda tx: tx.accounts.update("zoe", closed=True, password_hash="new"))
    await storage.write(lambda tx: tx.accounts.update("zoe", admin=False))
    zoe = await storage.read(lambda tx: tx.accounts.get("zoe"))
    assert zoe is not None
    assert (zoe.admin, zoe.closed, zoe.password_hash) == (False, True, "new")


async def test_updating_nobody_is_a_mistake(storage: Database) -> None:
    with pytest.raises(AssertionError):
        await storage.write(lambda tx: tx.accounts.update("nobody", admin=True))


async def test_an_ibutton_logs_in_one_account(house: Database) -> None:
    await house.write(lambda tx: tx.accounts.update("alice", ibutton_digest="digest"))
    await house.write(lambda tx: tx.accounts.update("alice", ibutton_digest="digest"))
    with pytest.raises(AlreadyExistsError):
        await house.write(lambda tx: tx.accounts.update("bob", ibutton_digest="digest"))
    alice = await house.read(lambda tx: tx.accounts.by_ibutton("digest"))
    assert alice is not None
    assert alice.name == "alice"
    assert await house.read(lambda tx: tx.accounts.by_ibutton("other")) is None


async def test_held_credits_are_owned_but_not_available(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    alice = await house.read(lambda tx: tx.accounts.get("alice"))
    assert alice is not None
    assert (alice.posted, alice.held, alice.available) == (1_000, 50, 950)


async def test_a_name_in_another_case_is_found_and_taken(storage: Database) -> None:
    await storage.write(lambda tx: tx.accounts.add("Alice_1", AccountKind.USER, NOW))

    def look(tx: Transaction) -> list[str | None]:
        said = ("alice_1", "ALICE_1", "Alice_1", "alice", "alic\N{LATIN SMALL LETTER E WITH ACUTE}")
        found = [tx.accounts.find(name) for name in said]
        return [account.name if account else None for account in found]

    assert await storage.read(look) == ["Alice_1", "Alice_1", "Alice_1", None, None]
    with pytest.raises(AlreadyExistsError, match="Alice_1"):
        await storage.write(lambda tx: tx.accounts.add("aLICE_1", AccountKind.USER, NOW))
    assert await storage.read(lambda tx: tx.accounts.find("ali\0ce")) is None


async def test_of_two_processes_that_add_a_name_at_once_one_does(open_storage: OpenStorage) -> None:
    async with open_storage() as one, open_storage(beside=True) as other:

        def adding(name: str) -> Callable[[Transaction], None]:
            return lambda tx: tx.accounts.add(name, AccountKind.USER, NOW)

        added = await asyncio.gather(
            *((one, other)[number % 2].write(adding(name)) for number, name in enumerate(NAMES)),
            return_exceptions=True,
        )
        assert [type(each) for each in added].count(AlreadyExistsError) == len(NAMES) - 1
        assert len(await one.read(lambda tx: tx.accounts.list_users())) == 1


async def test_a_closed_account_is_readmitted_with_what_it_is_given_and_no_more(
    storage: Database,
) -> None:
    def make(tx: Transaction) -> None:
        tx.accounts.add("alice", AccountKind.USER, NOW, admin=True, password_hash="old")
        tx.accounts.update("alice", ibutton_digest="old", closed=True)

    await storage.write(make)
    terms = {"admin": False, "password_hash": None, "ibutton_digest": None}
    await storage.write(lambda tx: tx.accounts.readmit("alice", NOW + 1, **terms))  # type: ignore[arg-type]
    alice = await storage.read(lambda tx: tx.accounts.get("alice"))
    assert alice == Account(
        "alice",
        "alice",
        AccountKind.USER,
        admin=False,
        closed=False,
        password_hash=None,
        posted=0,
        held=0,
        since_ms=NOW + 1,
    )
    assert await storage.read(lambda tx: tx.accounts.by_ibutton("old")) is None


async def test_administrators_are_the_open_ones_with_what_they_log_in_with(
    storage: Database,
) -> None:
    def make(tx: Transaction) -> None:
        for name in ("root", "ghost", "gone", "card"):
            tx.accounts.add(name, AccountKind.USER, NOW, admin=True)
        tx.accounts.add("alice", AccountKind.USER, NOW, password_hash="hash")
        tx.accounts.update("root", password_hash="hash")
        tx.accounts.update("gone", password_hash="hash", closed=True)
        tx.accounts.update("card", ibutton_digest="digest")

    await storage.write(make)
    administrators = await storage.read(lambda tx: tx.accounts.administrators())
    assert administrators == {"card": True, "ghost": False, "root": True}
