"""DropService over a real server: answers, refusals, and calls that end before the drop does."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from drink.v1 import drop_service_pb2 as pb
from drink.v1.drop_service_pb2_grpc import DropServiceStub
from drink.v1.machine_service_pb2 import ListMachinesRequest
from drink_frontend.domain.drop import Cause, DropEvent
from drink_frontend.domain.errors import SlotEmptyError, StorageUnavailableError
from tests.fakes.http2 import Http2Client
from tests.fakes.rpc_frontend import (
    ALICE,
    BOB,
    LIMIT_S,
    ROOT,
    Frontend,
    read,
    refused,
    running_frontend,
)
from tests.fakes.rpc_usecases import NOW_MS

SLOT = "machines/d/slots/1"


def order(request_id: str = "r-1", **fields: object) -> pb.DropRequest:
    return pb.DropRequest(request_id=request_id, slot=SLOT, **fields)  # type: ignore[arg-type]


async def placed(frontend: Frontend, request_id: str = "r-1", delay_s: int = 0) -> str:
    """A drop of alice's whose outcome nobody waits for; its id."""
    call = frontend.drop_stub.Drop(
        order(request_id, delay=Duration(seconds=delay_s)), metadata=ALICE, timeout=LIMIT_S
    )
    if delay_s:
        return (await call).drop.name.removeprefix("drops/")
    await asyncio.wait_for(frontend.drops.broken.entered.wait(), LIMIT_S)
    drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    return drop.id


class TestDrop:
    async def test_answers_when_the_outcome_is_known(self, frontend: Frontend) -> None:
        call = asyncio.ensure_future(
            frontend.drop_stub.Drop(order(price_ceiling=12), metadata=ALICE, timeout=LIMIT_S)
        )
        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        await frontend.drops.bell.heard_by(1)
        assert not call.done()
        frontend.drops.move(drop.id, DropEvent.DISPATCH)
        frontend.drops.move(drop.id, DropEvent.PROVE_DISPENSED, Cause.BOARD_ACK)

        answer = await call
        assert answer.available_credits == 90
        expected = pb.Drop(
            name=f"drops/{drop.id}",
            account="accounts/alice",
            slot=SLOT,
            item="Cola",
            price=10,
            request_id="r-1",
            state=pb.Drop.STATE_DISPENSED,
            cause=pb.Drop.CAUSE_BOARD_ACK,
        )
        expected.create_time.FromMilliseconds(NOW_MS)
        expected.dispatch_time.FromMilliseconds(NOW_MS + 1)
        expected.settle_time.FromMilliseconds(NOW_MS + 2)
        assert answer.drop == expected
        assert frontend.drops.orders[0].price_ceiling == 12

    @pytest.mark.parametrize(
        ("event", "cause", "state", "available"),
        [
            (DropEvent.PROVE_NOT_DISPENSED, Cause.BOARD_REFUSED, pb.Drop.STATE_NOT_DISPENSED, 100),
            (DropEvent.LOSE, Cause.BOARD_SILENT, pb.Drop.STATE_UNKNOWN, 90),
        ],
    )
    async def test_a_drop_that_exists_is_answered_with_ok(
        self, frontend: Frontend, event: DropEvent, cause: Cause, state: int, available: int
    ) -> None:
        call = asyncio.ensure_future(
            frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S)
        )
        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        frontend.drops.move(drop.id, DropEvent.DISPATCH)
        frontend.drops.move(drop.id, event, cause)

        answer = await call
        assert answer.drop.state == state
        assert pb.Drop.Cause.Name(answer.drop.cause) == f"CAUSE_{cause}"
        assert answer.available_credits == available

    async def test_a_delayed_drop_is_answered_at_once(self, frontend: Frontend) -> None:
        answer = await frontend.drop_stub.Drop(
            order(delay=Duration(seconds=30)), metadata=ALICE, timeout=LIMIT_S
        )
        assert answer.drop.state == pb.Drop.STATE_SCHEDULED
        assert answer.drop.schedule_time.ToMilliseconds() == NOW_MS + 30_000
        assert not answer.drop.HasField("dispatch_time")
        assert answer.available_credits == 90

    async def test_who_waits_too_long_is_told_how_it_stands(self) -> None:
        async with running_frontend(drop_wait_s=0.05) as frontend:
            answer = await frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S)
            assert answer.drop.state == pb.Drop.STATE_RESERVED
            assert answer.available_credits == 90

    async def test_fault_3_duplicates_at_once_get_one_drop_and_one_answer(
        self, frontend: Frontend
    ) -> None:
        calls = asyncio.gather(
            *(frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S) for _ in range(10))
        )
        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        await frontend.drops.bell.heard_by(10)
        frontend.drops.move(drop.id, DropEvent.DISPATCH)
        frontend.drops.move(drop.id, DropEvent.PROVE_DISPENSED, Cause.BOARD_ACK)

        answers = await calls
        assert len(frontend.drops.drops) == 1
        assert all(answer == answers[0] for answer in answers)

    async def test_fault_2_the_same_request_later_gets_the_same_drop(
        self, frontend: Frontend
    ) -> None:
        drop_id = await placed(frontend)
        frontend.drops.move(drop_id, DropEvent.DISPATCH)
        frontend.drops.move(drop_id, DropEvent.PROVE_DISPENSED, Cause.BOARD_ACK)

        answer = await frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S)
        assert answer.drop.name == f"drops/{drop_id}"
        assert answer.drop.state == pb.Drop.STATE_DISPENSED
        assert answer.available_credits == 90

    async def test_fault_4_the_same_request_with_another_body_is_refused(
        self, frontend: Frontend
    ) -> None:
        await placed(frontend)
        refusal = await refused(
            frontend.drop_stub.Drop(order(price_ceiling=5), metadata=ALICE, timeout=LIMIT_S)
        )
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_ID_REUSED",
        )
        assert len(frontend.drops.drops) == 1

    @pytest.mark.parametrize("ending", ["deadline", "cancel"])
    async def test_fault_6_a_call_that_ends_while_reserving_changes_nothing(
        self, frontend: Frontend, ending: str
    ) -> None:
        frontend.drops.broken.gate.clear()
        call = frontend.drop_stub.Drop(
            order(), metadata=ALICE, timeout=0.3 if ending == "deadline" else LIMIT_S
        )
        await asyncio.wait_for(frontend.drops.broken.entered.wait(), LIMIT_S)
        if ending == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
        # Served after it on the same connection: by then the call's end has arrived.
        await frontend.machine_stub.ListMachines(ListMachinesRequest(), timeout=LIMIT_S)
        frontend.drops.broken.gate.set()

        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        assert drop.request_id == "r-1"
        assert frontend.accounts.users["alice"].held == 10

    @pytest.mark.parametrize("ending", ["deadline", "cancel"])
    async def test_fault_6_a_call_that_ends_while_waiting_leaves_only_the_drop(
        self, frontend: Frontend, ending: str
    ) -> None:
        call = frontend.drop_stub.Drop(
            order(), metadata=ALICE, timeout=0.3 if ending == "deadline" else LIMIT_S
        )
        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        await frontend.drops.bell.heard_by(1)
        if ending == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

        await frontend.drops.bell.heard_by(0)
        assert frontend.drops.drops[drop.id] == drop

    async def test_fault_5_a_client_that_vanishes_leaves_the_drop(self, frontend: Frontend) -> None:
        async with grpc.aio.insecure_channel(frontend.target) as channel:
            call = DropServiceStub(channel).Drop(order(), metadata=ALICE)
            await asyncio.wait_for(frontend.drops.broken.entered.wait(), LIMIT_S)
            drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

        await frontend.drops.bell.heard_by(0)
        assert frontend.drops.drops[drop.id].state == "RESERVED"

    async def test_new_drops_are_refused_at_the_end(self, frontend: Frontend) -> None:
        frontend.drops.draining = True
        refusal = await refused(frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert refusal.retry_after_s == 1

    async def test_a_drop_that_was_not_made_is_an_error(self, frontend: Frontend) -> None:
        frontend.drops.broken.error = SlotEmptyError("the slot is empty")
        refusal = await refused(frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SLOT_EMPTY",
        )

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
        refusal = await refused(frontend.drop_stub.Drop(request_, metadata=ALICE, timeout=LIMIT_S))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "FIELD_INVALID",
        )
        assert refusal.facts == {"field": field}
        assert frontend.drops.orders == []


class TestGetDrop:
    async def test_shows_the_owner_and_an_administrator(self, frontend: Frontend) -> None:
        drop_id = await placed(frontend)
        for caller in (ALICE, ROOT):
            answer = await frontend.drop_stub.GetDrop(
                pb.GetDropRequest(name=f"drops/{drop_id}"), metadata=caller, timeout=LIMIT_S
            )
            assert answer.drop.name == f"drops/{drop_id}"
            assert answer.drop.state == pb.Drop.STATE_RESERVED

    async def test_hides_it_from_others_as_if_it_were_not_there(self, frontend: Frontend) -> None:
        drop_id = await placed(frontend)
        for name in (f"drops/{drop_id}", "drops/" + "Z" * 26):
            refusal = await refused(
                frontend.drop_stub.GetDrop(
                    pb.GetDropRequest(name=name), metadata=BOB, timeout=LIMIT_S
                )
            )
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "DROP_NOT_FOUND")

    async def test_names_a_wrong_name(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.drop_stub.GetDrop(
                pb.GetDropRequest(name="drops/1"), metadata=ALICE, timeout=LIMIT_S
            )
        )
        assert refusal.facts == {"field": "name"}


class TestListDrops:
    async def test_pages_through_the_callers_own_newest_first(self, frontend: Frontend) -> None:
        for number in range(5):
            await placed(frontend, f"r-{number}", delay_s=1)
        await frontend.drop_stub.Drop(
            order("r-bob", delay=Duration(seconds=1)), metadata=BOB, timeout=LIMIT_S
        )

        pages, token = [], ""
        while True:
            page = await frontend.drop_stub.ListDrops(
                pb.ListDropsRequest(page_size=2, page_token=token),
                metadata=ALICE,
                timeout=LIMIT_S,
            )
            pages.append([drop.request_id for drop in page.drops])
            token = page.next_page_token
            if not token:
                break
        assert pages == [["r-4", "r-3"], ["r-2", "r-1"], ["r-0"]]

    async def test_shows_only_the_states_asked_for(self, frontend: Frontend) -> None:
        await placed(frontend, "r-scheduled", delay_s=1)
        frontend.drops.move(await placed(frontend, "r-cancelled", delay_s=1), DropEvent.CANCEL)
        page = await frontend.drop_stub.ListDrops(
            pb.ListDropsRequest(states=[pb.Drop.STATE_NOT_DISPENSED, pb.Drop.STATE_UNKNOWN]),
            metadata=ALICE,
            timeout=LIMIT_S,
        )
        assert [drop.request_id for drop in page.drops] == ["r-cancelled"]

    async def test_administrators_see_everyones_and_one_accounts(self, frontend: Frontend) -> None:
        await placed(frontend, "r-alice", delay_s=1)
        await frontend.drop_stub.Drop(
            order("r-bob", delay=Duration(seconds=1)), metadata=BOB, timeout=LIMIT_S
        )
        for parent, expected in (
            ("accounts/-", ["r-bob", "r-alice"]),
            ("accounts/alice", ["r-alice"]),
            ("", []),
        ):
            page = await frontend.drop_stub.ListDrops(
                pb.ListDropsRequest(parent=parent), metadata=ROOT, timeout=LIMIT_S
            )
            assert [drop.request_id for drop in page.drops] == expected

    async def test_an_account_that_is_not_there_has_no_list(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.drop_stub.ListDrops(
                pb.ListDropsRequest(parent="accounts/nobody"), metadata=ROOT, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")

    @pytest.mark.parametrize("parent", ["accounts/-", "accounts/bob", "accounts/nobody"])
    async def test_rights_come_before_existence(self, frontend: Frontend, parent: str) -> None:
        refusal = await refused(
            frontend.drop_stub.ListDrops(
                pb.ListDropsRequest(parent=parent), metadata=ALICE, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (pb.ListDropsRequest(parent="users/alice"), "parent"),
            (pb.ListDropsRequest(page_size=-1), "page_size"),
            (pb.ListDropsRequest(page_token="junk"), "page_token"),
            (pb.ListDropsRequest(states=[pb.Drop.STATE_UNSPECIFIED]), "states"),
            (pb.ListDropsRequest.FromString(b"\x22\x01\x63"), "states"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, request_: pb.ListDropsRequest, field: str
    ) -> None:
        refusal = await refused(
            frontend.drop_stub.ListDrops(request_, metadata=ALICE, timeout=LIMIT_S)
        )
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})

    async def test_a_page_token_of_another_list_is_refused(self, frontend: Frontend) -> None:
        await placed(frontend, delay_s=1)
        page = await frontend.drop_stub.ListDrops(
            pb.ListDropsRequest(page_size=1), metadata=ALICE, timeout=LIMIT_S
        )
        refusal = await refused(
            frontend.drop_stub.ListDrops(
                pb.ListDropsRequest(
                    page_token=page.next_page_token, states=[pb.Drop.STATE_UNKNOWN]
                ),
                metadata=ALICE,
                timeout=LIMIT_S,
            )
        )
        assert refusal.facts == {"field": "page_token"}


class TestCancelDrop:
    async def test_frees_a_drop_that_waits_and_does_so_once(self, frontend: Frontend) -> None:
        request = pb.CancelDropRequest(name=f"drops/{await placed(frontend, delay_s=9)}")
        for _ in range(2):
            answer = await frontend.drop_stub.CancelDrop(request, metadata=ALICE, timeout=LIMIT_S)
            assert answer.drop.state == pb.Drop.STATE_NOT_DISPENSED
            assert answer.drop.cause == pb.Drop.CAUSE_CANCELLED
        assert frontend.accounts.users["alice"].available == 100

    async def test_refuses_one_that_is_dispatched(self, frontend: Frontend) -> None:
        drop_id = await placed(frontend)
        frontend.drops.move(drop_id, DropEvent.DISPATCH)
        refusal = await refused(
            frontend.drop_stub.CancelDrop(
                pb.CancelDropRequest(name=f"drops/{drop_id}"), metadata=ALICE, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "DROP_NOT_CANCELLABLE",
        )


class TestWatchDrop:
    async def test_shows_it_now_and_at_each_change_and_ends_after_the_last(
        self, frontend: Frontend
    ) -> None:
        drop_id = await placed(frontend, delay_s=5)
        watch = frontend.drop_stub.WatchDrop(
            pb.WatchDropRequest(name=f"drops/{drop_id}"), metadata=ALICE, timeout=LIMIT_S
        )
        states = [(await read(watch)).drop.state]
        for event in (DropEvent.DUE, DropEvent.DISPATCH, DropEvent.LOSE, DropEvent.PROVE_DISPENSED):
            frontend.drops.move(drop_id, event)
            states.append((await read(watch)).drop.state)
        assert await watch.read() is grpc.aio.EOF
        assert states == [
            pb.Drop.STATE_SCHEDULED,
            pb.Drop.STATE_RESERVED,
            pb.Drop.STATE_DISPATCHED,
            pb.Drop.STATE_UNKNOWN,
            pb.Drop.STATE_DISPENSED,
        ]
        assert await watch.code() == grpc.StatusCode.OK

    async def test_is_only_for_who_may_see_the_drop(self, frontend: Frontend) -> None:
        drop_id = await placed(frontend, delay_s=5)
        watch = frontend.drop_stub.WatchDrop(
            pb.WatchDropRequest(name=f"drops/{drop_id}"), metadata=BOB, timeout=LIMIT_S
        )
        assert (await refused(read(watch))).reason == "DROP_NOT_FOUND"

    async def test_one_caller_cannot_take_all_watches(self) -> None:
        async with running_frontend(watches_per_caller_max=2) as frontend:
            drop_id = await placed(frontend, delay_s=5)
            request = pb.WatchDropRequest(name=f"drops/{drop_id}")
            watches = [
                frontend.drop_stub.WatchDrop(request, metadata=ALICE, timeout=LIMIT_S)
                for _ in range(2)
            ]
            for watch in watches:
                await read(watch)
            refusal = await refused(
                read(frontend.drop_stub.WatchDrop(request, metadata=ALICE, timeout=LIMIT_S))
            )
            assert (refusal.code, refusal.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMITED",
            )
            other = frontend.drop_stub.WatchDrop(request, metadata=ROOT, timeout=LIMIT_S)
            assert (await read(other)).drop.name == request.name
            # A watch that ends makes room for another.
            watches[0].cancel()
            await frontend.drops.bell.heard_by(2)
            again = frontend.drop_stub.WatchDrop(request, metadata=ALICE, timeout=LIMIT_S)
            assert (await read(again)).drop.name == request.name

    async def test_ends_with_the_frontend(self, frontend: Frontend) -> None:
        drop_id = await placed(frontend, delay_s=5)
        watch = frontend.drop_stub.WatchDrop(
            pb.WatchDropRequest(name=f"drops/{drop_id}"), metadata=ALICE, timeout=LIMIT_S
        )
        await read(watch)
        await frontend.server.drain()
        refusal = await refused(read(watch))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        await frontend.drops.bell.heard_by(0)


async def test_storage_trouble_is_worth_a_retry(frontend: Frontend) -> None:
    frontend.drops.broken.error = StorageUnavailableError("the database does not answer")
    refusal = await refused(
        frontend.drop_stub.ListDrops(pb.ListDropsRequest(), metadata=ALICE, timeout=LIMIT_S)
    )
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    assert refusal.retry_after_s == 1


async def test_the_answer_to_a_drop_that_waits_is_begun_and_ends_with_the_outcome() -> None:
    async with running_frontend(drop_begin_s=0.01) as frontend:
        client = await Http2Client.connect("127.0.0.1", frontend.port)
        stream = client.call(
            "/drink.v1.DropService/Drop",
            order().SerializeToString(),
            authorization=dict(ALICE)["authorization"],
        )
        drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
        await asyncio.wait_for(client.begun(stream), LIMIT_S)
        assert not client.has_ended(stream)
        frontend.drops.move(drop.id, DropEvent.DISPATCH)
        frontend.drops.move(drop.id, DropEvent.PROVE_DISPENSED, Cause.BOARD_ACK)
        await asyncio.wait_for(client.ended(stream), LIMIT_S)
        await client.close()


async def test_a_client_takes_an_answer_that_was_begun_early() -> None:
    async with running_frontend(drop_begin_s=0.01, drop_wait_s=0.2) as frontend:
        answer = await frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S)
        assert answer.drop.state == pb.Drop.STATE_RESERVED
