import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.rpc.temperature_conversion import (
    parse_place,
    place_token,
    temperature_message,
    temperature_query,
)
from drink_frontend.usecases.temperatures import TemperatureQuery

ROW = Temperature("d", STEP_MS, 1_800_000_000_000, 3.5, 4.25, 5.0, 61_500)


def test_a_row_is_shown_with_its_time() -> None:
    shown = temperature_message(ROW)
    assert shown.machine == "machines/d"
    assert shown.start_time == Timestamp(seconds=1_800_000_000)
    assert shown.step == Duration(seconds=300)
    assert (shown.min_celsius, shown.mean_celsius, shown.max_celsius) == (3.5, 4.25, 5.0)
    assert shown.known_duration == Duration(seconds=61, nanos=500_000_000)


def test_a_request_selects_machine_time_and_step() -> None:
    request = pb.ListTemperaturesRequest(
        machine="machines/d",
        start_time=Timestamp(seconds=10),
        end_time=Timestamp(seconds=20),
        step=Duration(seconds=3_600),
    )
    assert temperature_query(request) == TemperatureQuery("d", 3_600_000, 10_000, 20_000)
    every = temperature_query(pb.ListTemperaturesRequest(machine="machines/-"))
    assert every == TemperatureQuery()


@pytest.mark.parametrize(
    "wrong",
    [
        {"machine": ""},
        {"machine": "machines/"},
        {"machine": "machines/D"},
        {"step": Duration(seconds=0)},
        {"step": Duration(seconds=-300)},
        {"step": Duration(seconds=301)},
        {"step": Duration(seconds=300, nanos=1)},
        {"step": Duration(seconds=86_700)},
        {"step": Duration(seconds=2**62)},
        {"start_time": Timestamp(seconds=2**60)},
        {"end_time": Timestamp(nanos=-1)},
    ],
)
def test_a_wrong_field_is_named(wrong: dict[str, object]) -> None:
    request = pb.ListTemperaturesRequest(**{"machine": "machines/d", **wrong})  # type: ignore[arg-type]
    with pytest.raises(FieldInvalidError) as caught:
        temperature_query(request)
    assert caught.value.facts["field"] in wrong


def test_the_next_page_begins_after_the_last_step() -> None:
    token = place_token(ROW, STEP_MS, "list")
    assert parse_place(token, "list") == ("d", ROW.from_ms + STEP_MS)
    assert parse_place("", "list") is None
    for junk in (token + "A", "junk", token[:-4]):
        with pytest.raises(FieldInvalidError):
            parse_place(junk, "list")
    with pytest.raises(FieldInvalidError):
        parse_place(token, "another list")
