"""Names of accounts: they change and are erased, and the books do not notice."""

import asyncio
import re
from dataclasses import replace

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, AuditKind, DropSelection
from drink_frontend.domain.errors import (
    AccountErasedError,
    AccountNotFoundError,
    AccountNotSettledError,
    AccountOpenError,
    AlreadyExistsError,
    CredentialsInvalidError,
    DropNotFoundError,
    FieldInvalidError,
    NotOwnerError,
    TokenInvalidError,
)
from drink_frontend.domain.tokens import Scope
from tests.support.bench import Bench
from tests.support.ids import ROOT

HERE = "192.0.2.1"


@pytest.fixture
async def eve(bench: Bench) -> Account:
    """A user whose id is not her name, with 100 credits."""
    await bench.accounts.create(ROOT, "Eve", password="right")
    root = await bench.account("root")
    return await bench.transfers.add_credits(root, "first-eve", "eve", 100)


async def renamed(bench: Bench, name: str, new_name: str) -> Account:
    return await bench.accounts.change(ROOT, name, new_name=new_name)


async def test_an_account_has_an_id_that_is_no_name(bench: Bench, eve: Account) -> None:
    assert re.fullmatch("~[0-9A-Z]{10}", eve.id)
    assert eve.name == "Eve"
    for reference in ("Eve", "eve", "EVE", eve.id):
        assert await bench.accounts.named(reference) == eve
    with pytest.raises(FieldInvalidError):
        await bench.accounts.create(ROOT, "~ABCDEFGHIJ")
    with pytest.raises(FieldInvalidError):
        await renamed(bench, "eve", "~ABCDEFGHIJ")


async def test_a_renamed_member_goes_on(bench: Bench, eve: Account) -> None:
    accounts = bench.accounts
    token, _ = await accounts.tokens.issue(eve)
    limited, _ = await accounts.tokens.issue(eve, scope=Scope.READ)
    drop = await bench.place("mid-drop", account=eve.id)
    await bench.taken()

    after = await renamed(bench, "eve", "Mallory")

    assert (after.id, after.name, after.posted) == (eve.id, "Mallory", 100)
    for each in (token, limited):
        assert (await accounts.tokens.authenticate(each)).account.name == "Mallory"
    assert await bench.place("mid-drop", account=eve.id) == await bench.drop(drop.id)
    await bench.report(drop)
    settled = await bench.drop(drop.id)
    assert (settled.state, settled.buyer) == (State.DISPENSED, "Mallory")
    assert await bench.drops.list(after, DropSelection(account="mallory"), None, 9) == [settled]
    assert (await accounts.login_password("MALLORY", "right", HERE)).id == eve.id
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password("eve", "right", HERE)
    with pytest.raises(AccountNotFoundError):
        await accounts.named("eve")
    assert await bench.storage.verify() == []


async def test_entries_and_records_show_the_name_of_now(bench: Bench, eve: Account) -> None:
    await bench.transfers.send(eve, "sent", "ann", 5)
    drop = await bench.place("one", account=eve.id)
    await renamed(bench, "eve", "mallory")
    ann = await bench.account("ann")
    entry, *_ = await bench.transfers.entries(ann, "ann", None, 9)
    assert (entry.counterpart, entry.actor, entry.credits) == ("mallory", "mallory", 5)
    (record,) = await bench.drops.records(drop.id, 9)
    assert (record.actor, record.account) == ("mallory", "mallory")
    # A record never changes, so that it holds no name.
    facts = [each.facts for each in await bench.audit(AuditKind.ACCOUNT_CHANGED)]
    assert facts[-1] == {"renamed": True}


async def test_a_name_is_free_once_it_was_changed_and_not_before(
    bench: Bench, eve: Account
) -> None:
    for taken in ("ann", "ANN", "funding", "Funding"):
        with pytest.raises(AlreadyExistsError):
            await renamed(bench, "eve", taken)
    assert (await renamed(bench, "eve", "EVE")).name == "EVE"
    await renamed(bench, "eve", "mallory")
    other = await bench.accounts.create(ROOT, "eve")
    assert other.id != eve.id
    with pytest.raises(AlreadyExistsError):
        await renamed(bench, "mallory", "Eve")


async def test_of_two_renames_to_one_name_one_wins(bench: Bench) -> None:
    answers = await asyncio.gather(
        *(renamed(bench, name, new) for name, new in (("ann", "zoe"), ("bob", "ZOE"))),
        return_exceptions=True,
    )
    assert [type(each) for each in answers].count(AlreadyExistsError) == 1
    users = [each.name.lower() for each in await bench.accounts.list_users()]
    assert users.count("zoe") == 1
    assert len(users) == 3


@pytest.mark.parametrize("name", ["", "a b", "x" * 33, "-a", ".a", "a\0", "ä", "a/b"])
async def test_what_is_no_name_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(FieldInvalidError):
        await renamed(bench, "ann", name)
    assert (await bench.account("ann")).name == "ann"


async def test_a_display_name_is_shown_and_changes_nothing_else(bench: Bench) -> None:
    ann = await bench.account("ann")
    bob = await bench.accounts.change(ROOT, "bob", display_name="Ann of the lounge")
    called = await bench.accounts.change(ROOT, "ann", display_name="  Ann of the lounge ")
    assert called == replace(ann, display_name="Ann of the lounge")
    assert bob.display_name == called.display_name
    assert await bench.accounts.change(ROOT, "ann", credit_limit=3) == replace(
        called, credit_limit=3
    )
    for nothing in ("", "   "):
        await bench.accounts.change(ROOT, "ann", display_name="Ann")
        assert (await bench.accounts.change(ROOT, "ann", display_name=nothing)) == replace(
            ann, credit_limit=3
        )
    with pytest.raises(AccountNotFoundError):
        await bench.accounts.named("Ann of the lounge")
    assert await bench.storage.verify() == []


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "a\0", "\x1b[2J", "\u202eann", "a\u200b"])
async def test_what_is_no_display_name_is_refused(bench: Bench, name: str) -> None:
    before = await bench.accounts.change(ROOT, "ann", display_name="Ann")
    with pytest.raises(FieldInvalidError, match="display_name"):
        await bench.accounts.change(ROOT, "ann", display_name=name, admin=True)
    with pytest.raises(FieldInvalidError, match="display_name"):
        await bench.accounts.create(ROOT, "eve", display_name=name)
    assert await bench.account("ann") == before
    with pytest.raises(AccountNotFoundError):
        await bench.accounts.named("eve")


async def test_records_say_that_a_display_name_was_set_and_not_which(bench: Bench) -> None:
    await bench.accounts.create(ROOT, "eve", display_name="Evelyn")
    await bench.accounts.change(ROOT, "eve", display_name="Evelyn E.")
    await bench.accounts.change(ROOT, "eve", display_name="")
    records = (await bench.audit(AuditKind.ACCOUNT_CHANGED))[-3:]
    assert {each.actor for each in records} == {"root"}
    assert [each.facts["display_name"] for each in records] == ["set", "set", False]


async def test_who_comes_back_has_only_the_display_name_that_is_given(bench: Bench) -> None:
    for given, shown in (("", None), ("Ann B.", "Ann B.")):
        await bench.accounts.change(ROOT, "ann", display_name="Ann A.", closed=True)
        ann = await bench.accounts.create(ROOT, "ann", readmit=True, display_name=given)
        assert ann.display_name == shown


async def settled_and_closed(bench: Bench, eve: Account) -> None:
    root = await bench.account("root")
    posted = (await bench.accounts.balance(eve.id)).posted
    await bench.transfers.set_posted(root, "pay-out", eve.id, 0, posted)
    await bench.accounts.change(ROOT, eve.id, closed=True)


async def test_an_erased_member_leaves_the_books_and_nothing_else(
    bench: Bench, eve: Account
) -> None:
    accounts = bench.accounts
    await accounts.change(ROOT, "eve", ibutton="0" * 16, display_name="Evelyn E.")
    await accounts.cards.add(ROOT, "eve", CardKind.CHIP, "F" * 16)
    token, _ = await accounts.tokens.issue(eve)
    drop = await bench.dispatched("one", account=eve.id)
    await bench.report(drop)
    await settled_and_closed(bench, eve)

    erased = await accounts.erase(ROOT, "EVE")

    assert (erased.id, erased.name, erased.closed) == (eve.id, eve.id, True)
    assert await accounts.erase(ROOT, eve.id) == erased
    assert erased.display_name is None
    assert b"Eve" not in bench.path.read_bytes()
    shown = await bench.drop(drop.id)
    assert (shown.account, shown.buyer) == (eve.id, eve.id)
    root = await bench.account("root")
    assert await bench.drops.list(root, DropSelection(account=eve.id), None, 9) == [shown]
    assert eve.id not in [each.id for each in await accounts.list_users()]
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password("eve", "right", HERE)
    for number in ("0" * 16, "F" * 16):
        with pytest.raises(CredentialsInvalidError):
            await accounts.login_card(number, "192.0.2.2")
    with pytest.raises(TokenInvalidError):
        await accounts.tokens.authenticate(token)
    with pytest.raises(AccountErasedError):
        await accounts.change(ROOT, eve.id, closed=False)
    assert await bench.storage.verify() == []


async def test_a_newcomer_has_the_name_and_none_of_the_books(bench: Bench, eve: Account) -> None:
    drop = await bench.dispatched("one", account=eve.id)
    await bench.report(drop)
    await settled_and_closed(bench, eve)
    await bench.accounts.erase(ROOT, "eve")

    newcomer = await bench.accounts.create(ROOT, "eve", readmit=True)

    assert newcomer.id != eve.id
    assert (newcomer.posted, newcomer.closed) == (0, False)
    assert await bench.transfers.entries(newcomer, "eve", None, 9) == []
    assert await bench.drops.list(newcomer, DropSelection(account="eve"), None, 9) == []
    with pytest.raises(DropNotFoundError):
        await bench.drops.get(newcomer, drop.id)
    for reference in (eve.id, "ann"):
        with pytest.raises(NotOwnerError):
            await bench.transfers.entries(newcomer, reference, None, 9)


async def test_only_a_closed_and_settled_account_is_erased(bench: Bench, eve: Account) -> None:
    accounts = bench.accounts
    with pytest.raises(AccountOpenError):
        await accounts.erase(ROOT, "eve")
    await bench.place("one", account=eve.id)
    await accounts.change(ROOT, "eve", closed=True)
    with pytest.raises(AccountNotSettledError) as refused:
        await accounts.erase(ROOT, "eve")
    assert refused.value.facts == {"posted": 100, "held": 50}
    for name in ("nobody", "funding", "sales/d", "~0000000000"):
        with pytest.raises(AccountNotFoundError):
            await accounts.erase(ROOT, name)
    assert (await accounts.named("eve")).name == "Eve"
