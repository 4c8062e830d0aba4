import pytest

from drink_agent.domain.events import BoardLateEvidence, BoardOutcome
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.domain.records import Result


@pytest.mark.parametrize("cause", Cause)
def test_the_outcome_follows_from_the_cause_alone(cause: Cause) -> None:
    for kind in (BoardOutcome, BoardLateEvidence):
        assert kind("a", cause, Evidence()).outcome is cause.outcome
    assert Result("a", 1, cause, Evidence()).outcome is cause.outcome
