"""Guessing is slow, and a right password gets through all the same; all on a clock set by hand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    RateLimitedError,
    StorageUnavailableError,
)
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.settings import LoginSettings
from tests.fakes.clock import FakeClock
from tests.support.tasks import cancel

HERE, THERE = "192.0.2.1", "198.51.100.1"
SETTINGS = LoginSettings()
WHILE_S = 600


class Door:
    """Logins of accounts that all have the password `right`.

    Attributes:
        verified: Attempts whose password was looked at.
        judged: Wrong attempts whose answer told that they are wrong.
    """

    def __init__(self, settings: LoginSettings = SETTINGS) -> None:
        self.clock = FakeClock()
        self.logins = Logins(self.clock, settings, self.clock.sleep)
        self.verified = 0
        self.judged = 0

    async def try_(self, account: str, password: str, origin: str = HERE) -> str:
        async def verify() -> str | None:
            self.verified += 1
            await asyncio.sleep(0)
            return account if password == "right" else None

        try:
            return await self.logins.attempt(origin, account, verify)
        except CredentialsInvalidError:
            self.judged += 1
            raise

    async def guess(self, account: str, origin: str = HERE) -> None:
        with pytest.raises(CredentialsInvalidError):
            await self.try_(account, "wrong", origin)

    async def keeps_guessing(self, accounts: Callable[[], str], origins: Callable[[], str]) -> None:
        """A guesser who begins the next guess as soon as the last is judged."""
        while True:
            try:
                await self.try_(accounts(), "wrong", origins())
            except CredentialsInvalidError:
                await asyncio.sleep(0)
            except RateLimitedError:
                await self.clock.sleep(1)

    async def pass_s(self, seconds: float) -> None:
        """Lets time pass second by second, and everybody act in each."""
        for _ in range(round(seconds)):
            self.clock.pass_s(1)
            await settled()


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.fixture
def door() -> Door:
    return Door()


class Counting:
    """Names or addresses that never come twice."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return self._pattern.format(self._count)


def always(value: str) -> Callable[[], str]:
    return lambda: value


class Crowd:
    """Guessers at work, to be ended with the context."""

    def __init__(self, work: Callable[[], Awaitable[None]], guessers: int) -> None:
        self._work = work
        self._guessers = guessers

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(self._guessers)]
        await settled()

    async def __aexit__(self, *error: object) -> None:
        await cancel(*self._tasks)


def crowd(door: Door, guessers: int, *, accounts: Callable[[], str], origins: Callable[[], str]):  # type: ignore[no-untyped-def]
    return Crowd(lambda: door.keeps_guessing(accounts, origins), guessers)


async def gets_through(door: Door, account: str, origin: str, within_s: int) -> None:
    """The owner logs in with one attempt while time passes."""
    attempt = asyncio.ensure_future(door.try_(account, "right", origin))
    await settled()
    for _ in range(within_s):
        if attempt.done():
            break
        await door.pass_s(1)
    assert attempt.done(), "the owner still waits"
    assert attempt.result() == account


async def test_fault_62_a_right_password_gets_through_while_its_address_guesses_at_all_names(
    door: Door,
) -> None:
    """The owner has never logged in from there, and has to wait for the guesser's turns."""
    async with crowd(door, 10, accounts=Counting("user{}"), origins=always(HERE)):
        await door.pass_s(100)
        await gets_through(door, "alice", HERE, within_s=60)


async def test_fault_62_who_has_logged_in_there_before_is_not_kept_waiting(door: Door) -> None:
    await door.try_("alice", "right")
    async with crowd(door, 70, accounts=Counting("user{}"), origins=always(HERE)):
        await door.pass_s(100)
        await gets_through(door, "alice", HERE, within_s=0)


async def test_fault_62_a_hash_waits_behind_those_of_its_own_lane_only(door: Door) -> None:
    """Guesses at any number of names have one lane; who has logged in there has its own."""
    await door.try_("alice", "right")
    await door.guess("bob")
    lanes = {door.logins.lane(HERE, name) for name in ("bob", "user1", "user2")}
    assert len(lanes) == 1
    assert door.logins.lane(HERE, "alice") not in lanes
    assert door.logins.lane(THERE, "alice") == door.logins.lane(THERE, "user1") not in lanes


async def test_fault_62_an_account_has_one_lane_however_many_places_it_logs_in_from(
    door: Door,
) -> None:
    places = [f"192.0.2.{number}" for number in range(1, 9)]
    for each in places:
        await door.try_("alice", "right", each)
    lanes = {door.logins.lane(each, "alice") for each in places}
    assert len(lanes) == 1
    [(group, _)] = lanes
    assert group not in {door.logins.lane(each, "mallory")[0] for each in places}


async def test_fault_62_an_owner_waits_with_whoever_guesses_at_his_name_beside_him(
    door: Door,
) -> None:
    await door.try_("alice", "right")
    async with crowd(door, 10, accounts=always("alice"), origins=always(HERE)):
        await door.pass_s(100)
        await gets_through(door, "alice", HERE, within_s=60)


@pytest.mark.parametrize("guessers", [1, 5, 100])
async def test_fault_62_nobody_is_locked_out_at_an_address_of_his_own(
    door: Door, guessers: int
) -> None:
    """Neither by one who guesses at his name, nor by a thousand addresses that do."""
    count = Counting("{}")
    addresses = [f"10.{number // 250}.{number % 250}.1" for number in range(2_000)]
    origins = (lambda: addresses[int(count()) % 2_000]) if guessers > 1 else always(THERE)
    async with crowd(door, guessers, accounts=always("alice"), origins=origins):
        await door.pass_s(60)
        await gets_through(door, "alice", HERE, within_s=0)


async def test_fault_62_a_right_ibutton_and_many_people_at_once_need_no_turns(door: Door) -> None:
    names = [f"user{number}" for number in range(500)]

    assert await asyncio.gather(*(door.try_(name, "right") for name in names)) == names
    assert door.clock.waits == []


async def guesses_in_a_while(
    door: Door, guessers: int, accounts: Callable[[], str], origins: Callable[[], str]
) -> int:
    """How many are judged in WHILE_S, after the ones that cost no waiting."""
    async with crowd(door, guessers, accounts=accounts, origins=origins):
        await door.pass_s(10 * SETTINGS.account_failures_free)
        before = door.judged
        await door.pass_s(WHILE_S)
        return door.judged - before


@pytest.mark.parametrize("guessers", [1, 20])
async def test_fault_62_the_rate_for_one_account_from_one_place(door: Door, guessers: int) -> None:
    judged = await guesses_in_a_while(door, guessers, always("alice"), always(HERE))

    assert WHILE_S / SETTINGS.interval_s * 0.95 <= judged <= WHILE_S / SETTINGS.interval_s + 1


async def test_fault_62_the_rate_for_all_accounts_from_one_place(door: Door) -> None:
    judged = await guesses_in_a_while(door, 35, Counting("user{}"), always(HERE))

    most = WHILE_S / SETTINGS.place_interval_s + 1
    assert most * 0.95 <= judged <= most


async def test_fault_62_the_rate_for_all_accounts_that_are_known_at_one_place(door: Door) -> None:
    """Who knows the names of all others behind an address guesses at them in turn."""
    names = [f"user{number}" for number in range(100)]
    for name in names:
        await door.try_(name, "right")
    count = Counting("{}")
    judged = await guesses_in_a_while(
        door, 65, lambda: names[int(count()) % len(names)], always(HERE)
    )

    most = WHILE_S / SETTINGS.known_interval_s + 1
    assert most * 0.95 <= judged <= most


async def test_fault_62_the_rate_for_one_account_from_a_thousand_places(door: Door) -> None:
    """Each site has its few free guesses besides; from then on all share one rate."""
    sites = [f"10.0.{number // 250}.{number % 250}" for number in range(1_000)]
    for origin in sites:
        for _ in range(SETTINGS.site_failures_free):
            await door.guess("alice", origin)
    count = Counting("{}")
    before = door.judged
    async with crowd(
        door, 20, accounts=always("alice"), origins=lambda: sites[int(count()) % len(sites)]
    ):
        await door.pass_s(WHILE_S)
    judged = door.judged - before

    assert judged <= SETTINGS.account_failures_free + WHILE_S / SETTINGS.account_interval_s + 1


async def test_fault_62_the_networks_of_one_ipv6_site_share_its_free_guesses(door: Door) -> None:
    for network in range(SETTINGS.site_failures_free + SETTINGS.account_failures_free):
        await door.guess("alice", f"2001:db8:0:{network:x}::1")

    attempt = asyncio.ensure_future(door.try_("alice", "wrong", "2001:db8:0:ffff::1"))
    await settled()
    assert door.clock.waits == [SETTINGS.account_interval_s]
    await door.pass_s(SETTINGS.account_interval_s)
    with pytest.raises(CredentialsInvalidError):
        await attempt


async def test_fault_62_a_success_gives_a_guesser_no_new_guesses(door: Door) -> None:
    """Neither his own account's, nor the owner's behind the same address."""
    for _ in range(SETTINGS.failures_free):
        await door.guess("alice")
        await door.try_("mallory", "right")
    owner = asyncio.ensure_future(door.try_("alice", "right"))
    await settled()
    await door.pass_s(SETTINGS.interval_s)
    assert await owner == "alice"

    await door.guess("alice")
    assert door.logins._wait_s(HERE, "alice", f"alice {HERE}") > 0


async def test_fault_62_guesses_at_once_tell_no_more_than_guesses_in_turn(door: Door) -> None:
    """The right one among them is not told before its turn, nor told apart when it has none."""
    passwords = ["wrong"] * 100 + ["right"]
    attempts = [asyncio.ensure_future(door.try_("alice", password)) for password in passwords]
    await settled()

    told = [attempt.exception() for attempt in attempts if attempt.done()]
    assert door.judged == SETTINGS.failures_free
    assert not attempts[-1].done() or isinstance(attempts[-1].exception(), RateLimitedError)
    assert len(told) == len(passwords) - len(door.clock.waits)
    await door.pass_s(SETTINGS.wait_max_s)
    assert door.judged == SETTINGS.failures_free + SETTINGS.wait_max_s / SETTINGS.interval_s
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert "alice" not in results


async def test_who_would_wait_too_long_is_refused_and_told_when_to_come_again(door: Door) -> None:
    waiting = [
        asyncio.ensure_future(door.try_("alice", "wrong"))
        for _ in range(SETTINGS.failures_free + int(SETTINGS.wait_max_s / SETTINGS.interval_s))
    ]
    await settled()
    verified = door.verified

    with pytest.raises(RateLimitedError) as limited:
        await door.try_("alice", "right")
    assert limited.value.facts == {"retry_after_seconds": SETTINGS.interval_s}
    assert door.verified == verified
    await cancel(*waiting)


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next(door: Door) -> None:
    for _ in range(SETTINGS.failures_free):
        await door.guess("alice")
    for _ in range(50):
        attempt = asyncio.ensure_future(door.try_("alice", "wrong"))
        await settled()
        await cancel(attempt)

    await gets_through(door, "alice", HERE, within_s=int(SETTINGS.interval_s))


async def test_a_guesser_does_not_get_his_turn_back_by_hanging_up(door: Door) -> None:
    """What was looked at counts, whether its answer is heard or not."""
    for _ in range(SETTINGS.failures_free):
        await door.guess("alice")
    for _ in range(3):
        attempt = asyncio.ensure_future(door.try_("alice", "wrong"))
        await settled()
        door.clock.pass_s(door.clock.waits[0])
        # Its turn has come, and the password is being looked at.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cancel(attempt)

    assert door.logins._wait_s(HERE, "alice", f"alice {HERE}") > 0


@pytest.mark.parametrize(
    "error", [StorageUnavailableError("busy"), RateLimitedError("too many logins at once")]
)
async def test_an_attempt_that_could_not_be_looked_at_uses_up_no_turn(
    door: Door, error: Exception
) -> None:
    async def verify() -> str | None:
        raise error

    for _ in range(10 * SETTINGS.place_failures_free):
        with pytest.raises(type(error)):
            await door.logins.attempt(HERE, "alice", verify)
    assert await door.try_("alice", "right") == "alice"


async def test_only_so_many_pairs_are_remembered(door: Door) -> None:
    """Invariant 25: memory is bounded however many people log in from however many places."""
    door = Door(LoginSettings(known_max=2))
    for name in ("a", "b", "c"):
        await door.try_(name, "right")
    while not door.logins._by_place.wait_s(HERE, door.clock.monotonic()):
        await door.guess("nobody" + str(door.judged))

    waits = [door.logins._wait_s(HERE, name, f"{name} {HERE}") for name in ("a", "b", "c")]
    assert waits == [SETTINGS.place_interval_s, 0, 0]
