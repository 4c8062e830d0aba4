"""The settings of traces."""

from typing import Any

import pytest
from pydantic import ValidationError

from drink_frontend.spans.settings import TracingSettings


def test_traces_are_off_by_default() -> None:
    assert TracingSettings().endpoint == ""


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:4318/v1/traces", "https://[::1]/v1/traces", ""]
)
def test_a_collector_is_a_url(endpoint: str) -> None:
    assert TracingSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "localhost:4318"},
        {"endpoint": "grpc://localhost:4317"},
        {"endpoint": "http://"},
        {"endpoint": "http://localhost:99999/v1/traces"},
        {"endpoint": "http://user:secret@localhost/v1/traces"},
        {"endpoint": "http://localhost/v1/\ntraces"},
        {"endpoint": "http://bücher/v1/traces"},
        {"sample_ratio": 1.1},
        {"sample_ratio": -0.1},
        {"interval_s": 0},
        {"batch_spans_max": 100, "queue_spans_max": 99},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        TracingSettings(**wrong)
    assert "secret" not in str(raised.value.errors(include_input=False))
