"""Password hashes that block nobody."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest
import structlog
from argon2 import PasswordHasher

from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.system.passwords import DECOY, WAITING_LOGGED_SHARE, Argon2Hasher


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    hasher = Argon2Hasher(threads=1, waiting_max=2)
    yield hasher
    hasher.close()


async def test_a_password_fits_its_hash_and_no_other(hasher: Argon2Hasher) -> None:
    hashed = await hasher.hash("correct-horse")
    assert hashed.startswith("$argon2id$")
    assert await hasher.verify(hashed, "correct-horse")
    assert not await hasher.verify(hashed, "correct-horse ")


async def test_no_account_and_a_broken_hash_fit_nothing(hasher: Argon2Hasher) -> None:
    assert not await hasher.verify(None, "decoy")
    assert not await hasher.verify("not a hash", "anything")


def test_the_decoy_costs_what_a_real_hash_costs() -> None:
    assert not PasswordHasher().check_needs_rehash(DECOY)


async def test_hashes_are_computed_at_a_lower_priority_than_all_else() -> None:
    hasher = Argon2Hasher(threads=1, niceness=7)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    await hasher.verify(None, "guess")
    [thread] = [each for each in threading.enumerate() if each.name.startswith("password")]
    assert thread.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(mine + 7, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine
    hasher.close()
    thread.join()


async def test_the_same_password_has_another_hash_each_time(hasher: Argon2Hasher) -> None:
    assert await hasher.hash("same") != await hasher.hash("same")


async def test_fault_8_more_logins_than_may_wait_are_refused_and_the_rest_served(
    hasher: Argon2Hasher,
) -> None:
    answers = await asyncio.gather(
        *(hasher.verify(None, "guess") for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(RateLimitedError) == 3
    assert answers.count(False) == 2
    assert await hasher.verify(None, "guess") is False


async def test_the_event_loop_goes_on_while_a_hash_is_computed(hasher: Argon2Hasher) -> None:
    hashing = asyncio.ensure_future(hasher.hash("slow"))
    turns = 0
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1


async def test_logins_that_wait_are_logged_once_a_minute() -> None:
    hasher = Argon2Hasher(threads=1, waiting_max=2 * WAITING_LOGGED_SHARE)
    with structlog.testing.capture_logs() as lines:
        await asyncio.gather(*(hasher.verify(None, "guess", ("known", "bob")) for _ in range(6)))
    assert lines == [
        {"event": "passwords_busy", "log_level": "warning", "waiting": 2, "lane": "bob"}
    ]
    hasher.close()
