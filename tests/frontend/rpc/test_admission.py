"""Limits of calls in flight per class, and the calls that are ended for others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.rpc.admission import REFUSALS_LOGGED, WAITING_OF_SUSPECTS_MAX, Admission
from drink_frontend.rpc.calls import Call, Kind, Peer, peer_at
from drink_frontend.rpc.settings import AdmissionSettings

LIMIT_S = 20


class Held:
    """A call in a task of its own, which waits until it is ended."""

    def __init__(self, admission: Admission, kind: Kind, owner: str, address: str, port: int):
        self.call: Call | None = None
        self._entered = asyncio.Event()
        self._finish = asyncio.Event()
        self._admission = admission
        self._args = kind, owner, peer_at(address, port)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            self.call = self._admission.enter(*self._args)
        finally:
            self._entered.set()
        try:
            await self._finish.wait()
        finally:
            self._admission.left(self.call)

    async def entered(self) -> "Held":
        await self._entered.wait()
        if self.call is None:
            await self.task
        return self

    async def finish(self) -> None:
        self._finish.set()
        await self.task

    def served(self) -> "Held":
        assert self.call is not None
        self._admission.message_came(self.call, uncount=False)
        return self

    async def ended_for_another(self) -> bool:
        await asyncio.sleep(0)
        return self.task.cancelled() and self.call is not None and self.call.refused is not None


CUTS: list[Peer] = []
SUSPECTS: set[Peer] = set()
"""Connections that were closed."""


@pytest.fixture(autouse=True)
def no_cuts() -> None:
    CUTS.clear()
    SUSPECTS.clear()


def cut(peer: Peer) -> bool:
    CUTS.append(peer)
    return True


def house(calls_max: int = 100, **limits: Any) -> tuple[Admission, Callable[..., Awaitable[Held]]]:
    admission = Admission(AdmissionSettings(**limits), calls_max, cut, SUSPECTS.__contains__)
    everyone: list[Held] = []  # asyncio itself does not keep tasks that wait.

    async def hold(
        kind: Kind = Kind.STRANGER, owner: str = "", address: str = "192.0.2.1", port: int = 1
    ) -> Held:
        everyone.append(Held(admission, kind, owner, address, port))
        return await everyone[-1].entered()

    return admission, hold


async def test_the_oldest_waiting_call_of_a_connection_is_ended_for_the_next_one() -> None:
    admission, hold = house(strangers_per_connection_max=2)
    other = await hold(port=2)
    first, second = await hold(), await hold()
    third = await hold()
    assert await first.ended_for_another()
    assert not second.task.done()
    assert not third.task.done()
    assert not other.task.done()
    assert admission.count(Kind.STRANGER) == 3


async def test_few_calls_of_a_connection_wait_for_their_message() -> None:
    _, hold = house(waiting_per_connection_max=1)
    (await hold()).served()
    first = await hold()
    await hold()
    assert await first.ended_for_another()


async def test_an_ipv6_network_is_one_place() -> None:
    _, hold = house(strangers_per_address_max=1)
    first = await hold(address="2001:db8::1")
    await hold(address="2001:db8::2", port=2)
    assert await first.ended_for_another()


async def test_a_call_with_its_message_is_never_ended_for_another() -> None:
    _, hold = house(strangers_per_address_max=2)
    first = (await hold(port=1)).served()
    second = await hold(port=2)
    await hold(port=3)
    assert not first.task.done()
    assert await second.ended_for_another()


async def test_where_all_are_served_the_new_one_is_refused() -> None:
    _, hold = house(strangers_per_address_max=1)
    first = (await hold()).served()
    with pytest.raises(RateLimitedError):
        await hold(port=2)
    await first.finish()
    await hold(port=2)


async def test_a_call_of_the_most_crowded_address_is_ended_when_all_places_are_taken() -> None:
    _, hold = house(strangers_max=4)
    quiet = await hold(address="192.0.2.9")
    crowd = [await hold(address="192.0.2.1", port=port) for port in range(3)]
    await hold(address="192.0.2.5")
    assert not quiet.task.done()
    assert await crowd[0].ended_for_another()


async def test_fault_66_strangers_take_no_place_of_accounts_machines_and_health() -> None:
    admission, hold = house(strangers_max=3, calls_max=3)
    for port in range(9):
        await hold(port=port)
    assert admission.count(Kind.STRANGER) == 3
    await hold(Kind.ACCOUNT, "alice")
    await hold(Kind.MACHINE, "d")
    await hold(Kind.HEALTH)
    assert admission.count(Kind.STRANGER) == 2


async def test_an_account_has_so_many_calls_and_the_next_account_as_many() -> None:
    _, hold = house(calls_per_account_max=2)
    first = await hold(Kind.ACCOUNT, "alice")
    await hold(Kind.ACCOUNT, "alice")
    with pytest.raises(RateLimitedError):
        await hold(Kind.ACCOUNT, "alice")
    await hold(Kind.ACCOUNT, "bob")
    await first.finish()
    await hold(Kind.ACCOUNT, "alice")


async def test_a_machines_links_are_refused_for_its_own_sake_only() -> None:
    _, hold = house(calls_per_machine_max=1, calls_max=1, strangers_max=1)
    await hold(Kind.MACHINE, "d")
    with pytest.raises(RateLimitedError):
        await hold(Kind.MACHINE, "d")
    for machine in ("ld", "s", "coke"):
        await hold(Kind.MACHINE, machine)


async def test_the_oldest_health_check_without_a_message_is_ended() -> None:
    _, hold = house(health_max=1)
    first = await hold(Kind.HEALTH)
    await hold(Kind.HEALTH)
    assert await first.ended_for_another()


async def test_a_call_with_a_valid_token_takes_a_place_of_its_account() -> None:
    admission, _ = house()
    admission.enter(Kind.STRANGER, "", peer_at("192.0.2.1", 1))
    admission.identified(Kind.ACCOUNT, "alice")
    assert (admission.count(Kind.STRANGER), admission.count(Kind.ACCOUNT)) == (0, 1)
    admission.identified(Kind.ACCOUNT, "alice")
    assert len(admission) == 1


async def test_what_watches_count_takes_no_place() -> None:
    admission, _ = house()
    call = admission.enter(Kind.STRANGER, "", peer_at("192.0.2.1", 1))
    admission.message_came(call, uncount=True)
    assert len(admission) == 0
    admission.left(call)
    assert len(admission) == 0


async def test_limits_hold_after_they_refused() -> None:
    admission, hold = house(calls_per_account_max=2)
    held = [await hold(Kind.ACCOUNT, "alice") for _ in range(2)]
    for _ in range(50):
        with pytest.raises(RateLimitedError):
            await hold(Kind.ACCOUNT, "alice")
    for each in held:
        await each.finish()
    assert len(admission) == 0
    held = [await hold(Kind.ACCOUNT, "alice") for _ in range(2)]
    with pytest.raises(RateLimitedError):
        await hold(Kind.ACCOUNT, "alice")


async def test_look_ups_are_few_per_address_and_the_others_do_not_wait_for_them() -> None:
    admission, _ = house(look_ups_per_address_max=1, look_ups_max=2)
    order: list[str] = []
    gate = asyncio.Event()

    async def look_up(address: str) -> None:
        admission.enter(Kind.STRANGER, "", peer_at(address, 1))
        async with admission.look_up():
            order.append(address)
            await gate.wait()

    guesser = [asyncio.create_task(look_up("192.0.2.1")) for _ in range(5)]
    other = asyncio.create_task(look_up("192.0.2.2"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["192.0.2.1", "192.0.2.2"]
    gate.set()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(other, *guesser)
    assert len(order) == 6


async def test_a_good_token_waits_for_no_look_up_of_guessed_ones() -> None:
    admission, _ = house(look_ups_per_address_max=1, look_ups_max=1)
    gate = asyncio.Event()

    async def guess() -> None:
        admission.enter(Kind.STRANGER, "", peer_at("192.0.2.1", 1))
        async with admission.look_up():
            await gate.wait()

    guessing = asyncio.create_task(guess())
    await asyncio.sleep(0)
    admission.enter(Kind.ACCOUNT, "alice", peer_at("192.0.2.1", 1))
    async with asyncio.timeout(LIMIT_S), admission.look_up():
        pass
    gate.set()
    await guessing


async def test_refusals_are_logged_with_class_and_address_and_a_flood_of_them_is_not() -> None:
    _, hold = house(calls_per_account_max=1)
    await hold(Kind.ACCOUNT, "alice")
    with capture_logs() as logs:
        for _ in range(REFUSALS_LOGGED + 5):
            with pytest.raises(RateLimitedError):
                await hold(Kind.ACCOUNT, "alice", address="192.0.2.7")
    assert len(logs) == REFUSALS_LOGGED
    assert logs[0] == {
        "event": "calls_refused",
        "log_level": "warning",
        "kind": "account",
        "owner": "alice",
        "place": "192.0.2.7",
        "why": "too many calls are under way",
        "unlogged": 0,
    }


async def test_machines_tokens_are_remembered_until_they_are_found_not_to_be_good() -> None:
    admission, _ = house()
    admission.remember_machine("digest", "d")
    assert admission.machine_of("digest") == "d"
    admission.forget_machine("digest")
    assert admission.machine_of("digest") is None


async def test_fault_66_a_connection_with_many_silent_calls_is_closed() -> None:
    _, hold = house(strangers_per_connection_max=2, silent_calls_max=3)
    for _ in range(4):
        await hold(port=7)
    assert CUTS == []
    await hold(port=7)
    assert [peer_at("192.0.2.1", 7)] == CUTS


async def test_fault_66_at_a_suspected_place_one_silent_call_is_enough() -> None:
    _, hold = house(strangers_per_connection_max=2, silent_calls_max=3)
    SUSPECTS.add(peer_at("192.0.2.1", 7))
    for _ in range(3):
        await hold(port=7)
    assert [peer_at("192.0.2.1", 7)] == CUTS


async def test_fault_66_at_a_suspected_place_fewer_calls_may_wait() -> None:
    _, hold = house()
    SUSPECTS.add(peer_at("192.0.2.1", 7))
    for _ in range(WAITING_OF_SUSPECTS_MAX):
        await hold(port=7)
        await hold(port=8)
    assert CUTS == []
    await hold(port=8)
    assert CUTS == []
    await hold(port=7)
    assert [peer_at("192.0.2.1", 7)] == CUTS


async def test_a_message_that_comes_clears_the_count_of_silent_calls() -> None:
    _, hold = house(strangers_per_connection_max=2, silent_calls_max=3)
    for _ in range(3):
        await hold(port=7)
    (await hold(port=7)).served()
    for _ in range(2):
        await hold(port=7)
    assert CUTS == []


async def test_a_gateways_connection_is_not_cut_for_one_of_its_clients() -> None:
    admission, _ = house(strangers_per_connection_max=1, silent_calls_max=1)
    call = admission.enter(Kind.STRANGER, "", peer_at("192.0.2.1", 7), "198.51.100.1")
    admission.silent(call, "the message did not come")
    assert CUTS == []


async def test_fault_23_many_tokens_that_wait_to_be_looked_up_are_no_strangers() -> None:
    admission, hold = house(strangers_max=1, waiting_per_connection_max=1, unknown_tokens_max=50)
    crowd = [await hold(Kind.UNKNOWN) for _ in range(50)]
    await hold(port=2)
    assert not any(each.task.done() for each in crowd)
    assert admission.count(Kind.UNKNOWN) == 50


async def test_fault_66_guessed_tokens_make_way_for_those_of_an_address_with_fewer() -> None:
    _, hold = house(unknown_tokens_max=3)
    honest = await hold(Kind.UNKNOWN, address="192.0.2.9")
    crowd = [await hold(Kind.UNKNOWN) for _ in range(2)]
    await hold(Kind.UNKNOWN)
    assert await crowd[0].ended_for_another()
    assert not honest.task.done()
