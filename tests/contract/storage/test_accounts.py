"""The contract of `AccountTable`."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, AccountKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.contract.storage.conftest import OpenStorage
from tests.support.books import NOW, add_account, reserve
from tests.support.books import drop as order
from tests.support.ids import ALICE, BOB, id_of

ZOE = id_of("zoe")

NAMES = ["dora", "Dora", "DORA", "doRA", "dOra", "dora"]


async def test_the_funding_account_is_there_from_the_start(storage: Database) -> None:
    funding = await storage.read(lambda tx: tx.accounts.get(FUNDING_ACCOUNT))
    assert funding is not None
    assert (funding.kind, funding.posted, funding.held) == (AccountKind.FUNDING, 0, 0)
    assert await storage.read(lambda tx: tx.accounts.list_users()) == []


async def test_a_new_account_has_what_it_was_made_with(storage: Database) -> None:
    def make(tx: Transaction) -> None:
        add_account(tx, "zoe", admin=True, password_hash="hash")
        add_account(tx, "adam")
        tx.accounts.add("sales/d", AccountKind.SALES, NOW)

    await storage.write(make)
    new: dict[str, Any] = {"closed": False, "posted": 0, "held": 0, "since_ms": NOW}
    zoe = Account(ZOE, "zoe", AccountKind.USER, admin=True, password_hash="hash", **new)
    adam = Account(id_of("adam"), "adam", AccountKind.USER, admin=False, password_hash=None, **new)
    assert await storage.read(lambda tx: tx.accounts.get(ZOE)) == zoe
    assert await storage.read(lambda tx: tx.accounts.get("zoe")) is None
    assert await storage.read(lambda tx: tx.accounts.list_users()) == [adam, zoe]


async def test_a_name_is_given_once_whatever_its_kind(storage: Database) -> None:
    await storage.write(lambda tx: add_account(tx, "zoe"))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.add("zoe", AccountKind.SALES, NOW))
    for name in ("zoe", FUNDING_ACCOUNT):
        with pytest.raises(AlreadyExistsError):
            await storage.write(partial(add_account, name=name, account_id=id_of("other")))


@pytest.mark.parametrize(
    ("account_id", "kind", "name"),
    [
        ("zoe", AccountKind.USER, "zoe"),
        ("zoe", AccountKind.USER, None),
        (ZOE, AccountKind.USER, None),
        (ZOE, AccountKind.SALES, None),
        ("sales/d", AccountKind.SALES, "zoe"),
    ],
)
async def test_users_and_only_they_have_names_and_ids_that_are_no_names(
    storage: Database, account_id: str, kind: AccountKind, name: str | None
) -> None:
    with pytest.raises(AssertionError, match="no id of a user"):
        await storage.write(lambda tx: tx.accounts.add(account_id, kind, NOW, name=name))


async def test_update_changes_only_what_is_given(storage: Database) -> None:
    await storage.write(lambda tx: add_account(tx, "zoe", password_hash="old"))
    await storage.write(lambda tx: tx.accounts.update(ZOE, admin=True))
    await storage.write(lambda tx: tx.accounts.update(ZOE, closed=True, password_hash="new"))
    await storage.write(lambda tx: tx.accounts.update(ZOE, admin=False))
    zoe = await storage.read(lambda tx: tx.accounts.get(ZOE))
    assert zoe is not None
    assert (zoe.admin, zoe.closed, zoe.password_hash) == (False, True, "new")


async def test_a_display_name_is_set_kept_and_removed(storage: Database) -> None:
    def shown(tx: Transaction) -> str | None:
        zoe = tx.accounts.get(ZOE)
        assert zoe is not None
        return zoe.display_name

    await storage.write(
        lambda tx: tx.accounts.add(
            ZOE, AccountKind.USER, NOW, name="zoe", display_name="Zo\u00e9 Z."
        )
    )
    assert await storage.read(shown) == "Zo\u00e9 Z."
    for given, expected in ((None, "Zo\u00e9 Z."), ("Zoe", "Zoe"), ("", None), (None, None)):
        await storage.write(partial(_call_her, given=given))
        assert await storage.read(shown) == expected
    await storage.write(partial(_call_her, given="Zoe"))
    await storage.write(lambda tx: tx.accounts.erase(ZOE))
    assert await storage.read(shown) is None


def _call_her(tx: Transaction, *, given: str | None) -> None:
    tx.accounts.update(ZOE, display_name=given, admin=False)


async def test_updating_nobody_is_a_mistake(storage: Database) -> None:
    with pytest.raises(AssertionError):
        await storage.write(lambda tx: tx.accounts.update(id_of("nobody"), admin=True))


async def test_an_ibutton_logs_in_one_account(house: Database) -> None:
    await house.write(lambda tx: tx.accounts.update(ALICE, ibutton_digest="digest"))
    await house.write(lambda tx: tx.accounts.update(ALICE, ibutton_digest="digest"))
    with pytest.raises(AlreadyExistsError):
        await house.write(lambda tx: tx.accounts.update(BOB, ibutton_digest="digest"))
    alice = await house.read(lambda tx: tx.accounts.by_ibutton("digest"))
    assert alice is not None
    assert alice.name == "alice"
    assert await house.read(lambda tx: tx.accounts.by_ibutton("other")) is None


async def test_held_credits_are_owned_but_not_available(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    alice = await house.read(lambda tx: tx.accounts.get(ALICE))
    assert alice is not None
    assert (alice.posted, alice.held, alice.available) == (1_000, 50, 950)


async def test_a_name_in_another_case_is_found_and_taken(storage: Database) -> None:
    await storage.write(lambda tx: add_account(tx, "Alice_1", ALICE))

    def look(tx: Transaction) -> list[str | None]:
        said = ("alice_1", "ALICE_1", "Alice_1", "alice", "alic\N{LATIN SMALL LETTER E WITH ACUTE}")
        found = [tx.accounts.find(name) for name in said]
        return [account.name if account else None for account in found]

    assert await storage.read(look) == ["Alice_1", "Alice_1", "Alice_1", None, None]
    with pytest.raises(AlreadyExistsError, match="Alice_1"):
        await storage.write(lambda tx: add_account(tx, "aLICE_1", BOB))
    assert await storage.read(lambda tx: tx.accounts.find("ali\0ce")) is None


async def test_of_two_processes_that_add_a_name_at_once_one_does(open_storage: OpenStorage) -> None:
    async with open_storage() as one, open_storage(beside=True) as other:

        def adding(name: str, account_id: str) -> Callable[[Transaction], Account]:
            return lambda tx: add_account(tx, name, account_id)

        added = await asyncio.gather(
            *(
                (one, other)[number % 2].write(adding(name, id_of(f"dora{number}")))
                for number, name in enumerate(NAMES)
            ),
            return_exceptions=True,
        )
        assert [type(each) for each in added].count(AlreadyExistsError) == len(NAMES) - 1
        assert len(await one.read(lambda tx: tx.accounts.list_users())) == 1


async def test_a_closed_account_is_readmitted_with_what_it_is_given_and_no_more(
    storage: Database,
) -> None:
    def make(tx: Transaction) -> None:
        add_account(tx, "alice", admin=True, password_hash="old")
        tx.accounts.update(ALICE, ibutton_digest="old", closed=True)

    await storage.write(make)
    terms = {"admin": False, "password_hash": None, "ibutton_digest": None}
    await storage.write(lambda tx: tx.accounts.readmit(ALICE, NOW + 1, **terms))  # type: ignore[arg-type]
    alice = await storage.read(lambda tx: tx.accounts.get(ALICE))
    assert alice == Account(
        ALICE,
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
            add_account(tx, name, admin=True)
        add_account(tx, "alice", password_hash="hash")
        tx.accounts.update(id_of("root"), password_hash="hash")
        tx.accounts.update(id_of("gone"), password_hash="hash", closed=True)
        tx.accounts.update(id_of("card"), ibutton_digest="digest")

    await storage.write(make)
    administrators = await storage.read(lambda tx: tx.accounts.administrators())
    assert administrators == {id_of("card"): True, id_of("ghost"): False, id_of("root"): True}
