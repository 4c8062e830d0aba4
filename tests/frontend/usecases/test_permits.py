"""What is done by a login ends with it, at once, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from drink_frontend.domain.entities import Account, Proof
from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    StorageUnavailableError,
    TokenInvalidError,
)
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.permits import LOOK_INTERVAL_S, Permit, Permits
from drink_frontend.usecases.tokens import digest
from tests.support.bench import Bench
from tests.support.books import token as issued
from tests.support.ids import ROOT
from tests.support.tasks import cancel

IBUTTON, OTHER = "00AABBCCDDEEFF01", "00AABBCCDDEEFF02"
LIMIT_S = 20

EVERYBODY = ["by_password_token", "by_ibutton_token", "by_password", "by_ibutton"]
"""Whom Carol's logins let in."""


class Holder:
    """Somebody who is let in by a permit."""

    def __init__(self, permits: Permits, permit: Permit) -> None:
        self.ended = asyncio.Event()
        self.times = 0
        self.give_back = permits.hold(permit, self._end)

    def _end(self) -> None:
        self.times += 1
        self.ended.set()

    async def ends(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.ended.wait()
        assert self.times == 1


class Scene:
    """Carol, logged in in every way, and Ann, whom nothing concerns."""

    def __init__(self, bench: Bench, permits: Permits) -> None:
        self.bench = bench
        self.permits = permits

    async def begin(self) -> None:
        accounts = self.bench.accounts
        carol = await accounts.create(ROOT, "carol", password="right", ibutton=IBUTTON)
        self.carol = carol.id
        self.by_password_token = await self._token(carol, Proof.PASSWORD)
        self.by_ibutton_token = await self._token(carol, Proof.IBUTTON)
        self.by_password = self.hold(Permit(carol.id, password_hash=carol.password_hash))
        self.by_ibutton = self.hold(Permit(carol.id, ibutton=digest(IBUTTON)))
        self.ann = await self._token(await self.bench.account("ann"), Proof.IBUTTON)

    def hold(self, permit: Permit) -> Holder:
        return Holder(self.permits, permit)

    async def _token(self, account: Account, proof: Proof) -> Holder:
        token, _ = await self.bench.accounts.tokens.issue(account, proof)
        return self.hold(Permit(account.id, token=digest(token)))

    async def looked(self) -> None:
        """Waits until what was in doubt so far has been looked up: a last one in the line."""
        await Holder(self.permits, Permit("nobody", token="none")).ends()

    async def left(self) -> list[Holder]:
        await self.looked()
        assert not self.ann.ended.is_set()
        everybody = [getattr(self, name) for name in EVERYBODY]
        return [holder for holder in everybody if not holder.ended.is_set()]


@pytest.fixture
async def scene(bench: Bench) -> AsyncIterator[Scene]:
    permits = Permits(bench.storage, bench.clock)
    running = asyncio.create_task(permits.run())
    scene = Scene(bench, permits)
    await scene.begin()
    yield scene
    await cancel(running)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"password": "new"}, ["by_ibutton"]),
        ({"closed": True}, []),
        ({"ibutton": OTHER}, ["by_password_token", "by_password"]),
        ({"no_ibutton": True}, ["by_password_token", "by_password"]),
        ({"admin": True}, EVERYBODY),
        ({"ibutton": IBUTTON.lower()}, EVERYBODY),
        ({}, EVERYBODY),
    ],
)
async def test_fault_70_what_a_change_takes_away_ends_and_nothing_else(
    scene: Scene, change: dict[str, Any], left: list[str]
) -> None:
    await scene.bench.accounts.change(ROOT, "carol", **change)

    assert await scene.left() == [getattr(scene, name) for name in left]


async def test_fault_70_an_ibutton_that_another_account_gets_lets_in_nobody_by_the_old_one(
    scene: Scene,
) -> None:
    await scene.bench.accounts.change(ROOT, "carol", no_ibutton=True)
    await scene.bench.accounts.change(ROOT, "bob", ibutton=IBUTTON)

    assert await scene.left() == [scene.by_password_token, scene.by_password]


async def test_fault_70_the_oldest_token_of_too_many_ends(scene: Scene) -> None:
    carol = await scene.bench.account("carol")
    while not scene.by_password_token.ended.is_set():
        scene.bench.clock.pass_s(1)
        await scene.bench.accounts.tokens.issue(carol)
        await asyncio.sleep(0)
    assert scene.by_password in await scene.left()


async def test_fault_70_a_token_made_before_its_maker_was_kept_ends_with_either(
    scene: Scene,
) -> None:
    """A program of the first release, still running beside this one, does not say who made it."""
    token = digest("old")
    expires_ms = scene.bench.clock.now_ms() + 1_000_000

    def keep(tx: Transaction) -> None:
        tx.tokens.add(issued(token, scene.carol, expires_ms=expires_ms))
        rows = tx.tokens._rows
        rows.flush()
        rows._executor._cursor.execute(
            "UPDATE tokens SET made_by = NULL WHERE digest = :digest", {"digest": token}
        )

    await scene.bench.storage.write(keep)
    old = scene.hold(Permit(scene.carol, token=token))
    await scene.looked()
    assert not old.ended.is_set()
    await scene.bench.accounts.change(ROOT, "carol", no_ibutton=True)
    await old.ends()


async def test_fault_70_what_another_process_revokes_ends_here(scene: Scene) -> None:
    """A notice that names the account, and one that says that anything may have changed."""
    storage = scene.bench.storage
    for touched in (ChangeSet(revoked={scene.carol}), None):
        holder = scene.hold(Permit(scene.carol, token="revoked elsewhere"))
        # Registered a moment after the last notice, it would be looked up for that.
        storage.changes.publish_remote(touched)
        await holder.ends()
    assert len(await scene.left()) == 4


async def test_fault_70_what_is_revoked_before_it_is_held_ends(scene: Scene) -> None:
    """Between the look at a token and the beginning of what it lets somebody do."""
    await scene.bench.accounts.change(ROOT, "carol", password="new")
    late = scene.hold(Permit(scene.carol, token="revoked"))

    await late.ends()


async def test_fault_70_an_expired_token_ends_at_the_next_look(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.bench.clock.pass_s(31 * 86_400)
    monkeypatch.setattr("drink_frontend.usecases.permits.LOOK_INTERVAL_S", 0.01)
    scene.permits._wake.set()

    await scene.by_password_token.ends()
    await scene.ann.ends()
    assert not scene.by_password.ended.is_set()


async def test_fault_70_a_database_that_is_away_is_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drink_frontend.usecases.permits.RETRY_INTERVAL_S", 0.01)
    read, asked = scene.bench.storage.read, 0

    async def sometimes(query: Callable[[Transaction], Any]) -> Any:
        nonlocal asked
        asked += 1
        if asked < 4:
            raise StorageUnavailableError("away")
        return await read(query)

    monkeypatch.setattr(scene.bench.storage, "read", sometimes)
    scene.bench.storage.changes.publish_remote(None)
    holder = scene.hold(Permit(scene.carol, token="revoked"))
    await holder.ends()
    assert asked >= 4


async def test_who_has_gone_is_not_told(scene: Scene) -> None:
    for holder in (scene.by_password, scene.by_password_token):
        holder.give_back()
        holder.give_back()
    await scene.bench.accounts.change(ROOT, "carol", closed=True)
    await scene.left()

    assert scene.by_password.times == scene.by_password_token.times == 0
    scene.by_ibutton.give_back()
    scene.ann.give_back()
    assert scene.permits._held == {}


async def test_a_drop_looks_nothing_up(scene: Scene) -> None:
    """Each drop changes its buyer's account, and permits have no part in that."""
    scene.bench.clock.pass_s(LOOK_INTERVAL_S)
    scene.hold(Permit("ann", token="revoked long ago"))
    await scene.bench.place()

    assert scene.permits._to_check == set()
    assert not scene.permits._wake.is_set()


async def test_an_ibutton_that_was_taken_away_logs_nobody_in(bench: Bench) -> None:
    carol = await bench.accounts.create(ROOT, "carol", ibutton=IBUTTON)
    token, _ = await bench.accounts.tokens.issue(carol, Proof.IBUTTON)
    await bench.accounts.change(ROOT, "carol", no_ibutton=True)

    with pytest.raises(TokenInvalidError):
        await bench.accounts.tokens.authenticate(token)
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_ibutton(IBUTTON, "192.0.2.1")
