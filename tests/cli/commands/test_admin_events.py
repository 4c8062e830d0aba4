"""What happens, on the command line."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import (
    account_service_pb2,
    alarm_service_pb2,
    drop_service_pb2,
    item_service_pb2,
    kiosk_service_pb2,
    machine_service_pb2,
)
from drink.v1 import event_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.commands import admin_events
from drink_cli.errors import CallError, Exit
from drink_cli.text import local_time
from tests.cli.conftest import Drink

KIND = pb.Event.Kind

THEN = Timestamp(seconds=1_800_000_000)

SAID = local_time(THEN)


@pytest.fixture
def first_responses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets the command end with a refusal after so many responses; the list has their number."""
    limit = [1]
    watch = Api.watch

    def some(api: Api, method: object, request: object) -> object:
        for number, response in enumerate(watch(api, method, request), 1):  # type: ignore[arg-type]
            yield response
            if number == limit[0]:
                raise CallError("CANCELLED", "", "enough", {})

    monkeypatch.setattr(Api, "watch", some)
    return limit


def cursor_of(drink: Drink) -> str:
    told = drink("--json", "admin", "events").output.splitlines()[0]
    return str(json.loads(told)["cursor"])


def test_what_happened_since_a_cursor_is_shown(
    administrator: Drink, first_responses: list[int]
) -> None:
    cursor = cursor_of(administrator)
    administrator("admin", "credits", "add", "alice", "7")
    first_responses[0] = 2
    options = ("--from", cursor, "--kind", "credits", "--account", "alice")
    told = json.loads(administrator("--json", "admin", "events", *options).output.splitlines()[0])
    assert (told["kind"], told["name"]) == ("KIND_CREDITS", "accounts/alice")
    assert told["account"]["name"] == "accounts/alice"
    line = administrator("admin", "events", *options).output.splitlines()[0]
    assert "credits alice: " in line
    assert line.endswith(" by admin")


def test_the_first_line_says_where_to_begin_another_time(
    administrator: Drink, first_responses: list[int]
) -> None:
    told = administrator("admin", "events").output.splitlines()[0]
    word, cursor, *_ = told.split()
    assert word == "--from"
    assert administrator("admin", "events", "--from", cursor).exit_code == Exit.FAULT


def test_a_watch_that_the_server_ends_goes_on_from_its_cursor(
    administrator: Drink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def watch(_: object, __: object, request: pb.WatchEventsRequest) -> object:
        asked.append(request.cursor)
        if len(asked) == 4:
            raise CallError("CANCELLED", "", "enough", {})
        yield pb.WatchEventsResponse(cursor=f"cursor-{len(asked)}")
        reason = "SHUTTING_DOWN" if len(asked) == 1 else "WATCH_TOO_SLOW"
        raise CallError("UNAVAILABLE", reason, "again", {})

    monkeypatch.setattr(Api, "watch", watch)
    assert administrator("admin", "events").exit_code == Exit.FAULT
    assert asked == ["", "cursor-1", "cursor-2", "cursor-3"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--kind", "nothing"), Exit.USAGE),
        (("--from", "no cursor"), Exit.USAGE),
        (("--from", "A" * 38), Exit.REFUSED),
        (("--machine", "nowhere"), Exit.NOT_FOUND),
        (("--account", "nobody"), Exit.NOT_FOUND),
    ],
)
def test_what_is_not_there_or_wrong_is_told(
    administrator: Drink, options: tuple[str, ...], code: Exit
) -> None:
    assert administrator("admin", "events", *options).exit_code == code


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (
            {
                "drop": drop_service_pb2.Drop(
                    item="Tea", account="accounts/ann", state=drop_service_pb2.Drop.STATE_UNKNOWN
                )
            },
            "Tea for ann unknown",
        ),
        ({"drop_record": drop_service_pb2.DropRecord(kind="DROP_REPORTED")}, "DROP_REPORTED"),
        (
            {"account": account_service_pb2.Account(posted_credits=5, closed=True, admin=True)},
            "5 credits, 0 held, closed, administrator",
        ),
        (
            {"account": account_service_pb2.Account(display_name="Ann A.")},
            "0 credits, 0 held, called Ann A.",
        ),
        (
            {
                "machine": machine_service_pb2.Machine(
                    reach=machine_service_pb2.Machine.REACH_READY, temperature_celsius=4.25
                )
            },
            "ready, 4.2 °C, out of service",
        ),
        (
            {
                "machine": machine_service_pb2.Machine(
                    enabled=True,
                    reach=machine_service_pb2.Machine.REACH_OFFLINE,
                    reach_time=THEN,
                    temperature_celsius=4.25,
                    temperature_time=THEN,
                    agent_version="0.2.0",
                    firmware_version="1.2",
                )
            },
            f"offline since {SAID}, 4.2 °C since {SAID}, agent 0.2.0, firmware 1.2",
        ),
        (
            {"slot": machine_service_pb2.Slot(item="Tea", price=5, available=2)},
            "Tea, 5 credits, 2 left",
        ),
        (
            {"alarm": alarm_service_pb2.Alarm(kind="TWO_AGENTS", subject="machines/d", count=3)},
            "TWO_AGENTS of d, 3 times",
        ),
        ({"item": item_service_pb2.Item(display_name="Tea", price=5)}, "Tea, 5 credits"),
        ({}, "changed"),
    ],
)
def test_each_type_of_resource_has_its_words(resource: dict[str, object], words: str) -> None:
    event = pb.Event(kind=KIND.KIND_DROP_RECORD, name="drops/D1", **resource)  # type: ignore[arg-type]
    assert admin_events._line(event).endswith(f"  drop record D1: {words}")


def test_a_kind_of_a_newer_server_has_a_number() -> None:
    assert admin_events._word(99) == "kind 99"


def test_every_resource_has_a_summary() -> None:
    resources = {field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["resource"].fields}
    assert set(admin_events._SUMMARIES) == resources
    assert (
        admin_events._summary(pb.Event(kiosk=kiosk_service_pb2.Kiosk(machine="machines/d")))
        == "d, made"
    )
    ended = kiosk_service_pb2.Kiosk(
        machine="machines/d", display_name="hall", state=kiosk_service_pb2.Kiosk.STATE_ENDED
    )
    assert admin_events._summary(pb.Event(kiosk=ended)) == "d (hall), ended"
