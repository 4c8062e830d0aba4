"""The contract of `AccountTable`."""

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, AccountKind
from drink_frontend.domain.ports import Storage, Transaction
from tests.fakes.books import NOW, found, reserve
from tests.fakes.books import drop as order


async def test_the_funding_account_is_there_from_the_start(storage: Storage) -> None:
    funding = await storage.read(lambda tx: tx.accounts.get(FUNDING_ACCOUNT))
    assert funding is not None
    assert (funding.kind, funding.posted, funding.held) == (AccountKind.FUNDING, 0, 0)
    assert await storage.read(lambda tx: tx.accounts.list_users()) == []


async def test_a_new_account_has_what_it_was_made_with(storage: Storage) -> None:
    def make(tx: Transaction) -> None:
        tx.accounts.add("zoe", AccountKind.USER, NOW, admin=True, password_hash="hash")
        tx.accounts.add("adam", AccountKind.USER, NOW)
        tx.accounts.add("sales/d", AccountKind.SALES, NOW)

    await storage.write(make)
    zoe = Account(
        "zoe",
        AccountKind.USER,
        admin=True,
        closed=False,
        password_hash="hash",
        posted=0,
        held=0,
        since_ms=NOW,
    )
    adam = Account(
        "adam",
        AccountKind.USER,
        admin=False,
        closed=False,
        password_hash=None,
        posted=0,
        held=0,
        since_ms=NOW,
    )
    assert await storage.read(lambda tx: tx.accounts.get("zoe")) == zoe
    assert await storage.read(lambda tx: tx.accounts.get("Zoe")) is None
    assert await storage.read(lambda tx: tx.accounts.list_users()) == [adam, zoe]


async def test_a_name_is_given_once_whatever_its_kind(storage: Storage) -> None:
    await storage.write(lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.add("zoe", AccountKind.SALES, NOW))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.add(FUNDING_ACCOUNT, AccountKind.USER, NOW))


async def test_update_changes_only_what_is_given(storage: Storage) -> None:
    await storage.write(
        lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW, password_hash="old")
    )
    await storage.write(lambda tx: tx.accounts.update("zoe", admin=True))
    await storage.write(lambda tx: tx.accounts.update("zoe", closed=True, password_hash="new"))
    await storage.write(lambda tx: tx.accounts.update("zoe", admin=False))
    zoe = await storage.read(lambda tx: tx.accounts.get("zoe"))
    assert zoe is not None
    assert (zoe.admin, zoe.closed, zoe.password_hash) == (False, True, "new")


async def test_updating_nobody_is_a_mistake(storage: Storage) -> None:
    with pytest.raises(AssertionError):
        await storage.write(lambda tx: tx.accounts.update("nobody", admin=True))


async def test_an_ibutton_logs_in_one_account(storage: Storage) -> None:
    await storage.write(found)
    await storage.write(lambda tx: tx.accounts.update("alice", ibutton_digest="digest"))
    await storage.write(lambda tx: tx.accounts.update("alice", ibutton_digest="digest"))
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.accounts.update("bob", ibutton_digest="digest"))
    alice = await storage.read(lambda tx: tx.accounts.by_ibutton("digest"))
    assert alice is not None
    assert alice.name == "alice"
    assert await storage.read(lambda tx: tx.accounts.by_ibutton("other")) is None


async def test_a_token_stands_for_its_account_until_it_expires(storage: Storage) -> None:
    await storage.write(found)
    await storage.write(lambda tx: tx.accounts.add_token("digest", "alice", NOW))
    alice = await storage.read(lambda tx: tx.accounts.by_token("digest", NOW - 1))
    assert alice is not None
    assert alice.name == "alice"
    assert await storage.read(lambda tx: tx.accounts.by_token("digest", NOW)) is None
    assert await storage.read(lambda tx: tx.accounts.by_token("other", 0)) is None


async def test_removing_tokens_leaves_those_of_others(storage: Storage) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        for digest, account in (("1", "alice"), ("2", "alice"), ("3", "bob")):
            tx.accounts.add_token(digest, account, NOW)

    await storage.write(issue)
    await storage.write(lambda tx: tx.accounts.remove_tokens("alice"))
    left = await storage.read(
        lambda tx: [digest for digest in "123" if tx.accounts.by_token(digest, 0)]
    )
    assert left == ["3"]


async def test_tokens_of_an_account_are_bounded_and_the_first_to_expire_goes(
    storage: Storage,
) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        tx.accounts.add_token("bob's", "bob", NOW)
        for number in range(103):
            tx.accounts.add_token(f"{number}", "alice", NOW + number)

    await storage.write(issue)
    left = await storage.read(
        lambda tx: [number for number in range(103) if tx.accounts.by_token(f"{number}", 0)]
    )
    assert left == list(range(3, 103))
    assert await storage.read(lambda tx: tx.accounts.by_token("bob's", 0))


async def test_held_credits_are_owned_but_not_available(storage: Storage) -> None:
    await storage.write(found)
    await storage.write(lambda tx: reserve(tx, order(1)))
    alice = await storage.read(lambda tx: tx.accounts.get("alice"))
    assert alice is not None
    assert (alice.posted, alice.held, alice.available) == (1_000, 50, 950)
