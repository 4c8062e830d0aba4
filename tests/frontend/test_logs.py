"""Logging: one event a line."""

import io
import json
import logging

import pytest
import structlog

from drink_frontend import logs
from drink_frontend.config import LogSettings

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_an_event_is_one_json_object_a_line() -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format="json"), stream)
    structlog.get_logger("test").info("drop_reserved", drop_id="D1", words="two\nlines")

    [line] = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["event"] == "drop_reserved"
    assert event["drop_id"] == "D1"
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_a_library_s_warning_goes_the_same_way() -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format="json"), stream)
    logging.getLogger("some.library").warning("odd %s", "thing")
    logging.getLogger("some.library").info("chatter")

    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "odd thing"


def test_what_is_below_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format="json", level="error"), stream)
    structlog.get_logger("test").warning("quiet")
    structlog.get_logger("test").error("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_people_get_text() -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format="console"), stream)
    structlog.get_logger("test").info("drop_reserved", drop_id="D1")
    assert "drop_reserved" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())
