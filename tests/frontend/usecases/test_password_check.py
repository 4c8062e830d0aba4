"""Whose a password is, where some are here and some at a directory."""

import asyncio

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import AccountClosedError, CredentialsInvalidError
from drink_frontend.domain.sign_in_errors import (
    DirectoryUnavailableError,
    IdentityNotLinkedError,
    NotMemberError,
)
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.settings import AccountSettings, LoginSettings
from tests.fakes.directory import FakeDirectory
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import CARD_KEY, Bench
from tests.support.ids import ROOT
from tests.support.tasks import beside

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def directory() -> FakeDirectory:
    return FakeDirectory()


@pytest.fixture
async def accounts(bench: Bench, directory: FakeDirectory) -> Accounts:
    """The use cases with a directory, and `local` with a password of its own."""
    accounts = Accounts(
        bench.storage,
        bench.hasher,
        bench.clock,
        CountingRandomness("P"),
        AccountSettings(),
        card_key=CARD_KEY,
        directory=directory,
        sleep=bench.clock.sleep,
    )
    await accounts.create(ROOT, "local", password="own", admin=True)
    return accounts


async def test_a_person_of_the_directory_logs_in(
    accounts: Accounts, directory: FakeDirectory, bench: Bench
) -> None:
    directory.add("Eve", "there")
    eve = await accounts.login_password("eve", "there", HERE)
    assert eve.name == "Eve"
    assert await accounts.login_password("EVE", "there", HERE) == eve
    with pytest.raises(CredentialsInvalidError) as refused:
        await accounts.login_password("Eve", "wrong", HERE)
    assert str(refused.value) == "the credentials do not match"
    # Nothing is hashed for a name without a password here.
    assert bench.hasher.verified == 0


async def test_a_password_of_an_account_is_its_own(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    directory.add("Local", "there", administrator=True)
    directory.is_away = True
    assert (await accounts.login_password("local", "own", HERE)).name == "local"
    # Neither the directory's password nor its being away matter to a local account.
    for name in ("local", "LOCAL"):
        with pytest.raises(CredentialsInvalidError):
            await accounts.login_password(name, "there", HERE)
    assert directory.asked == []


async def test_a_linked_account_has_both_passwords(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    person = directory.add("Local", "there")
    await accounts.identities.link(ROOT, "local", person.source, person.subject)
    for password in ("own", "there"):
        assert (await accounts.login_password("local", password, HERE)).name == "local"
    directory.is_away = True
    assert (await accounts.login_password("local", "own", HERE)).name == "local"
    with pytest.raises(DirectoryUnavailableError):
        await accounts.login_password("local", "there", HERE)


async def test_a_person_whose_name_a_local_account_has_logs_in_once_linked(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    person = directory.add("Local", "there")
    other = await accounts.create(ROOT, "other")
    await accounts.identities.link(ROOT, "other", person.source, person.subject)
    # Until somebody has logged in, only the account's name says who is meant.
    assert (await accounts.identities.log_in(person, creates_accounts=False)).id == other.id
    assert (await accounts.login_password("local", "there", HERE)).id == other.id
    assert (await accounts.login_password("local", "own", HERE)).name == "local"


async def test_an_account_without_a_password_is_not_taken_by_its_name(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    await accounts.create(ROOT, "carded", ibutton="00aabbccddeeff09", admin=True)
    directory.add("Carded", "there")
    with pytest.raises(IdentityNotLinkedError):
        await accounts.login_password("carded", "there", HERE)
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password("carded", "wrong", HERE)


async def test_without_the_setting_nobody_gets_an_account(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    directory.add("Eve", "there")
    directory.creates_accounts = False
    with pytest.raises(IdentityNotLinkedError):
        await accounts.login_password("eve", "there", HERE)


async def test_strangers_and_closed_accounts_are_told_so(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    person = directory.add("Eve", "there")
    directory.members.clear()
    with pytest.raises(NotMemberError):
        await accounts.login_password("eve", "there", HERE)
    directory.members.add(person.subject)
    await accounts.login_password("eve", "there", HERE)
    await accounts.change(ROOT, "eve", closed=True)
    with pytest.raises(AccountClosedError):
        await accounts.login_password("eve", "there", HERE)
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password("eve", "wrong", HERE)


async def test_an_outage_is_never_a_wrong_password_and_lets_nobody_in(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    directory.add("Eve", "there")
    directory.is_away = True
    # An outage takes no turns, however long it lasts.
    for _ in range(60):
        for name, password in (("eve", "there"), ("eve", "wrong"), ("nobody", "x")):
            with pytest.raises(DirectoryUnavailableError):
                await accounts.login_password(name, password, HERE)
    directory.is_away = False
    assert (await accounts.login_password("eve", "there", HERE)).name == "Eve"


async def test_guesses_at_names_that_only_the_directory_knows_are_slowed(
    accounts: Accounts, directory: FakeDirectory, bench: Bench
) -> None:
    directory.add("Eve", "there")
    for spelling in ("eve", "Eve", "EVE", "eVe", "evE")[: LoginSettings().failures_free]:
        with pytest.raises(CredentialsInvalidError):
            await accounts.login_password(spelling, "wrong", HERE)
    async with beside(accounts.login_password("eve", "there", HERE)) as login:
        await asyncio.sleep(0.05)
        assert not login.done()
        bench.clock.pass_s(LoginSettings().interval_s)
        assert (await login).name == "Eve"
    asked = len(directory.asked)
    for _ in range(LoginSettings().failures_free):
        with pytest.raises(CredentialsInvalidError):
            await accounts.login_password("eve", "wrong", THERE)
    bench.clock.pass_s(3_600)
    assert len(directory.asked) == asked + LoginSettings().failures_free


@pytest.mark.parametrize("name", ["", "e*", "eve)(uid=*", "ève", "e" * 33, "eve ", "~0123456789"])
async def test_what_is_no_name_of_an_account_is_not_asked_for(
    accounts: Accounts, directory: FakeDirectory, name: str
) -> None:
    with pytest.raises(CredentialsInvalidError):
        await accounts.login_password(name, "there", HERE)
    assert directory.asked == []


async def test_a_directory_that_hangs_delays_no_local_login(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    directory.add("Eve", "there")
    directory.hangs.clear()
    names = ["eve", *(f"n{number}" for number in range(10))]
    waiting = asyncio.gather(
        *(accounts.login_password(name, "there", HERE) for name in names), return_exceptions=True
    )
    async with asyncio.timeout(30):
        assert (await accounts.login_password("local", "own", THERE)).name == "local"
    directory.hangs.set()
    first, *others = await waiting
    assert isinstance(first, Account)
    assert {type(each) for each in others} == {CredentialsInvalidError}


async def test_only_a_password_of_ones_own_is_changed(
    accounts: Accounts, directory: FakeDirectory
) -> None:
    directory.add("Eve", "there")
    eve = await accounts.login_password("eve", "there", HERE)
    with pytest.raises(CredentialsInvalidError):
        await accounts.change_password(eve, "there", "new", HERE)
    local = await accounts.login_password("local", "own", HERE)
    await accounts.change_password(local, "own", "new", HERE)
    assert (await accounts.login_password("local", "new", HERE)).name == "local"
