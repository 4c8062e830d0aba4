"""EventService over a real server."""

from typing import Any

import pytest

from drink.v1 import alarm_service_pb2, drop_service_pb2, machine_service_pb2
from drink.v1 import event_service_pb2 as pb
from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.tokens import digest
from tests.support.books import token
from tests.support.ids import id_of
from tests.support.rpc_frontend import (
    ANN,
    BOB,
    ROOT,
    Frontend,
    read,
    refused,
    running_frontend,
)

KIND = pb.Event.Kind


async def watching(frontend: Frontend, caller: Any, **request: Any) -> tuple[Any, str]:
    """A watch, and the cursor of its first response."""
    watch = frontend.call(pb.WatchEventsRequest(**request), caller)
    first = await read(watch)
    assert not first.events
    return watch, first.cursor


async def events(watch: Any, count: int) -> list[pb.Event]:
    """The next events, as many as asked for and no more."""
    found: list[pb.Event] = []
    while len(found) < count:
        response = await read(watch)
        found += response.events
        assert response.cursor == found[-1].cursor
    assert len(found) == count
    return found


async def test_lists_first_and_watches_after(frontend: Frontend) -> None:
    watch, cursor = await watching(frontend, ROOT)
    drop = await frontend.bench.place()
    placed, held, stock = await events(watch, 3)
    assert [placed.kind, held.kind, stock.kind] == [
        KIND.KIND_DROP,
        KIND.KIND_CREDITS,
        KIND.KIND_STOCK,
    ]
    assert placed.name == placed.drop.name == f"drops/{drop.id}"
    get = drop_service_pb2.GetDropRequest(name=placed.name)
    shown = (await frontend.call(get, ROOT)).drop
    # An event shows what is stored; the place in the queue is computed when somebody asks.
    for computed in ("drops_ahead", "expected_duration"):
        shown.ClearField(computed)
    assert placed.drop == shown
    assert held.name == held.account.name == "accounts/ann"
    assert held.account.held_credits == 50
    machine = machine_service_pb2.GetMachineRequest(name="machines/d")
    assert stock.slot == (await frontend.call(machine)).machine.slots[0]
    assert placed.event_time.ToMilliseconds() == frontend.bench.clock.now_ms()
    again, _ = await watching(frontend, ROOT, cursor=cursor)
    assert await events(again, 3) == [placed, held, stock]
    rest, _ = await watching(frontend, ROOT, cursor=placed.cursor)
    assert await events(rest, 2) == [held, stock]


async def test_alarms_records_and_machines_are_shown_as_their_services_do(
    frontend: Frontend,
) -> None:
    bench = frontend.bench
    drop = await bench.unknown()
    watch, _ = await watching(frontend, ROOT)
    report = drop_service_pb2.ReportDropRequest(name=f"drops/{drop.id}", text="nothing fell")
    await frontend.call(report, ANN)
    (record,) = await events(watch, 1)
    assert (record.kind, record.name) == (KIND.KIND_DROP_RECORD, f"drops/{drop.id}")
    assert (record.drop_record.kind, record.actor) == ("DROP_REPORTED", "ann")
    assert not record.drop_record.facts
    bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"messages": 9})
    await bench.alarms.keep()
    (alarm,) = await events(watch, 1)
    listed = await frontend.call(alarm_service_pb2.ListAlarmsRequest(), ROOT)
    assert listed.alarms[0].facts["messages"] == 9
    listed.alarms[0].ClearField("facts")
    assert alarm.alarm == listed.alarms[0]
    assert alarm.name == alarm.alarm.name
    await bench.machines.change(id_of("root"), "d", location="hall")
    (moved,) = await events(watch, 1)
    assert (moved.machine.location, moved.actor) == ("hall", "root")


async def test_buyers_never_see_the_credits_and_drops_of_others(frontend: Frontend) -> None:
    watch, _ = await watching(frontend, BOB)
    await frontend.bench.place()
    root = await frontend.bench.account("root")
    await frontend.bench.transfers.add_credits(root, "gift", "ann", 5)
    await frontend.bench.transfers.add_credits(root, "gift-too", "bob", 5)
    stock, own = await events(watch, 2)
    assert (stock.kind, stock.actor) == (KIND.KIND_STOCK, "")
    assert (own.kind, own.name) == (KIND.KIND_CREDITS, "accounts/bob")


@pytest.mark.parametrize(
    ("caller", "request_fields", "status"),
    [
        (None, {}, ("UNAUTHENTICATED", "TOKEN_INVALID")),
        (ANN, {"cursor": "no cursor"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"kinds": [0]}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"kinds": [99]}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"machine": "d"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"machine": "machines/x\n"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"account": "accounts/" + "x" * 33}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (ANN, {"machine": "machines/nowhere"}, ("NOT_FOUND", "MACHINE_NOT_FOUND")),
        (ANN, {"account": "accounts/bob"}, ("PERMISSION_DENIED", "NOT_OWNER")),
        (ANN, {"account": "accounts/nobody"}, ("PERMISSION_DENIED", "NOT_OWNER")),
        (ROOT, {"account": "accounts/nobody"}, ("NOT_FOUND", "ACCOUNT_NOT_FOUND")),
        (ANN, {"kinds": [KIND.KIND_ALARM]}, ("PERMISSION_DENIED", "ADMIN_REQUIRED")),
        (
            ANN,
            {"cursor": "A" * 38},
            ("FAILED_PRECONDITION", "CURSOR_FOREIGN"),
        ),
    ],
)
async def test_refuses_what_is_wrong(
    frontend: Frontend, caller: Any, request_fields: Any, status: tuple[str, str]
) -> None:
    watch = frontend.call(pb.WatchEventsRequest(**request_fields), caller)
    assert (await refused(read(watch))).status == status


async def test_a_token_for_drops_only_sees_no_events(frontend: Frontend) -> None:
    def add(tx: Transaction) -> None:
        for scope in (Scope.DROP, Scope.READ):
            expires_ms = frontend.bench.clock.now_ms() + 1_000_000
            tx.tokens.add(
                token(digest(scope.value), id_of("ann"), scope=scope, expires_ms=expires_ms)
            )

    await frontend.storage.write(add)
    await watching(frontend, (("authorization", "Bearer READ"),))
    drop_only = (("authorization", "Bearer DROP"),)
    watch = frontend.call(pb.WatchEventsRequest(), drop_only)
    assert (await refused(read(watch))).status == ("PERMISSION_DENIED", "TOKEN_SCOPE")


async def test_fault_70_a_watch_of_events_ends_when_its_token_is_revoked(
    frontend: Frontend,
) -> None:
    watch, _ = await watching(frontend, ANN)
    other, _ = await watching(frontend, BOB)
    await frontend.revoke("ann")
    assert (await refused(read(watch))).status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    await frontend.bench.machines.change(id_of("root"), "d", location="hall")
    await events(other, 1)


async def test_a_watch_of_events_ends_with_the_frontend(frontend: Frontend) -> None:
    watch, _ = await watching(frontend, ANN)
    await frontend.server.drain()
    assert (await refused(read(watch))).status == ("UNAVAILABLE", "SHUTTING_DOWN")


async def test_one_account_cannot_take_all_watches() -> None:
    async with running_frontend(watches_per_caller_max=1) as frontend:
        await watching(frontend, ANN)
        watch = frontend.call(pb.WatchEventsRequest(), ANN)
        assert (await refused(read(watch))).status == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        await watching(frontend, BOB)


async def test_many_events_come_in_responses_of_a_page() -> None:
    async with running_frontend(responses={"page_bytes_max": 4_096}) as frontend:
        _, cursor = await watching(frontend, ROOT)
        root = await frontend.bench.account("root")
        for number in range(60):
            await frontend.bench.transfers.add_credits(root, f"gift-{number}", "ann", 1)
        watch, _ = await watching(frontend, ROOT, cursor=cursor)
        seen: list[int] = []
        responses = 0
        while len(seen) < 60:
            response = await read(watch)
            assert response.ByteSize() < 5_000
            responses += 1
            seen += [event.account.posted_credits for event in response.events]
        assert seen == list(range(201, 261))
        assert responses > 1


async def test_the_past_is_listed_newest_first_and_a_watch_goes_on_from_it(
    frontend: Frontend,
) -> None:
    watch, _ = await watching(frontend, ROOT)
    await frontend.bench.place()
    happened = await events(watch, 3)
    found: list[pb.Event] = []
    request = pb.ListEventsRequest(page_size=2, machine="machines/d")
    pages = 0
    while True:
        answer = await frontend.call(request, ROOT)
        assert len(answer.events) <= 2
        found += answer.events
        pages += 1
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    about_d = [event for event in reversed(happened) if event.kind != KIND.KIND_CREDITS]
    assert found[: len(about_d)] == about_d
    assert pages >= len(found) / 2
    later, _ = await watching(frontend, ROOT, cursor=answer.cursor)
    await frontend.bench.place("r2")
    assert [event.kind for event in await events(later, 3)] == [each.kind for each in happened]


async def test_users_list_what_they_may_watch(frontend: Frontend) -> None:
    await frontend.bench.place()
    own = (await frontend.call(pb.ListEventsRequest(), ANN)).events
    assert KIND.KIND_DROP in {event.kind for event in own}
    others = (await frontend.call(pb.ListEventsRequest(), BOB)).events
    assert KIND.KIND_DROP not in {event.kind for event in others}
    stock = [event for event in others if event.kind == KIND.KIND_STOCK]
    assert {event.actor for event in stock} == {""}
    for request, reason in (
        (pb.ListEventsRequest(kinds=[KIND.KIND_ALARM]), "ADMIN_REQUIRED"),
        (pb.ListEventsRequest(account="accounts/ann"), "NOT_OWNER"),
        (pb.ListEventsRequest(page_token="x"), "FIELD_INVALID"),
        (pb.ListEventsRequest(page_size=-1), "FIELD_INVALID"),
        (pb.ListEventsRequest(kinds=[KIND.KIND_UNSPECIFIED]), "FIELD_INVALID"),
        (pb.ListEventsRequest(machine="machines/none"), "MACHINE_NOT_FOUND"),
    ):
        assert (await frontend.refused(request, BOB)).reason == reason
    assert (await frontend.refused(pb.ListEventsRequest(), None)).reason == "TOKEN_INVALID"
