import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_cli.text import (
    CAUSES,
    REACHES,
    STATES,
    cause_words,
    iso_time,
    local_time,
    printable,
    reach_word,
    short,
    state_word,
)


def test_every_state_cause_and_reach_of_the_api_has_words() -> None:
    assert set(STATES) == set(drops.Drop.State.values()) - {0}
    assert set(CAUSES) == set(drops.Drop.Cause.values()) - {0}
    assert set(REACHES) == set(machines.Machine.Reach.values()) - {0}


def test_values_of_a_newer_server_are_shown_by_their_numbers() -> None:
    assert (state_word(99), cause_words(99), reach_word(99)) == ("state 99", "cause 99", "reach 99")
    assert cause_words(0) == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("machines/d/slots/1", "d/1"),
        ("accounts/bob", "bob"),
        ("drops/01ABC", "01ABC"),
        ("01ABC", "01ABC"),
        ("sales", "sales"),
    ],
)
def test_resource_names_are_shown_as_people_write_them(name: str, shown: str) -> None:
    assert short(name) == shown


def test_a_terminal_gets_nothing_that_it_would_act_on() -> None:
    assert printable("Coke\x1b[2J\u202e\n") == "Coke�[2J��"


def test_times_are_shown_in_the_readers_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = Timestamp(seconds=1_764_400_000, nanos=5_000_000)

    assert local_time(stamp).startswith("2025-11-")
    assert iso_time(stamp) == "2025-11-29T07:06:40.005Z"
    assert (local_time(Timestamp()), iso_time(Timestamp())) == ("", None)
