import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Sensor
from drink_agent.domain.records import (
    Accepted,
    Acked,
    Commanded,
    Entry,
    InvalidRecordError,
    Record,
    Result,
)

ids = st.text(min_size=1, max_size=63)
numbers = st.integers(0, 2**62)
evidence = st.builds(
    Evidence,
    st.lists(
        st.builds(Line, st.sampled_from(Direction), st.integers(-(2**31), 2**31), st.text()),
        max_size=4,
    ).map(tuple),
    st.sampled_from(Sensor),
    st.sampled_from(Sensor),
    st.text(),
    st.none() | st.integers(),
    st.none() | st.integers(),
    st.booleans(),
)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Accepted, ids, numbers, numbers, numbers, ids),
    st.builds(Commanded, ids, numbers, st.sampled_from(Sensor)),
    st.builds(Result, ids, numbers, st.sampled_from(Cause), evidence),
    st.builds(Acked, ids, numbers),
)


@given(numbers, records)
def test_an_entry_survives_json(sequence: int, record: Record) -> None:
    entry = Entry(sequence, record)
    assert Entry.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry


SOUND = Entry(7, Result("a", 1, Cause.BOARD_LOST, Evidence())).to_dict()


COMMANDED = Entry(7, Commanded("a", 1, Sensor.STOCKED, 900, "boot")).to_dict()


def test_a_command_of_the_first_release_can_be_read() -> None:
    old = {key: value for key, value in COMMANDED.items() if key not in ("at_ms", "boot")}
    assert Entry.from_dict(old) == Entry(7, Commanded("a", 1, Sensor.STOCKED))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        SOUND | {"kind": "guessed"},
        SOUND | {"n": "7"},
        SOUND | {"n": True},
        SOUND | {"drop": 7},
        SOUND | {"outcome": "PERHAPS"},
        SOUND | {"outcome": "DISPENSED"},
        SOUND | {"cause": None},
        SOUND | {"evidence": []},
        SOUND | {"evidence": {}},
        {key: value for key, value in SOUND.items() if key != "revision"},
        {"n": 1, "kind": "accepted", "drop": "a", "slot": 1.5, "ttl_ms": 1},
        {"n": 1, "kind": "commanded", "drop": "a", "slot": 1, "sensor_before": "HALF"},
        COMMANDED | {"at_ms": "900"},
        COMMANDED | {"boot": 7},
    ],
)
def test_what_is_no_record_is_refused(stored: object) -> None:
    with pytest.raises(InvalidRecordError):
        Entry.from_dict(stored)
