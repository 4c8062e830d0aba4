"""Alarms over gRPC."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import alarm_service_pb2 as pb
from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import Scope
from tests.support.rpc_frontend import ROOT, Frontend

LEASE = pb.SettleNotificationsRequest.Lease


@pytest.fixture
async def alarms(frontend: Frontend) -> Frontend:
    """With an unknown drop, a flood that happened thrice, and refused links of another machine."""
    await frontend.bench.unknown()
    for _ in range(3):
        frontend.bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"limit": "messages_per_s"})
    await frontend.bench.alarms.keep()
    frontend.bench.alarms.count("ld", AlarmKind.LINK_REFUSED, {})
    await frontend.bench.alarms.keep()
    return frontend


async def listed(frontend: Frontend, **terms: Any) -> list[pb.Alarm]:
    answer = await frontend.call(pb.ListAlarmsRequest(**terms), ROOT)
    return list(answer.alarms)


async def test_alarms_are_told_whole_the_newest_first(alarms: Frontend) -> None:
    refused_, flooded, unknown = await listed(alarms)
    assert [each.kind for each in (refused_, flooded, unknown)] == [
        "LINK_REFUSED",
        "LINK_FLOODED",
        "DROP_UNKNOWN",
    ]
    assert (flooded.subject, flooded.machine, flooded.count) == ("machines/d", "machines/d", 3)
    assert flooded.state == pb.Alarm.STATE_OPEN
    assert flooded.facts["limit"] == "messages_per_s"
    assert flooded.name.startswith("alarms/")
    assert flooded.create_time.seconds == alarms.bench.clock.now_ms() // 1000
    assert not flooded.HasField("close_time")
    assert unknown.subject.startswith("drops/")


async def test_alarms_are_selected_and_come_in_pages(alarms: Frontend) -> None:
    assert [each.kind for each in await listed(alarms, machine="machines/ld")] == ["LINK_REFUSED"]
    kinds = ["LINK_FLOODED", "DROP_UNKNOWN", "DROP_UNKNOWN"]
    assert len(await listed(alarms, kinds=kinds)) == 2
    assert await listed(alarms, states=[pb.Alarm.STATE_CLOSED]) == []
    assert await listed(alarms, machine="machines/none") == []

    seen, token = [], ""
    while True:
        request = pb.ListAlarmsRequest(page_size=1, page_token=token)
        answer = await alarms.call(request, ROOT)
        seen += [each.kind for each in answer.alarms]
        token = answer.next_page_token
        if not token:
            break
    assert seen == ["LINK_REFUSED", "LINK_FLOODED", "DROP_UNKNOWN"]


async def test_an_alarm_is_acknowledged_and_closed(alarms: Frontend) -> None:
    (flooded,) = await listed(alarms, kinds=["LINK_FLOODED"])
    request = pb.AcknowledgeAlarmRequest(name=flooded.name)
    first, again = [(await alarms.call(request, ROOT)).alarm for _ in range(2)]
    assert first == again
    assert (first.state, first.acknowledged_by) == (pb.Alarm.STATE_ACKNOWLEDGED, "root")

    ends = pb.CloseAlarmRequest(name=flooded.name, reason="a loose cable")
    closed, again = [(await alarms.call(ends, ROOT)).alarm for _ in range(2)]
    assert closed == again
    assert (closed.state, closed.closed_by, closed.acknowledged_by) == (
        pb.Alarm.STATE_CLOSED,
        "root",
        "root",
    )
    assert closed.HasField("close_time")
    assert await listed(alarms, states=[pb.Alarm.STATE_CLOSED]) == [closed]
    refusal = await alarms.refused(request, ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "ALARM_CLOSED")


async def test_an_alarm_about_an_unknown_drop_stands(alarms: Frontend) -> None:
    (unknown,) = await listed(alarms, kinds=["DROP_UNKNOWN"])
    refusal = await alarms.refused(pb.CloseAlarmRequest(name=unknown.name), ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "ALARM_STANDS")


@pytest.mark.parametrize("method", ["AcknowledgeAlarm", "CloseAlarm"])
@pytest.mark.parametrize("number", ["404", "9" * 18])
async def test_what_is_not_there_is_told(frontend: Frontend, method: str, number: str) -> None:
    request = getattr(pb, f"{method}Request")(name=f"alarms/{number}")
    refusal = await frontend.refused(request, ROOT)
    assert refusal.status == ("NOT_FOUND", "ALARM_NOT_FOUND")


@pytest.mark.parametrize("method", ["AcknowledgeAlarm", "CloseAlarm"])
@pytest.mark.parametrize(
    "name",
    [
        "",
        "1",
        "alarms/",
        "alarms/0",
        "alarms/-1",
        "alarms/01",
        "alarms/x",
        "alarms/1\n",
        "alarms/1/2",
        "alarms/\u0661",
        "alarms/" + "9" * 19,
        "drops/1",
    ],
)
async def test_a_wrong_name_is_refused(frontend: Frontend, method: str, name: str) -> None:
    request = getattr(pb, f"{method}Request")(name=name)
    refusal = await frontend.refused(request, ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "name"})


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"states": [0]}, "states"),
        ({"states": [99]}, "states"),
        ({"states": [-1]}, "states"),
        ({"kinds": ["SOMETHING"]}, "kinds"),
        ({"kinds": [""]}, "kinds"),
        ({"kinds": ["NOTE"]}, "kinds"),
        ({"kinds": ["DROP_UNKNOWN\n"]}, "kinds"),
        ({"kinds": ["X" * 60_000]}, "kinds"),
        ({"machine": "d"}, "machine"),
        ({"machine": "machines/"}, "machine"),
        ({"machine": "machines/" + "x" * 33}, "machine"),
        ({"machine": "machines/d\x00"}, "machine"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
    ],
)
async def test_a_wrong_filter_is_refused(
    frontend: Frontend, terms: dict[str, Any], field: str
) -> None:
    refusal = await frontend.refused(pb.ListAlarmsRequest(**terms), ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


async def test_a_token_of_another_list_is_refused(alarms: Frontend) -> None:
    answer = await alarms.call(pb.ListAlarmsRequest(page_size=1), ROOT)
    request = pb.ListAlarmsRequest(page_token=answer.next_page_token, machine="machines/d")
    refusal = await alarms.refused(request, ROOT)
    assert refusal.facts == {"field": "page_token"}


@pytest.mark.parametrize("reason", ["x" * 201, "a\x07b", "a\nb"])
async def test_a_wrong_reason_is_refused(alarms: Frontend, reason: str) -> None:
    (flooded,) = await listed(alarms, kinds=["LINK_FLOODED"])
    request = pb.CloseAlarmRequest(name=flooded.name, reason=reason)
    refusal = await alarms.refused(request, ROOT)
    assert refusal.facts == {"field": "reason"}
    assert await listed(alarms, kinds=["LINK_FLOODED"]) == [flooded]


async def test_notifications_are_leased_and_settled(alarms: Frontend) -> None:
    request = pb.LeaseNotificationsRequest(channel="mail", digest_day="2026-11-29")
    answer = await alarms.call(request, ROOT)
    assert [each.news for each in answer.notifications] == [pb.Notification.NEWS_OPENED] * 3 + [
        pb.Notification.NEWS_DIGEST
    ]
    assert [each.alarm.kind for each in answer.notifications][:1] == ["DROP_UNKNOWN"]
    assert answer.notifications[3].digest_day == "2026-11-29"
    assert len(answer.open_alarms) == 3
    assert not (await alarms.call(request, ROOT)).notifications

    leases = [
        pb.SettleNotificationsRequest.Lease(name=each.name, lease=each.lease)
        for each in answer.notifications
    ]
    settle = pb.SettleNotificationsRequest(channel="mail", leases=leases)
    assert not (await alarms.call(settle, ROOT)).stale
    assert len((await alarms.call(settle, ROOT)).stale) == 4


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("channel", ""),
        ("channel", "Mail"),
        ("channel", "x" * 41),
        ("channel", "a\nb"),
        ("max_count", -1),
        ("max_count", 1_001),
        ("severities", [9]),
        ("digest_day", "../x"),
    ],
)
async def test_a_wrong_lease_is_refused(alarms: Frontend, field: str, wrong: Any) -> None:
    request = pb.LeaseNotificationsRequest(**{"channel": "mail", field: wrong})
    refusal = await alarms.refused(request, ROOT)
    assert (refusal.reason, refusal.facts["field"]) == ("FIELD_INVALID", field)


async def test_wrong_durations_and_settlements_are_refused(alarms: Frontend) -> None:
    for request in (
        pb.LeaseNotificationsRequest(channel="mail", lease_duration=Duration(seconds=601)),
        pb.LeaseNotificationsRequest(channel="mail", lease_duration=Duration(nanos=5)),
        pb.LeaseNotificationsRequest(channel="mail", minimum_age=Duration(seconds=-1)),
        pb.SettleNotificationsRequest(channel="mail"),
        pb.SettleNotificationsRequest(channel="mail", leases=[LEASE(name="notifications/x")]),
        pb.SettleNotificationsRequest(channel="", leases=[LEASE(name="notifications/1")]),
    ):
        assert (await alarms.refused(request, ROOT)).reason == "FIELD_INVALID"


async def test_a_token_for_notifications_may_do_nothing_else(alarms: Frontend) -> None:
    bench = alarms.bench
    root = await bench.account("root")
    secret, until_ms = await bench.accounts.tokens.issue(root, Proof.PASSWORD, scope=Scope.NOTIFY)
    assert until_ms - bench.clock.now_ms() == 63_072_000_000
    notifier = (("authorization", f"Bearer {secret}"),)
    lease = pb.LeaseNotificationsRequest(channel="mail")
    assert (await alarms.call(lease, notifier)).notifications
    for request in (pb.ListAlarmsRequest(), accounts.GetAccountRequest()):
        assert (await alarms.refused(request, notifier)).reason == "TOKEN_SCOPE"
    ann = await bench.account("ann")
    secret, _ = await bench.accounts.tokens.issue(ann, Proof.PASSWORD, scope=Scope.NOTIFY)
    member = (("authorization", f"Bearer {secret}"),)
    assert (await alarms.refused(lease, member)).reason == "ADMIN_REQUIRED"
