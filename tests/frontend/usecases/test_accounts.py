"""Logging in, and administering accounts."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from drink_frontend.domain.entities import Account, AuditKind
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AlreadyExistsError,
    CredentialsInvalidError,
    DrinkError,
    FieldInvalidError,
    NotOwnerError,
    TokenInvalidError,
)
from drink_frontend.usecases.settings import LoginSettings
from tests.support.bench import Bench
from tests.support.ids import BOB, ROOT
from tests.support.sessions import until
from tests.support.tasks import beside

HERE, THERE = "192.0.2.1", "192.0.2.2"
IBUTTON = "00aabbccddeeff01"


@pytest.fixture
async def carol(bench: Bench) -> Account:
    """An account that can log in, with 40 credits."""
    await bench.accounts.create(ROOT, "carol", password="right", ibutton=IBUTTON)
    root = await bench.account("root")
    return await bench.transfers.add_credits(root, "first-carol", "carol", 40)


async def test_a_password_logs_in(bench: Bench, carol: Account) -> None:
    assert await bench.accounts.login_password("carol", "right", HERE) == carol


@pytest.mark.parametrize(
    ("name", "password"),
    [("carol", "wrong"), ("carol", ""), ("carol", "right "), ("nobody", "right"), ("ann", "right")],
)
async def test_a_refused_login_never_says_why(
    bench: Bench, carol: Account, name: str, password: str
) -> None:
    with pytest.raises(CredentialsInvalidError) as refused:
        await bench.accounts.login_password(name, password, HERE)

    assert str(refused.value) == "the credentials do not match"
    assert refused.value.facts == {}
    assert bench.hasher.verified == 1


async def test_the_books_own_accounts_do_not_log_in(bench: Bench) -> None:
    for name in ("funding", "sales/d"):
        await bench.storage.write(
            lambda tx, name=name: tx.accounts.update(name, password_hash="hash:right")  # type: ignore[misc]
        )
        with pytest.raises(CredentialsInvalidError):
            await bench.accounts.login_password(name, "right", HERE)


async def test_a_closed_account_does_not_log_in(bench: Bench, carol: Account) -> None:
    token, _ = await bench.accounts.tokens.issue(carol)
    await bench.accounts.change(ROOT, "carol", closed=True)

    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_password("carol", "right", HERE)
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_ibutton(IBUTTON, HERE)
    with pytest.raises(TokenInvalidError):
        await bench.accounts.tokens.authenticate(token)


async def test_an_ibutton_logs_in_whatever_its_case(bench: Bench, carol: Account) -> None:
    assert (await bench.accounts.login_ibutton(IBUTTON.upper(), HERE)).account == carol


@pytest.mark.parametrize("ibutton", ["", "00aabbccddeeff02", "' OR 1=1", "x" * 5_000])
async def test_an_unknown_ibutton(bench: Bench, carol: Account, ibutton: str) -> None:
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_ibutton(ibutton, HERE)


async def test_an_ibutton_is_kept_as_a_digest(bench: Bench, carol: Account) -> None:
    database = b"".join(file.read_bytes() for file in bench.path.parent.glob("drink.db*"))

    assert b"carol" in database
    assert IBUTTON.encode() not in database
    assert IBUTTON.upper().encode() not in database


async def guess(bench: Bench, times: int, name: str = "carol", origin: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(CredentialsInvalidError):
            await bench.accounts.login_password(name, "wrong", origin)


FREE = LoginSettings().failures_free
INTERVAL_S = LoginSettings().interval_s


async def waits(bench: Bench, attempt: Coroutine[Any, Any, Any]) -> float:
    """Seconds until the attempt's turn comes; 0 if it has been answered."""
    async with beside(attempt) as task:
        await until(lambda: task.done() or bool(bench.clock.waits))
        return 0 if task.done() else bench.clock.waits[0]


async def test_fault_8_who_guesses_waits(bench: Bench, carol: Account) -> None:
    await guess(bench, FREE)
    login = asyncio.create_task(bench.accounts.login_password("carol", "right", HERE))
    await until(lambda: bool(bench.clock.waits))
    assert bench.hasher.verified == FREE
    assert bench.clock.waits == [INTERVAL_S]

    bench.clock.pass_s(INTERVAL_S)
    assert await login == carol


async def test_fault_8_the_owner_elsewhere_does_not_wait(bench: Bench, carol: Account) -> None:
    await guess(bench, FREE)

    assert await bench.accounts.login_password("carol", "right", THERE) == carol


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix", "unix", True),
    ],
)
async def test_fault_8_a_guesser_cannot_hop_within_its_own_network(
    bench: Bench, carol: Account, first: str, second: str, same: bool
) -> None:
    await guess(bench, FREE, origin=first)

    wait_s = await waits(bench, bench.accounts.login_password("carol", "right", second))
    assert wait_s == (INTERVAL_S if same else 0)


async def test_fault_8_a_guesser_cannot_hop_by_spelling_the_name_otherwise(
    bench: Bench, carol: Account
) -> None:
    for name in ("carol", "Carol", "CAROL", "cArol", "caroL"):
        await guess(bench, 1, name=name)

    assert await waits(bench, bench.accounts.login_password("carol", "right", HERE)) == INTERVAL_S


async def test_fault_62_a_place_that_tries_many_accounts_waits(
    bench: Bench, carol: Account
) -> None:
    """And whoever has not logged in from there, with a password as with an iButton."""
    settings = LoginSettings()
    for number in range(settings.place_failures_free):
        await guess(bench, 1, name=f"user{number}")

    accounts = bench.accounts
    for attempt in (
        accounts.login_password("carol", "right", HERE),
        accounts.login_ibutton(IBUTTON, HERE),
        accounts.login_ibutton("no iButton", HERE),
    ):
        assert await waits(bench, attempt) == settings.place_interval_s
    assert (await accounts.login_ibutton(IBUTTON, THERE)).account == carol


async def test_fault_62_a_known_ibutton_does_not_wait_for_guesses_at_others(
    bench: Bench, carol: Account
) -> None:
    await bench.accounts.login_ibutton(IBUTTON, HERE)
    for number in range(LoginSettings().place_failures_free):
        with pytest.raises(CredentialsInvalidError):
            await bench.accounts.login_ibutton(f"{number:016}", HERE)

    assert (await bench.accounts.login_ibutton(IBUTTON, HERE)).account == carol


async def test_fault_51_a_jump_of_the_clock_ends_no_wait(bench: Bench, carol: Account) -> None:
    await guess(bench, FREE)
    bench.clock.jump_s(86_400)

    assert await waits(bench, bench.accounts.login_password("carol", "right", HERE)) == INTERVAL_S


@pytest.mark.parametrize("change", [{"password": "new"}, {"closed": True}])
async def test_a_new_password_and_a_closed_account_end_every_token(
    bench: Bench, carol: Account, change: dict[str, Any]
) -> None:
    token, _ = await bench.accounts.tokens.issue(carol)
    other, _ = await bench.accounts.tokens.issue(await bench.account("ann"))
    await bench.accounts.change(ROOT, "carol", **change)
    await bench.accounts.change(ROOT, "carol", closed=False)

    with pytest.raises(TokenInvalidError):
        await bench.accounts.tokens.authenticate(token)
    assert (await bench.accounts.tokens.authenticate(other)).account.name == "ann"


async def test_a_change_keeps_what_it_does_not_name(bench: Bench, carol: Account) -> None:
    token, _ = await bench.accounts.tokens.issue(carol)
    changed = await bench.accounts.change(ROOT, "carol", admin=True)

    assert changed.admin
    assert (await bench.accounts.tokens.authenticate(token)).account.admin
    assert (await bench.accounts.login_ibutton(IBUTTON, HERE)).account.posted == 40
    await bench.accounts.change(ROOT, "root", password="secret")
    assert not (await bench.accounts.change(ROOT, "carol", admin=False)).admin


async def test_the_audit_log_says_what_was_changed_and_no_secret(
    bench: Bench, carol: Account
) -> None:
    """Invariant 21: who did what to whom, readable later."""
    await bench.accounts.change(ROOT, "carol", password="hush", closed=True)
    await bench.accounts.change(BOB, "carol", closed=False)

    records = [
        record
        for record in await bench.audit(AuditKind.ACCOUNT_CHANGED)
        if record.account == "carol"
    ]
    assert [(record.actor, record.facts) for record in records] == [
        ("root", {"created": True, "password": "set", "ibutton": "set", "admin": False}),
        ("root", {"password": "set", "closed": True}),
        ("bob", {"closed": False}),
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "ann"}, AlreadyExistsError),
        ({"name": "funding"}, AlreadyExistsError),
        ({"name": "a b"}, FieldInvalidError),
        ({"name": "dora", "password": ""}, FieldInvalidError),
        ({"name": "dora", "ibutton": "short"}, FieldInvalidError),
        ({"name": "dora", "ibutton": IBUTTON}, AlreadyExistsError),
    ],
)
async def test_an_account_that_cannot_be_made(
    bench: Bench, carol: Account, fields: dict[str, Any], error: type[DrinkError]
) -> None:
    before = await bench.accounts.list_users()
    with pytest.raises(error):
        await bench.accounts.create(ROOT, **fields)

    assert await bench.accounts.list_users() == before


async def test_an_ibutton_that_is_taken_is_not_given_away(bench: Bench, carol: Account) -> None:
    with pytest.raises(AlreadyExistsError):
        await bench.accounts.change(ROOT, "ann", ibutton=IBUTTON)
    with pytest.raises(AccountNotFoundError):
        await bench.accounts.change(ROOT, "nobody", closed=True)

    assert (await bench.accounts.login_ibutton(IBUTTON, HERE)).account.name == "carol"


async def test_users_are_listed_by_name_without_the_books_own_accounts(bench: Bench) -> None:
    assert [account.name for account in await bench.accounts.list_users()] == ["ann", "bob", "root"]


async def test_an_account_is_shown_to_its_owner_and_to_administrators(bench: Bench) -> None:
    ann, root = await bench.account("ann"), await bench.account("root")

    assert await bench.accounts.get(ann, "ann") == await bench.accounts.get(root, "ann") == ann
    for name in ("bob", "nobody", "funding"):
        with pytest.raises(NotOwnerError):
            await bench.accounts.get(ann, name)
        with pytest.raises(NotOwnerError):
            await bench.transfers.entries(ann, name, None, 10)
    for name in ("nobody", "funding", "sales/d"):
        with pytest.raises(AccountNotFoundError):
            await bench.accounts.get(root, name)
        assert await bench.accounts.find(name) is None
