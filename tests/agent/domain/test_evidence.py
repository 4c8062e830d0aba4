"""Evidence as JSON, and its names in the protocol."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink.v1 import drop_service_pb2, machine_link_service_pb2, machine_service_pb2
from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Outcome, Sensor

EVIDENCE = st.builds(
    Evidence,
    lines=st.lists(
        st.builds(Line, st.sampled_from(Direction), st.integers(), st.text()), max_size=5
    ).map(tuple),
    sensor_before=st.sampled_from(Sensor),
    sensor_after=st.sampled_from(Sensor),
    contradiction=st.text(),
    sensor_before_ms=st.none() | st.integers(),
    sensor_after_ms=st.none() | st.integers(),
    sensor_independent=st.booleans(),
)


@given(EVIDENCE)
def test_json_keeps_it(evidence: Evidence) -> None:
    assert Evidence.from_dict(json.loads(json.dumps(asdict(evidence)))) == evidence


def test_evidence_of_the_first_release_can_be_read() -> None:
    old = asdict(Evidence(sensor_before=Sensor.STOCKED))
    for added in ("sensor_before_ms", "sensor_after_ms", "sensor_independent"):
        del old[added]
    assert Evidence.from_dict(old) == Evidence(sensor_before=Sensor.STOCKED)


@pytest.mark.parametrize(
    "broken", [{}, {"lines": [{}]}, {"sensor_before": "FULL"}, {"lines": [{"direction": "UP"}]}]
)
def test_broken_json_is_refused(broken: dict[str, object]) -> None:
    data = asdict(Evidence()) | broken if broken else {}
    with pytest.raises((KeyError, ValueError)):
        Evidence.from_dict(data)


def test_its_words_are_the_protocols() -> None:
    causes = drop_service_pb2.Drop.Cause.keys()
    assert {f"CAUSE_{cause}" for cause in Cause} <= set(causes)
    assert {f"STATE_{outcome}" for outcome in Outcome} <= set(drop_service_pb2.Drop.State.keys())
    assert {f"SENSOR_{sensor}" for sensor in Sensor} == set(machine_service_pb2.Slot.Sensor.keys())
    directions = machine_link_service_pb2.Evidence.Line.Direction.keys()
    assert {f"DIRECTION_{direction}" for direction in Direction} < set(directions)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_explains_one_outcome(cause: Cause) -> None:
    number = drop_service_pb2.Drop.Cause.Value(f"CAUSE_{cause}")
    band = {0: Outcome.DISPENSED, 1: Outcome.NOT_DISPENSED, 2: Outcome.UNKNOWN}
    assert cause.outcome is band[number // 10]
