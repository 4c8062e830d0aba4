import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink_agent.logs import LogSettings, set_up_logging
from tests.support.log_file import LIMIT_S, LogFile


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    log = LogFile(tmp_path / "log", lambda file, settings: set_up_logging(settings, "d", file))
    yield log
    log.close()


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    for shown in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, shown, getattr(logging, shown))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_one_json_object_a_line(log: LogFile) -> None:
    log.set_up(LogSettings())
    logging.getLogger("drink_agent.x").info("drop_result", extra={"drop_id": "a", "slot": 3})
    logging.getLogger("drink_agent.x").debug("not_this")
    line = json.loads(log.read())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "drink_agent.x",
        "event": "drop_result",
        "machine": "d",
        "drop_id": "a",
        "slot": 3,
    }


def test_an_exception_stays_on_its_line(log: LogFile) -> None:
    log.set_up(LogSettings())
    logging.getLogger("x").error("failed", exc_info=ValueError("broken"))
    (text,) = log.read().splitlines()
    assert "ValueError: broken" in json.loads(text)["exception"]


def test_text_for_people(log: LogFile) -> None:
    log.set_up(LogSettings(format="text", level="ERROR"))
    logging.getLogger("x").warning("not_this")
    logging.getLogger("x").error("board_lost", extra={"after_s": 3})
    assert log.read().endswith(" ERROR   board_lost after_s=3\n")


def test_a_terminal_gets_text() -> None:
    reader, writer = os.openpty()
    output = set_up_logging(LogSettings(), "d", writer)
    logging.getLogger("x").error("board_lost")
    assert output.flush(LIMIT_S)
    assert not os.read(reader, 1_000).startswith(b"{")
    output.close(LIMIT_S)
    os.close(reader)
    os.close(writer)


def test_fault_61_a_value_that_cannot_be_formatted_raises_no_error(log: LogFile) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log.set_up(LogSettings())
    logging.getLogger("drink_agent.x").info("odd", extra={"value": Broken()})
    logging.getLogger("drink_agent.x").info("next")
    first, lost = map(json.loads, log.read().splitlines())
    assert first["event"] == "next"
    assert (lost["event"], lost["level"], lost["lines"]) == ("log_lines_lost", "WARNING", 1)
    assert lost["machine"] == "d"


def test_a_repeated_event_is_suppressed_and_counted(log: LogFile) -> None:
    log.set_up(LogSettings(repeats_per_minute_max=3))
    for number in range(10):
        logging.getLogger("drink_agent.x").warning("board_lost")
        logging.getLogger("drink_agent.x").info("drop_result", extra={"drop_id": str(number)})
    events = [json.loads(line)["event"] for line in log.read().splitlines()]
    assert events.count("board_lost") == 3
    assert events.count("drop_result") == 10


def test_a_text_from_outside_cannot_move_a_terminal_s_cursor(log: LogFile) -> None:
    log.set_up(LogSettings(format="text"))
    logging.getLogger("drink_agent.x").info("board_note", extra={"note": "\x1b[2J\n"})
    assert log.read().endswith(" board_note note=\\x1b[2J\\n\n")


def test_limits_out_of_range_are_refused() -> None:
    for wrong in ({"queue_lines_max": 0}, {"repeats_per_minute_max": 0}, {"flush_limit_s": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LogSettings(**wrong)
