import pytest

from benchmarks.buyers import Bought
from benchmarks.stages import AGENT_CLOCK_S, MARKS, Stage, as_markdown, moments, stages
from drink.v1.drop_service_pb2 import Drop, DropResponse

T0 = 1_800_000_000.0


def answer(name: str) -> bytes:
    return DropResponse(drop=Drop(name=f"drops/{name}")).SerializeToString()


def test_moments_are_put_together_from_both_logs() -> None:
    bought = Bought(asked_at=[T0, T0], latencies_s=[0.5, 0.1], answers=[answer("A"), answer("B")])
    stamps = {"drop_dispatched": "00.020000"}
    events = [
        *(
            {"event": event, "drop_id": "A", "timestamp": f"2027-01-15T08:00:{at}Z"}
            for event, at in (stamps | {"drop_reported": "00.060000"}).items()
        ),
        {"event": "drop_commanded", "drop_id": "A", "time": "2027-01-15T08:00:00.030+00:00"},
        {"event": "drop_result", "drop_id": "A", "time": "2027-01-15T08:00:00.040+00:00"},
        {"event": "drop_acknowledged", "drop_id": "A", "time": "2027-01-15T08:00:01.000+00:00"},
        {
            "event": "drop_dispatched",
            "drop_id": "someone else's",
            "timestamp": "2027-01-15T08:00:00Z",
        },
        {"event": "link_up"},
    ]
    (found,) = moments(bought, events)
    expected = [0, 0.02, 0.03 + AGENT_CLOCK_S, 0.04 + AGENT_CLOCK_S, 0.06, 0.5]
    assert [found[mark] - T0 for mark in MARKS] == pytest.approx(expected, abs=1e-6)


def drop(*lengths_s: float) -> dict[str, float]:
    at = [sum(lengths_s[:number]) for number in range(len(lengths_s) + 1)]
    return dict(zip(MARKS, at, strict=True))


def test_stages_are_means_without_the_slowest() -> None:
    usual = [drop(0.001, 0.002, 0.003, 0.004, 0.005)] * 19
    found = stages([*usual, drop(9, 9, 9, 9, 9)])
    assert [stage.ms for stage in found] == pytest.approx([1, 2, 3, 4, 5])


def test_shares_for_people() -> None:
    lines = as_markdown([Stage("first", 1), Stage("second", 3)]).splitlines()
    assert lines[2:] == ["| first | 1.00 | 25% |", "| second | 3.00 | 75% |", "| all | 4.00 | |"]
