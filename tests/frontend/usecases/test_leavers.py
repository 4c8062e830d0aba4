"""Who has left the directory is closed, and nobody is by mistake."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from drink_frontend.domain.alarms import HOUSE, AlarmKind
from drink_frontend.domain.entities import Account, AuditKind
from drink_frontend.domain.errors import (
    AccountClosedError,
    CredentialsInvalidError,
    TokenInvalidError,
)
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.leavers import FAILURES_MAX, Leavers, LookTimes, Outcome
from drink_frontend.usecases.settings import AccountSettings
from tests.fakes.directory import FakeDirectory
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import CARD_KEY, Bench
from tests.support.ids import ROOT

HERE = "192.0.2.1"
TIMES = LookTimes(86_400)
ME = FrontendInstance("me", "here:1", "1", 1)
OTHER = FrontendInstance("other", "there:1", "1", 2)
NAMES = ("eve", "mallory", "oscar", "peggy", "trent")


class House:
    """Five people of a directory, who have logged in.

    Attributes:
        directory: The directory.
        accounts: The use cases with it.
        leavers: What looks for leavers.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.directory = FakeDirectory()
        self.accounts = Accounts(
            bench.storage,
            bench.hasher,
            bench.clock,
            CountingRandomness("L"),
            AccountSettings(),
            card_key=CARD_KEY,
            directory=self.directory,
            sleep=bench.clock.sleep,
        )
        self.leavers = self.started(ME)

    def started(
        self, me: FrontendInstance, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Leavers:
        return Leavers(
            self.bench.storage,
            self.directory,
            self.bench.clock,
            me,
            TIMES,
            share_max=0.2,
            sleep=sleep,
        )

    async def log_in(self, name: str) -> Account:
        return await self.accounts.login_password(name, "there", HERE)

    def leaves(self, *names: str, group_only: bool = False) -> None:
        for name in names:
            person, _ = self.directory.people[name]
            self.directory.members.discard(person.subject)
            if not group_only:
                del self.directory.people[name]

    async def closed(self) -> Sequence[str]:
        users = await self.accounts.list_users()
        return [each.name for each in users if each.closed]

    async def alarms(self) -> Sequence[AlarmKind]:
        kinds = (AlarmKind.DIRECTORY_AWAY, AlarmKind.DIRECTORY_SHRUNK)
        found = await self.bench.review.list(kinds=kinds, limit=100)
        assert all((each.subject, each.machine) == (HOUSE, None) for each in found)
        return [each.kind for each in found]


@pytest.fixture
async def house(bench: Bench) -> House:
    house = House(bench)
    await house.accounts.create(ROOT, "keeper", password="own", admin=True)
    for name in NAMES:
        house.directory.add(name, "there")
        await house.log_in(name)
    return house


async def test_while_everybody_is_there_nothing_happens(house: House) -> None:
    assert await house.leavers.look() == Outcome(5, 0, 0, False)
    assert await house.closed() == []
    assert await house.alarms() == []


@pytest.mark.parametrize("group_only", [False, True])
async def test_who_has_left_is_closed_and_keeps_the_credits(
    house: House, bench: Bench, group_only: bool
) -> None:
    eve = await house.log_in("eve")
    root = await bench.account("root")
    await bench.transfers.add_credits(root, "first", "eve", 70)
    token, _ = await house.accounts.tokens.issue(eve)
    house.leaves("eve", group_only=group_only)

    assert await house.leavers.look() == Outcome(5, 1, 1, False)

    assert await house.closed() == ["eve"]
    assert await bench.credits("eve") == (70, 0)
    with pytest.raises(TokenInvalidError):
        await house.accounts.tokens.authenticate(token)
    record = (await bench.audit(AuditKind.ACCOUNT_CHANGED))[-1]
    assert (record.actor, record.facts) == (
        "ldap:house",
        {"closed": True, "left": "ldap:house"},
    )
    # A second look has nothing to do.
    assert await house.leavers.look() == Outcome(4, 0, 0, False)


async def test_who_comes_back_is_opened_by_the_next_login(house: House) -> None:
    house.leaves("eve", group_only=True)
    await house.leavers.look()
    person, _ = house.directory.people["eve"]
    house.directory.members.add(person.subject)
    await house.leavers.look()
    assert await house.closed() == ["eve"]
    assert not (await house.log_in("eve")).closed
    assert await house.closed() == []
    (identity,) = await house.accounts.identities.list(await house.log_in("eve"), "eve")
    assert identity.left_ms is None


async def test_what_an_administrator_has_decided_since_stays(house: House) -> None:
    house.leaves("eve", group_only=True)
    await house.leavers.look()
    await house.accounts.change(ROOT, "eve", closed=True)
    person, _ = house.directory.people["eve"]
    house.directory.members.add(person.subject)
    with pytest.raises(AccountClosedError):
        await house.log_in("eve")


async def test_a_directory_that_is_away_closes_nobody_and_raises_an_alarm(house: House) -> None:
    house.directory.is_away = True
    for number in range(FAILURES_MAX + 1):
        assert await house.leavers.look() is None
        assert await house.alarms() == (
            [] if number + 1 < FAILURES_MAX else [AlarmKind.DIRECTORY_AWAY]
        )
    assert await house.closed() == []
    house.directory.is_away = False
    await house.leavers.look()
    assert await house.alarms() == []


@pytest.mark.parametrize("gone", [NAMES, NAMES[:2]])
async def test_a_directory_that_shrinks_closes_nobody_and_raises_an_alarm(
    house: House, gone: Sequence[str]
) -> None:
    before = dict(house.directory.people)
    house.leaves(*gone)
    for _ in range(2):
        assert await house.leavers.look() == Outcome(5, len(gone), 0, True)
    assert await house.closed() == []
    assert await house.alarms() == [AlarmKind.DIRECTORY_SHRUNK]
    house.directory.people = before
    house.directory.members = {person.subject for person, _ in before.values()}
    await house.leavers.look()
    assert await house.alarms() == []


async def test_of_one_linked_person_an_empty_directory_is_suspected(bench: Bench) -> None:
    house = House(bench)
    house.directory.add("eve", "there")
    await house.log_in("eve")
    house.leaves("eve")
    assert await house.leavers.look() == Outcome(1, 1, 0, True)
    assert await house.closed() == []


async def test_nobody_linked_is_no_alarm(bench: Bench) -> None:
    assert await House(bench).leavers.look() == Outcome(0, 0, 0, False)


async def test_rights_that_the_directory_takes_end(house: House) -> None:
    house.directory.promote("eve", administrator=True)
    assert (await house.log_in("eve")).admin
    await house.leavers.look()
    assert (await house.accounts.named("eve")).admin
    house.directory.promote("eve", administrator=False)
    await house.leavers.look()
    assert not (await house.accounts.named("eve")).admin
    # A right that was given here is no business of the directory.
    await house.accounts.change(ROOT, "eve", admin=True)
    await house.leavers.look()
    assert (await house.accounts.named("eve")).admin


async def test_an_administrator_who_left_and_came_back_has_the_right_of_then(
    house: House,
) -> None:
    house.directory.promote("eve", administrator=True)
    await house.log_in("eve")
    house.leaves("eve", group_only=True)
    await house.leavers.look()
    assert not (await house.accounts.named("eve")).admin
    person, _ = house.directory.people["eve"]
    house.directory.members.add(person.subject)
    assert (await house.log_in("eve")).admin


async def test_the_last_administrator_is_not_closed(house: House, bench: Bench) -> None:
    await bench.accounts.change(ROOT, "root", closed=True, force=True)
    person = house.directory.add("keeper", "there")
    await house.accounts.identities.link(ROOT, "keeper", person.source, person.subject)
    house.leaves("keeper")
    assert await house.leavers.look() == Outcome(6, 1, 0, False)
    assert not (await house.accounts.named("keeper")).closed
    assert (await house.accounts.login_password("keeper", "own", HERE)).admin


async def test_local_accounts_are_never_asked_for(house: House) -> None:
    await house.leavers.look()
    assert await house.closed() == []
    with pytest.raises(CredentialsInvalidError):
        await house.accounts.login_password("keeper", "there", HERE)


async def test_of_several_frontends_the_first_one_looks(house: House, bench: Bench) -> None:
    for each in (OTHER, ME):
        await bench.storage.write(lambda tx, each=each: tx.frontends.beat(each))  # type: ignore[misc]
    house.leaves("eve")
    assert await pauses(house, OTHER, 3) == [TIMES.first_s, TIMES.retry_s, TIMES.retry_s]
    assert await house.closed() == []
    assert await pauses(house, ME, 3) == [TIMES.first_s, TIMES.interval_s, TIMES.interval_s]
    assert await house.closed() == ["eve"]
    house.directory.is_away = True
    assert await pauses(house, ME, 2) == [TIMES.first_s, TIMES.retry_s]


async def pauses(house: House, me: FrontendInstance, count: int) -> Sequence[float]:
    """Runs a frontend's looks; the first pauses that it makes."""
    made: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        if len(made) == count:
            enough.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(house.started(me, sleep).run())
    async with asyncio.timeout(30):
        await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return made
