"""Names of users: in any case, added again, and never without an administrator."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from drink_frontend.domain.entities import ALL_DROPS, AuditKind, DropSelection
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AlreadyExistsError,
    CredentialsInvalidError,
    FieldInvalidError,
    LastAdministratorError,
    NotOwnerError,
    RequestIdReusedError,
    TokenInvalidError,
)
from tests.support.bench import Bench
from tests.support.ids import ROOT

HERE = "192.0.2.1"
IBUTTON = "00AABBCCDDEEFF01"


async def twins(bench: Bench) -> None:
    """Makes Ann beside ann, as release 0.1.0 did."""
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute(
            "INSERT INTO accounts SELECT 'Ann', kind, admin, closed, 'hash:twin', ibutton_digest,"
            " created_ms, 0, 0, 0, 0, 0, 'Ann', NULL FROM accounts WHERE name = 'ann'"
        )
        connection.commit()


@pytest.mark.parametrize("name", ["Ann", "ANN", "aNN", "Funding", "SALES", "ann"])
async def test_a_name_that_differs_only_in_case_is_taken(bench: Bench, name: str) -> None:
    if name == "SALES":
        await bench.accounts.create(ROOT, name)
        name = "sales"
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, name)


async def test_of_two_that_are_made_at_once_one_is_made(bench: Bench) -> None:
    names = ["dora", "Dora", "DORA", "doRA"]
    made = await asyncio.gather(
        *(bench.accounts.create(ROOT, name) for name in names), return_exceptions=True
    )
    assert sum(isinstance(each, AlreadyExistsError) for each in made) == len(names) - 1
    users = [user.name for user in await bench.accounts.list_users()]
    assert sum(user.lower() == "dora" for user in users) == 1


@pytest.mark.parametrize("said", ["ann", "Ann", "ANN"])
async def test_whoever_names_an_account_may_write_it_in_any_case(bench: Bench, said: str) -> None:
    accounts, root, ann = bench.accounts, await bench.account("root"), await bench.account("ann")
    bob = await bench.account("bob")
    await accounts.change(ROOT, said, password="right")
    assert (await accounts.login_password(said, "right", HERE)).name == "ann"
    assert (await accounts.named(said)).name == "ann"
    assert (await accounts.get(ann, said)).name == "ann"
    found = await accounts.find(said)
    assert found is not None
    assert found.name == "ann"
    assert (await bench.transfers.add_credits(root, f"to-{said}", said, 5)).posted == 205
    await bench.transfers.send(bob, f"from-{said}", said, 10)
    assert (await bench.account("ann")).posted == 215
    assert len(await bench.transfers.entries(ann, said, None, 10)) == 3
    assert await bench.drops.list(ann, DropSelection(said), None, 10) == []
    assert await bench.storage.verify() == []


async def test_the_same_gift_under_another_spelling_is_the_same_gift(bench: Bench) -> None:
    root = await bench.account("root")
    for said in ("ann", "Ann", "ANN"):
        await bench.transfers.add_credits(root, "gift", said, 5)
    assert (await bench.account("ann")).posted == 205


async def test_nobody_sends_to_himself_in_capital_letters(bench: Bench) -> None:
    with pytest.raises(FieldInvalidError, match="recipient"):
        await bench.transfers.send(await bench.account("ann"), "self", "ANN", 5)


async def test_where_two_exist_from_before_only_the_exact_one_is_meant(bench: Bench) -> None:
    await twins(bench)
    await bench.accounts.change(ROOT, "ann", password="right")
    assert (await bench.accounts.login_password("ann", "right", HERE)).name == "ann"
    assert (await bench.accounts.login_password("Ann", "twin", HERE)).name == "Ann"
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_password("ANN", "right", HERE)
    with pytest.raises(AccountNotFoundError):
        await bench.accounts.named("aNN")
    with pytest.raises(NotOwnerError):
        await bench.accounts.get(await bench.account("ann"), "Ann")
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, "aNN")
    assert await bench.storage.remarks() == [
        "the accounts Ann and ann differ only in case: each is found by its exact name only"
    ]


@pytest.mark.parametrize("said", ["bo\N{KELVIN SIGN}", "\N{LATIN SMALL LETTER LONG S}am", "bo\0"])
async def test_letters_of_other_alphabets_are_nobody_s(bench: Bench, said: str) -> None:
    for name in ("bok", "sam"):
        await bench.accounts.create(ROOT, name, password="right")
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_password(said, "right", HERE)


async def test_a_removed_user_comes_back_with_his_books_and_nothing_else(bench: Bench) -> None:
    accounts = bench.accounts
    await accounts.change(ROOT, "root", password="secret")
    await accounts.change(ROOT, "ann", password="old", ibutton=IBUTTON, admin=True)
    token, _ = await accounts.tokens.issue(await bench.account("ann"))
    await accounts.change(ROOT, "ann", closed=True)
    bench.clock.pass_s(1)
    back = await accounts.create(ROOT, "Ann", password="new", readmit=True)
    assert (back.name, back.posted, back.admin, back.closed) == ("ann", 200, False, False)
    assert back.since_ms > (await bench.account("bob")).since_ms
    with pytest.raises(TokenInvalidError):
        await accounts.tokens.authenticate(token)
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_ibutton(IBUTTON, HERE)
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password("ann", "old", "192.0.2.9")
    assert (await accounts.login_password("ann", "new", HERE)).name == "ann"
    # The iButton is free for somebody else.
    await accounts.change(ROOT, "bob", ibutton=IBUTTON)
    (facts,) = [
        record.facts
        for record in await bench.audit(AuditKind.ACCOUNT_CHANGED)
        if "readmitted" in record.facts
    ]
    assert facts.pop("after_transfer") > 0
    assert facts == {"readmitted": True, "password": "set", "admin": False, "credit_limit": 0}
    assert await bench.storage.verify() == []


async def test_only_a_removed_user_is_added_again_and_only_where_asked(bench: Bench) -> None:
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, "ann", readmit=True)
    await bench.accounts.change(ROOT, "ann", closed=True)
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, "ann")
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.create(ROOT, "funding", readmit=True)


async def test_a_gift_is_known_by_its_request_whoever_gives_it(bench: Bench) -> None:
    """Invariant 12, 13: two administrators who repeat one gift give it once."""
    for name in ("rita", "operator:ann", "operator:root"):
        if ":" not in name:
            await bench.accounts.create(ROOT, name, admin=True)
    root, rita = await bench.account("root"), await bench.account("rita")
    await asyncio.gather(
        *(bench.transfers.add_credits(each, "gift", "ann", 5) for each in (root, rita))
    )
    assert (await bench.account("ann")).posted == 205
    for amount, whom in ((6, "ann"), (5, "bob"), (-5, "ann")):
        with pytest.raises(RequestIdReusedError):
            await bench.transfers.add_credits(rita, "gift", whom, amount)
    # A user's own transfers are another matter.
    await bench.transfers.send(await bench.account("bob"), "gift", "ann", 1)
    assert (await bench.account("ann")).posted == 206
    assert await bench.storage.remarks() == []


async def test_gifts_of_before_that_were_given_twice_are_told_of(bench: Bench) -> None:
    root = await bench.account("root")
    await bench.transfers.add_credits(root, "gift", "ann", 5)
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute(
            "INSERT INTO transfers (id, kind, debit_account, credit_account, amount, created_ms,"
            " actor, request_id) SELECT 'again', kind, debit_account, credit_account, amount,"
            " created_ms, 'rita', request_id FROM transfers WHERE request_id = 'gift'"
        )
        for side, name in (("credits", "ann"), ("debits", "funding")):
            connection.execute(
                f"UPDATE accounts SET {side}_posted = {side}_posted + 5 WHERE name = '{name}'"
            )
        # The second gift was given before there were events.
        connection.execute("DELETE FROM events")
        connection.commit()
    (remark,) = await bench.storage.remarks()
    assert remark.startswith("the request_id gift gave or took credits 2 times, by rita and root")
    await bench.transfers.add_credits(root, "gift", "ann", 5)


@pytest.mark.parametrize("change", [{"admin": False}, {"closed": True}])
async def test_the_last_administrator_stays_one_unless_forced(
    bench: Bench, change: dict[str, bool]
) -> None:
    accounts = bench.accounts
    with pytest.raises(LastAdministratorError, match="root is the last administrator"):
        await accounts.change(ROOT, "Root", **change)  # type: ignore[arg-type]
    await accounts.change(ROOT, "root", password="secret")
    # One who cannot log in, or is closed, does not stand in.
    await accounts.create(ROOT, "ghost", admin=True)
    await accounts.create(ROOT, "gone", admin=True, password="secret")
    await accounts.change(ROOT, "gone", closed=True)
    with pytest.raises(LastAdministratorError, match="root is the last administrator"):
        await accounts.change(ROOT, "Root", **change)  # type: ignore[arg-type]
    await accounts.create(ROOT, "rita", admin=True, ibutton=IBUTTON)
    await accounts.change(ROOT, "root", **change)  # type: ignore[arg-type]
    with pytest.raises(LastAdministratorError):
        await accounts.change(ROOT, "rita", **change)  # type: ignore[arg-type]
    await accounts.change(ROOT, "rita", force=True, **change)  # type: ignore[arg-type]


async def test_of_two_administrators_who_demote_each_other_at_once_one_is_left(
    bench: Bench,
) -> None:
    for name in ("rita", "rolf"):
        await bench.accounts.create(ROOT, name, admin=True, password="secret")
    done = await asyncio.gather(
        bench.accounts.change("rita", "rolf", admin=False),
        bench.accounts.change("rolf", "rita", admin=False),
        return_exceptions=True,
    )
    assert sum(isinstance(each, LastAdministratorError) for each in done) == 1


async def test_lists_of_a_user_who_is_not_there_say_so_after_the_rights(bench: Bench) -> None:
    root, ann = await bench.account("root"), await bench.account("ann")
    for caller, error in ((root, AccountNotFoundError), (ann, NotOwnerError)):
        with pytest.raises(error):
            await bench.transfers.entries(caller, "nobody", None, 10)
        with pytest.raises(error):
            await bench.drops.list(caller, DropSelection("nobody"), None, 10)
        with pytest.raises(error):
            await bench.accounts.get(caller, "nobody")
    with pytest.raises(NotOwnerError):
        await bench.drops.list(ann, ALL_DROPS, None, 10)
    with pytest.raises(AccountNotFoundError):
        await bench.transfers.entries(root, "funding", None, 10)
