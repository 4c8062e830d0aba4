import json
import logging

import pytest

from drink_web.logs import set_up
from drink_web.settings import LogSettings


@pytest.fixture(autouse=True)
def restored() -> object:
    root, raised = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raised
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.getLogger("uvicorn").setLevel(logging.NOTSET)


def test_lines_are_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(format="json"))
    logging.getLogger("drink_web.x").info("serving", extra={"facts": {"port": 8080}})
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["port"], line["level"]) == ("serving", 8080, "info")


def test_lines_are_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(format="console"))
    try:
        int("planted")
    except ValueError:
        logging.getLogger("drink_web.x").exception(
            "request_failed", extra={"facts": {"route": "r"}}
        )
    out = capsys.readouterr().out
    assert "request_failed route=r" in out
    assert "ValueError: invalid literal" in out


def test_one_event_cannot_fill_the_disk(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    set_up(LogSettings(format="json", repeats_per_minute_max=2), lambda: now[0])
    log = logging.getLogger("drink_web.x")
    for _ in range(5):
        log.error("call_failed")
    log.info("serving")
    now[0] = 60.0
    log.error("call_failed")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["call_failed"] * 2 + ["serving", "call_failed"]
    assert lines[-1]["unlogged"] == 3
