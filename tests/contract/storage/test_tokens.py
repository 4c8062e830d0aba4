"""The contract of `TokenTable`."""

import pytest

from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import Scope, day_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, found, token
from tests.support.ids import ALICE, BOB

DAY_MS = 86_400_000


@pytest.mark.parametrize("scope", Scope)
async def test_a_token_stands_for_its_account_until_it_expires(
    storage: Database, scope: Scope
) -> None:
    await storage.write(found)
    await storage.write(lambda tx: tx.tokens.add(token("digest", scope=scope)))
    bearer = await storage.read(lambda tx: tx.tokens.holder("digest", NOW - 1))
    assert bearer is not None
    assert (bearer.account.id, bearer.account.name) == (ALICE, "alice")
    assert bearer.account.posted == 1_000
    assert (bearer.scope, bearer.used_ms) == (scope, day_of(NOW))
    assert await storage.read(lambda tx: tx.tokens.holder("digest", NOW)) is None
    assert await storage.read(lambda tx: tx.tokens.holder("other", 0)) is None


async def test_tokens_are_listed_as_they_were_stored(storage: Database) -> None:
    tokens = [
        token("3", expires_ms=NOW + 3, scope=Scope.READ, name="wall"),
        token("2", expires_ms=NOW + 2),
        token("1", expires_ms=NOW + 1, scope=Scope.DROP, name="phone"),
    ]

    def issue(tx: Transaction) -> None:
        found(tx)
        for each in (*reversed(tokens), token("0"), token("bob's", BOB, expires_ms=NOW + 9)):
            tx.tokens.add(each)

    await storage.write(issue)
    assert await storage.read(lambda tx: tx.tokens.list(ALICE, NOW)) == tokens
    assert await storage.read(lambda tx: tx.tokens.list("nobody", 0)) == []


@pytest.mark.parametrize("scope", Scope)
async def test_the_day_of_the_last_use_is_kept(storage: Database, scope: Scope) -> None:
    await storage.write(found)
    later = NOW + DAY_MS + 5

    def use(tx: Transaction) -> None:
        tx.tokens.add(token("digest", scope=scope, used_ms=None, expires_ms=NOW + 1))
        tx.tokens.add(token("other", scope=scope))
        tx.tokens.mark_used("digest", later)

    await storage.write(use)
    used = await storage.read(
        lambda tx: {each.digest: each.used_ms for each in tx.tokens.list(ALICE, 0)}
    )
    assert used == {"digest": day_of(later), "other": day_of(NOW)}


async def test_a_removed_token_is_gone_and_no_other(storage: Database) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        for number, scope in enumerate((Scope.ALL, Scope.DROP, Scope.ALL, Scope.DROP)):
            tx.tokens.add(token(f"{number}", scope=scope))

    await storage.write(issue)
    for digest, scope in (("0", Scope.ALL), ("1", Scope.DROP), ("gone", Scope.ALL)):
        gone = token(digest, scope=scope)
        await storage.write(lambda tx, gone=gone: tx.tokens.remove(gone))  # type: ignore[misc]
    left = await storage.read(lambda tx: [each.digest for each in tx.tokens.list(ALICE, 0)])
    assert left == ["3", "2"]


async def test_removing_tokens_leaves_those_of_others(storage: Database) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        for digest, account in (("1", ALICE), ("2", ALICE), ("3", BOB)):
            tx.tokens.add(token(digest, account))
            tx.tokens.add(token(f"{digest} limited", account, scope=Scope.READ))

    await storage.write(issue)
    await storage.write(lambda tx: tx.tokens.remove_all(ALICE))
    assert await storage.read(lambda tx: tx.tokens.list(ALICE, 0)) == []
    assert len(await storage.read(lambda tx: tx.tokens.list(BOB, 0))) == 2


async def test_tokens_of_one_login_method_are_removed_whatever_their_scope(
    storage: Database,
) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        for scope in Scope:
            for proof in Proof:
                tx.tokens.add(token(f"{scope} {proof}", scope=scope), proof)
        tx.tokens.remove_all(ALICE, Proof.IBUTTON)

    await storage.write(issue)
    left = await storage.read(lambda tx: {each.digest for each in tx.tokens.list(ALICE, 0)})
    others = [proof for proof in Proof if proof is not Proof.IBUTTON]
    assert left == {f"{scope} {proof}" for scope in Scope for proof in others}


async def test_tokens_of_an_account_are_bounded_and_the_first_to_expire_goes(
    storage: Database,
) -> None:
    def issue(tx: Transaction) -> None:
        found(tx)
        tx.tokens.add(token("bob's", BOB))
        for number in range(103):
            scope = (Scope.ALL, Scope.DROP)[number % 2]
            tx.tokens.add(token(f"{number}", scope=scope, expires_ms=NOW + number))

    await storage.write(issue)
    left = await storage.read(
        lambda tx: [number for number in range(103) if tx.tokens.holder(f"{number}", 0)]
    )
    assert left == list(range(3, 103))
    assert await storage.read(lambda tx: tx.tokens.holder("bob's", 0))
