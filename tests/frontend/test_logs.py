"""Logging: one event a line."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from drink_frontend import logs
from drink_frontend.config import LogSettings
from tests.support.log_file import LogFile

pytestmark = pytest.mark.usefixtures("restored_logging")


def begin(file: int, **settings: object) -> object:
    return logs.set_up(LogSettings.model_validate(settings), file)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    log = LogFile(tmp_path / "log", begin)
    yield log
    log.close()


def test_an_event_is_one_json_object_a_line(log: LogFile) -> None:
    log.set_up(format="json")
    structlog.get_logger("test").info("drop_reserved", drop_id="D1", words="two\nlines")

    [line] = log.read().splitlines()
    event = json.loads(line)
    assert event["event"] == "drop_reserved"
    assert event["drop_id"] == "D1"
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_a_library_s_warning_goes_the_same_way(log: LogFile) -> None:
    log.set_up(format="json")
    logging.getLogger("some.library").warning("odd %s", "thing")
    logging.getLogger("some.library").info("chatter")

    [line] = log.read().splitlines()
    assert json.loads(line)["event"] == "odd thing"


def test_what_is_below_the_level_is_not_logged(log: LogFile) -> None:
    log.set_up(format="json", level="error")
    structlog.get_logger("test").warning("quiet")
    structlog.get_logger("test").error("loud")
    assert [json.loads(line)["event"] for line in log.read().splitlines()] == ["loud"]


def test_people_get_text(log: LogFile) -> None:
    log.set_up(format="console")
    structlog.get_logger("test").info("drop_reserved", drop_id="D1")
    assert "drop_reserved" in log.read()
    with pytest.raises(json.JSONDecodeError):
        json.loads(log.read())


def test_a_repeated_event_is_suppressed_and_counted(log: LogFile) -> None:
    log.set_up(format="json", repeats_per_minute_max=3)
    for number in range(10):
        structlog.get_logger("test").warning("odd")
        structlog.get_logger("test").info("drop_reserved", drop_id=str(number))
    events = [json.loads(line)["event"] for line in log.read().splitlines()]
    assert events.count("odd") == 3
    assert events.count("drop_reserved") == 10


def test_fault_61_a_value_that_cannot_be_formatted_raises_no_error(log: LogFile) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    log.set_up(format="json")
    structlog.get_logger("test").info("odd", value=Broken())
    structlog.get_logger("test").info("next")
    first, lost = map(json.loads, log.read().splitlines())
    assert first["event"] == "next"
    assert (lost["event"], lost["level"], lost["lines"]) == ("log_lines_lost", "warning", 1)


def test_a_secret_in_an_exception_is_hidden(log: LogFile) -> None:
    log.set_up(format="json")
    error = ValueError("Bearer abc")
    structlog.get_logger("test").error("rpc_failed", token="abc", exc_info=error)
    logging.getLogger("some.library").error("authorization: abc", exc_info=error)
    own, library = log.read().splitlines()
    assert "Bearer [hidden]" in json.loads(own)["exception"]
    assert json.loads(own)["token"] == "[hidden]"
    assert json.loads(library)["event"] == "authorization: [hidden]"
    assert "Bearer [hidden]" in json.loads(library)["exception"]
