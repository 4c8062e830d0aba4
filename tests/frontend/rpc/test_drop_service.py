"""DropService over a real server: answers, refusals, and calls that end before the drop does."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from drink.v1 import drop_service_pb2 as pb
from drink.v1.drop_service_pb2_grpc import DropServiceStub
from drink.v1.machine_service_pb2 import ListMachinesRequest
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Drop
from drink_frontend.domain.errors import StorageUnavailableError
from tests.support.http2 import Http2Connection
from tests.support.ids import id_of
from tests.support.rpc_frontend import (
    ANN,
    BOB,
    LIMIT_S,
    ROOT,
    Frontend,
    read,
    refused,
    running_frontend,
)

SLOT = "machines/d/slots/1"

DEADLINE_S = 2.0
"""Seconds of a call that ends before its drop does: enough to arrive on a busy computer."""


def order(request_id: str = "r-1", **fields: object) -> pb.DropRequest:
    return pb.DropRequest(request_id=request_id, slot=SLOT, **fields)  # type: ignore[arg-type]


class TestDrop:
    async def test_answers_when_the_outcome_is_known(self, frontend: Frontend) -> None:
        call = asyncio.ensure_future(frontend.call(order(price_ceiling=50), ANN))
        drop = await frontend.followed_drop()
        assert not call.done()
        clock, placed_ms = frontend.bench.clock, frontend.bench.clock.now_ms()
        clock.pass_s(1)
        await frontend.bench.take()
        clock.pass_s(1)
        await frontend.bench.report(drop)

        answer = await call
        assert answer.available_credits == 150
        expected = pb.Drop(
            name=f"drops/{drop.id}",
            account="accounts/ann",
            slot=SLOT,
            item="Coke",
            price=50,
            request_id="r-1",
            state=pb.Drop.STATE_DISPENSED,
            cause=pb.Drop.CAUSE_BOARD_ACK,
        )
        expected.create_time.FromMilliseconds(placed_ms)
        expected.dispatch_time.FromMilliseconds(placed_ms + 1_000)
        expected.settle_time.FromMilliseconds(placed_ms + 2_000)
        assert answer.drop == expected
        assert drop.fingerprint == "d/1 delay=0 ceiling=50"

    @pytest.mark.parametrize(
        ("outcome", "cause", "available"),
        [
            (State.NOT_DISPENSED, Cause.BOARD_REFUSED, 200),
            (State.UNKNOWN, Cause.BOARD_SILENT, 150),
        ],
    )
    async def test_a_drop_that_exists_is_answered_with_ok(
        self, frontend: Frontend, outcome: State, cause: Cause, available: int
    ) -> None:
        call = asyncio.ensure_future(frontend.call(order(), ANN))
        await frontend.dispense(await frontend.followed_drop(), outcome, cause)

        answer = await call
        assert pb.Drop.State.Name(answer.drop.state) == f"STATE_{outcome}"
        assert pb.Drop.Cause.Name(answer.drop.cause) == f"CAUSE_{cause}"
        assert answer.available_credits == available

    async def test_a_delayed_drop_is_answered_at_once(self, frontend: Frontend) -> None:
        answer = await frontend.call(order(delay=Duration(seconds=30)), ANN)
        assert answer.drop.state == pb.Drop.STATE_SCHEDULED
        assert answer.drop.schedule_time.ToMilliseconds() == frontend.bench.clock.now_ms() + 30_000
        assert not answer.drop.HasField("dispatch_time")
        assert answer.available_credits == 150

    async def test_a_call_that_waits_too_long_returns_the_present_state(self) -> None:
        async with running_frontend(drop_wait_s=0.05) as frontend:
            answer = await frontend.call(order(), ANN)
            assert answer.drop.state == pb.Drop.STATE_RESERVED
            assert answer.available_credits == 150

    async def test_fault_3_duplicates_at_once_get_one_drop_and_one_answer(
        self, frontend: Frontend
    ) -> None:
        calls = asyncio.gather(*(frontend.call(order(), ANN) for _ in range(10)))
        await frontend.dispense(await frontend.followed_drop(followers=10))

        answers = await calls
        assert len(await frontend.kept_drops()) == 1
        assert all(answer == answers[0] for answer in answers)

    async def test_fault_2_the_same_request_later_gets_the_same_drop(
        self, frontend: Frontend
    ) -> None:
        drop = await frontend.bench.place("r-1")
        await frontend.dispense(drop)

        answer = await frontend.call(order(), ANN)
        assert answer.drop.name == f"drops/{drop.id}"
        assert answer.drop.state == pb.Drop.STATE_DISPENSED
        assert answer.available_credits == 150

    async def test_fault_4_the_same_request_with_another_body_is_refused(
        self, frontend: Frontend
    ) -> None:
        await frontend.bench.place("r-1")
        refusal = await frontend.refused(order(price_ceiling=50), ANN)
        assert refusal.status == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
        assert len(await frontend.kept_drops()) == 1

    @pytest.mark.parametrize("ending", ["deadline", "cancel"])
    async def test_fault_6_a_call_that_ends_while_reserving_changes_nothing(
        self, frontend: Frontend, ending: str
    ) -> None:
        frontend.storage.gate.clear()
        call = frontend.call(order(), ANN, timeout=DEADLINE_S if ending == "deadline" else LIMIT_S)
        await asyncio.wait_for(frontend.storage.waiting.wait(), LIMIT_S)
        if ending == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
        # Served after it on the same connection: by then the call's end has arrived.
        await frontend.call(ListMachinesRequest())
        frontend.storage.gate.set()

        await frontend.placed_all()
        (drop,) = await frontend.kept_drops()
        assert drop.request_id == "r-1"
        assert await frontend.bench.credits() == (200, 50)

    @pytest.mark.parametrize("ending", ["deadline", "cancel"])
    async def test_fault_6_a_call_that_ends_while_waiting_leaves_only_the_drop(
        self, frontend: Frontend, ending: str
    ) -> None:
        call = frontend.call(order(), ANN, timeout=DEADLINE_S if ending == "deadline" else LIMIT_S)
        drop = await frontend.followed_drop()
        if ending == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

        await frontend.drops.followers.are(0)
        assert await frontend.kept_drops() == [drop]

    async def test_fault_5_a_client_that_vanishes_leaves_the_drop(self, frontend: Frontend) -> None:
        async with grpc.aio.insecure_channel(frontend.target) as channel:
            call = DropServiceStub(channel).Drop(order(), metadata=ANN)
            drop = await frontend.followed_drop()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

        await frontend.drops.followers.are(0)
        assert await frontend.kept_drops() == [drop]
        assert drop.state is State.RESERVED

    async def test_new_drops_are_refused_at_the_end(self, frontend: Frontend) -> None:
        frontend.drops.drain()
        refusal = await frontend.refused(order(), ANN)
        assert refusal.status == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert refusal.retry_after_s == 1

    async def test_a_drop_that_was_not_made_is_an_error(self, frontend: Frontend) -> None:
        await frontend.bench.change_slot("d", 1, available=0)
        refusal = await frontend.refused(order(), ANN)
        assert refusal.status == ("FAILED_PRECONDITION", "SLOT_EMPTY")

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (pb.DropRequest(slot=SLOT), "request_id"),
            (pb.DropRequest(slot=SLOT, request_id="x" * 65), "request_id"),
            (pb.DropRequest(slot=SLOT, request_id="a b"), "request_id"),
            (pb.DropRequest(request_id="r"), "slot"),
            (pb.DropRequest(request_id="r", slot="machines/D/slots/1"), "slot"),
            (pb.DropRequest(request_id="r", slot="machines/d/slots/0"), "slot"),
            (pb.DropRequest(request_id="r", slot="machines/d/slots/100"), "slot"),
            (order(delay=Duration(seconds=301)), "delay"),
            (order(delay=Duration(seconds=-1)), "delay"),
            (order(delay=Duration(seconds=1, nanos=1)), "delay"),
            (order(price_ceiling=-1), "price_ceiling"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, request_: pb.DropRequest, field: str
    ) -> None:
        refusal = await frontend.refused(request_, ANN)
        assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert refusal.facts == {"field": field}
        assert await frontend.kept_drops() == []


class TestGetDrop:
    async def test_shows_the_owner_and_an_administrator(self, frontend: Frontend) -> None:
        drop = await frontend.bench.place()
        for caller in (ANN, ROOT):
            answer = await frontend.call(pb.GetDropRequest(name=f"drops/{drop.id}"), caller)
            assert answer.drop.name == f"drops/{drop.id}"
            assert answer.drop.state == pb.Drop.STATE_RESERVED

    async def test_hides_it_from_others_as_if_it_were_not_there(self, frontend: Frontend) -> None:
        drop = await frontend.bench.place()
        for name in (f"drops/{drop.id}", "drops/" + "Z" * 26):
            refusal = await frontend.refused(pb.GetDropRequest(name=name), BOB)
            assert refusal.status == ("NOT_FOUND", "DROP_NOT_FOUND")

    async def test_names_a_wrong_name(self, frontend: Frontend) -> None:
        refusal = await frontend.refused(pb.GetDropRequest(name="drops/1"), ANN)
        assert refusal.facts == {"field": "name"}


class TestPlace:
    async def test_what_waits_says_its_place(self, frontend: Frontend) -> None:
        answers = [
            await frontend.call(order(f"r-{number}", no_wait=True), ANN) for number in range(2)
        ]
        assert [answer.drop.drops_ahead for answer in answers] == [0, 1]
        assert answers[0].drop.HasField("drops_ahead")
        request = pb.GetDropRequest(name=answers[1].drop.name)
        assert (await frontend.call(request, ANN)).drop == answers[1].drop
        # Lists do not ask for the place of each drop.
        listed = (await frontend.call(pb.ListDropsRequest(), ANN)).drops
        assert not any(drop.HasField("drops_ahead") for drop in listed)

    async def test_only_administrators_see_why_a_drop_was_decided_so(
        self, frontend: Frontend
    ) -> None:
        drop = await frontend.bench.place()
        await frontend.dispense(drop, State.UNKNOWN, Cause.BOARD_SILENT)
        await frontend.drops.decide(
            id_of("root"), drop.id, dispensed=False, why="it hung in the coil"
        )
        request = pb.GetDropRequest(name=f"drops/{drop.id}")
        seen = (await frontend.call(request, ROOT)).drop
        assert (seen.decided_by, seen.decision_reason) == ("root", "it hung in the coil")
        assert not (await frontend.call(request, ANN)).drop.decision_reason


class TestCancelDrop:
    async def test_frees_a_drop_that_waits_and_does_so_once(self, frontend: Frontend) -> None:
        drop = await frontend.bench.place(delay_s=9)
        request = pb.CancelDropRequest(name=f"drops/{drop.id}")
        for _ in range(2):
            answer = await frontend.call(request, ANN)
            assert answer.drop.state == pb.Drop.STATE_NOT_DISPENSED
            assert answer.drop.cause == pb.Drop.CAUSE_CANCELLED
        assert await frontend.bench.credits() == (200, 0)

    async def test_refuses_one_that_is_dispatched(self, frontend: Frontend) -> None:
        drop = await frontend.bench.dispatched()
        refusal = await frontend.refused(pb.CancelDropRequest(name=f"drops/{drop.id}"), ANN)
        assert refusal.status == ("FAILED_PRECONDITION", "DROP_NOT_CANCELLABLE")


def watch_of(frontend: Frontend, drop: Drop, caller: Any) -> Any:
    """A watch of the drop by the caller."""
    request = pb.WatchDropRequest(name=f"drops/{drop.id}")
    return frontend.call(request, caller)


class TestWatchDrop:
    async def test_shows_it_now_and_at_each_change_and_ends_after_the_last(
        self, frontend: Frontend
    ) -> None:
        bench = frontend.bench
        drop = await bench.place()
        watch = watch_of(frontend, drop, ANN)
        states = [(await read(watch)).drop.state]
        steps: list[Awaitable[Any]] = [
            bench.take(),
            bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT),
            bench.report(drop, revision=2),
        ]
        for step in steps:
            await step
            states.append((await read(watch)).drop.state)
        assert await watch.read() is grpc.aio.EOF
        assert states == [
            pb.Drop.STATE_RESERVED,
            pb.Drop.STATE_DISPATCHED,
            pb.Drop.STATE_UNKNOWN,
            pb.Drop.STATE_DISPENSED,
        ]
        assert await watch.code() == grpc.StatusCode.OK

    async def test_tells_the_place_in_the_queue_and_the_expected_time(
        self, frontend: Frontend
    ) -> None:
        bench = frontend.bench
        sold = await bench.dispatched("sold")
        bench.clock.pass_s(4)
        await bench.report(sold)
        first, second = await bench.place("r-1"), await bench.place("r-2")

        watch = watch_of(frontend, second, ANN)
        told = [(await read(watch)).drop]
        await frontend.dispense(first)
        told.append((await read(watch)).drop)
        await bench.take()
        told.append((await read(watch)).drop)
        await bench.report(second)
        told.append((await read(watch)).drop)

        assert [each.drops_ahead if each.HasField("drops_ahead") else None for each in told] == [
            1, 0, None, None,
        ]  # fmt: skip
        # The second can fell at once: the middle of 0 and 4 s is 2 s.
        assert [each.expected_duration.ToMilliseconds() for each in told] == [
            8_000,
            2_000,
            2_000,
            0,
        ]
        assert not told[-1].HasField("expected_duration")

    async def test_is_refused_to_other_accounts(self, frontend: Frontend) -> None:
        watch = watch_of(frontend, await frontend.bench.place(), BOB)
        assert (await refused(read(watch))).reason == "DROP_NOT_FOUND"

    async def test_one_caller_cannot_take_all_watches(self) -> None:
        async with running_frontend(watches_per_caller_max=2) as frontend:
            drop = await frontend.bench.place()
            watches = [watch_of(frontend, drop, ANN) for _ in range(2)]
            for watch in watches:
                await read(watch)
            refusal = await refused(read(watch_of(frontend, drop, ANN)))
            assert refusal.status == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
            await read(watch_of(frontend, drop, ROOT))
            # A watch that ends makes room for another.
            watches[0].cancel()
            await frontend.drops.followers.are(2)
            await read(watch_of(frontend, drop, ANN))

    async def test_ends_with_the_frontend(self, frontend: Frontend) -> None:
        watch = watch_of(frontend, await frontend.bench.place(), ANN)
        await read(watch)
        await frontend.server.drain()
        refusal = await refused(read(watch))
        assert refusal.status == ("UNAVAILABLE", "SHUTTING_DOWN")
        await frontend.drops.followers.are(0)


async def test_storage_trouble_is_worth_a_retry(frontend: Frontend) -> None:
    frontend.storage.error = StorageUnavailableError("the database does not answer")
    refusal = await frontend.refused(ListMachinesRequest())
    assert refusal.status == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")
    assert refusal.retry_after_s == 1


async def test_the_answer_to_a_drop_that_waits_is_begun_and_ends_with_the_outcome() -> None:
    async with running_frontend(drop_begin_s=0.01) as frontend:
        client = await Http2Connection.connect("127.0.0.1", frontend.port)
        stream = client.call(
            "/drink.v1.DropService/Drop",
            order().SerializeToString(),
            authorization=dict(ANN)["authorization"],
        )
        drop = await frontend.followed_drop()
        await asyncio.wait_for(client.begun(stream), LIMIT_S)
        assert not client.has_ended(stream)
        await frontend.dispense(drop)
        await asyncio.wait_for(client.ended(stream), LIMIT_S)
        await client.close()


async def test_a_client_takes_an_answer_that_was_begun_early() -> None:
    async with running_frontend(drop_begin_s=0.01, drop_wait_s=0.2) as frontend:
        answer = await frontend.call(order(), ANN)
        assert answer.drop.state == pb.Drop.STATE_RESERVED
