from datetime import datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink_cli.errors import CommandError
from drink_cli.filters import drop_filters, time_range

NOON = datetime(2026, 11, 29, 12)  # noqa: DTZ001 - as an option gives it, in the reader's zone


def test_what_is_not_given_selects_nothing() -> None:
    assert drop_filters(None, None, None, None) == {"item": ""}
    assert time_range(None, None) == {}


def test_places_are_machines_or_slots() -> None:
    assert drop_filters("d", "Coke", None, None) == {"item": "Coke", "place": "machines/d"}
    assert drop_filters("d/1", None, None, None)["place"] == "machines/d/slots/1"


def test_times_are_those_of_the_reader() -> None:
    given = time_range(NOON, NOON + timedelta(days=1))
    assert given["start_time"] == Timestamp(seconds=int(NOON.astimezone().timestamp()))
    assert given["end_time"].seconds - given["start_time"].seconds == 86_400


@pytest.mark.parametrize("at", ["D/1", "d/", "/1", "d/x", "d/1/2"])
def test_what_is_no_slot_is_refused(at: str) -> None:
    with pytest.raises(CommandError):
        drop_filters(at, None, None, None)


def test_an_item_has_a_name() -> None:
    with pytest.raises(CommandError, match="--item"):
        drop_filters(None, "", None, None)
