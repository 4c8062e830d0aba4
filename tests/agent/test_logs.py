import io
import json
import logging
from collections.abc import Iterator

import pytest

from drink_agent.logs import LogSettings, set_up_logging


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    for shown in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, shown, getattr(logging, shown))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_one_json_object_a_line(root: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging(LogSettings(), "d", stream)
    logging.getLogger("drink_agent.x").info("drop_result", extra={"drop_id": "a", "slot": 3})
    logging.getLogger("drink_agent.x").debug("not_this")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "drink_agent.x",
        "event": "drop_result",
        "machine": "d",
        "drop_id": "a",
        "slot": 3,
    }


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    set_up_logging(LogSettings(), "d", stream)
    logging.getLogger("x").error("failed", exc_info=ValueError("broken"))
    (text,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(text)["exception"]


def test_text_for_people() -> None:
    stream = io.StringIO()
    set_up_logging(LogSettings(format="text", level="ERROR"), "d", stream)
    logging.getLogger("x").warning("not_this")
    logging.getLogger("x").error("board_lost", extra={"after_s": 3})
    assert stream.getvalue().endswith(" ERROR   board_lost after_s=3\n")


def test_a_terminal_gets_text() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    set_up_logging(LogSettings(), "d", stream)
    logging.getLogger("x").error("board_lost")
    assert not stream.getvalue().startswith("{")
