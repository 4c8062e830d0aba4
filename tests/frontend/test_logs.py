"""Logging: one event a line."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from drink_frontend import logs
from drink_frontend.config import LogSettings
from drink_frontend.loglines.output import Output

pytestmark = pytest.mark.usefixtures("restored_logging")

LIMIT_S = 30


class Log:
    """A file that is logged to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._output: Output | None = None

    def set_up(self, **settings: object) -> None:
        self._output = logs.set_up(LogSettings.model_validate(settings), self._descriptor)

    def read(self) -> str:
        assert self._output is not None
        assert self._output.flush(LIMIT_S)
        return self._path.read_text(encoding="utf-8")

    def close(self) -> None:
        if self._output is not None:
            self._output.close(LIMIT_S)
        os.close(self._descriptor)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


def test_an_event_is_one_json_object_a_line(log: Log) -> None:
    log.set_up(format="json")
    structlog.get_logger("test").info("drop_reserved", drop_id="D1", words="two\nlines")

    [line] = log.read().splitlines()
    event = json.loads(line)
    assert event["event"] == "drop_reserved"
    assert event["drop_id"] == "D1"
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_a_library_s_warning_goes_the_same_way(log: Log) -> None:
    log.set_up(format="json")
    logging.getLogger("some.library").warning("odd %s", "thing")
    logging.getLogger("some.library").info("chatter")

    [line] = log.read().splitlines()
    assert json.loads(line)["event"] == "odd thing"


def test_what_is_below_the_level_is_not_logged(log: Log) -> None:
    log.set_up(format="json", level="error")
    structlog.get_logger("test").warning("quiet")
    structlog.get_logger("test").error("loud")
    assert [json.loads(line)["event"] for line in log.read().splitlines()] == ["loud"]


def test_people_get_text(log: Log) -> None:
    log.set_up(format="console")
    structlog.get_logger("test").info("drop_reserved", drop_id="D1")
    assert "drop_reserved" in log.read()
    with pytest.raises(json.JSONDecodeError):
        json.loads(log.read())


def test_a_repeated_event_is_suppressed_and_counted(log: Log) -> None:
    log.set_up(format="json", repeats_per_minute_max=3)
    for number in range(10):
        structlog.get_logger("test").warning("odd")
        structlog.get_logger("test").info("drop_reserved", drop_id=str(number))
    events = [json.loads(line)["event"] for line in log.read().splitlines()]
    assert events.count("odd") == 3
    assert events.count("drop_reserved") == 10


def test_fault_61_a_value_that_cannot_be_formatted_raises_no_error(log: Log) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    log.set_up(format="json")
    structlog.get_logger("test").info("odd", value=Broken())
    structlog.get_logger("test").info("next")
    first, lost = map(json.loads, log.read().splitlines())
    assert first["event"] == "next"
    assert (lost["event"], lost["level"], lost["lines"]) == ("log_lines_lost", "warning", 1)


def test_a_secret_in_an_exception_is_hidden(log: Log) -> None:
    log.set_up(format="json")
    error = ValueError("Bearer abc")
    structlog.get_logger("test").error("rpc_failed", token="abc", exc_info=error)
    logging.getLogger("some.library").error("authorization: abc", exc_info=error)
    own, library = log.read().splitlines()
    assert "Bearer [hidden]" in json.loads(own)["exception"]
    assert json.loads(own)["token"] == "[hidden]"
    assert json.loads(library)["event"] == "authorization: [hidden]"
    assert "Bearer [hidden]" in json.loads(library)["exception"]
