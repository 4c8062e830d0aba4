import socket
import threading
from pathlib import Path

import pytest

from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result
from drink_agent.journal.format import Contents, Header
from drink_agent.tools import reports
from drink_agent.tools.reports import (
    NoAnswerError,
    is_ready,
    journal_lines,
    read_status,
    status_lines,
)


def test_a_missing_agent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError, match="does not run"):
        read_status(tmp_path / "journal.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ended:
        ended.bind(str(tmp_path / "journal.sock"))
    with pytest.raises(NoAnswerError, match="does not run"):
        read_status(tmp_path / "journal.sock")
    with pytest.raises(NoAnswerError, match="Not a directory"):
        read_status(tmp_path / "journal.sock" / "x")


def test_a_hanging_agent_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "ANSWER_LIMIT_S", 0.05)
    path = tmp_path / "journal.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(NoAnswerError, match=r"not answered within 0\.05 s"):
            read_status(path)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\xff"])
def test_an_answer_of_another_program_is_an_error(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "journal.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NoAnswerError):
            read_status(path)
        thread.join(5)


def test_the_status_is_printed_as_lines() -> None:
    told = {"machine": "d", "board": {"ready": True, "slots": {"1": "EMPTY"}}, "at": None}
    expected = ["machine: d", "board.ready: True", "board.slots.1: EMPTY", "at: -"]
    assert list(status_lines(told)) == expected


def test_ready_needs_link_and_board() -> None:
    told = {"stopping": False, "link": {"up": True}, "board": {"ready": True, "slots": {}}}
    assert is_ready(told)
    assert not is_ready(told | {"stopping": True})
    assert not is_ready(told | {"link": {"up": False}})
    assert not is_ready(told | {"board": {"ready": False}})
    assert not is_ready({})


EVIDENCE = Evidence(
    (Line(Direction.SENT, 0, "31"), Line(Direction.RECEIVED, 3501, "4")),
    Sensor.STOCKED,
    Sensor.EMPTY,
    "something else",
)
ENTRIES = (
    Entry(1, Accepted("a", 1, 10_000, 5, "boot")),
    Entry(2, Commanded("a", 1, Sensor.STOCKED)),
    Entry(3, Accepted("b", 2, 10_000, 6, "boot")),
    Entry(4, Result("a", 1, Cause.BOARD_ACK, EVIDENCE)),
    Entry(5, Acked("a", 1)),
)


def test_a_drop_is_printed_with_its_evidence() -> None:
    lines = list(journal_lines(Contents(Header("id"), ENTRIES, 900, 0), 10))
    assert lines[0] == "journal id, 5 entries written"
    assert [line for line in lines if line.startswith("drop")] == ["drop b", "drop a"]
    told = "\n".join(lines)
    for part in (
        "accepted for slot 1",
        "commanded in slot 1, sensor STOCKED",
        "DISPENSED, BOARD_ACK, revision 1",
        "+0 ms > 31",
        "+3501 ms < 4",
        "sensor STOCKED, then EMPTY",
        "contradicted: something else",
        "revision 1 acknowledged",
    ):
        assert part in told


def test_only_the_last_drops_are_printed() -> None:
    contents = Contents(Header("id", through=9, kept=5), ENTRIES, 900, 17)
    lines = list(journal_lines(contents, 1))
    assert [line for line in lines if line.startswith("drop")] == ["drop a"]
    assert any("compacted up to entry 9" in line for line in lines)
    assert any("17 bytes" in line for line in lines)
    assert not any(line.startswith("drop") for line in journal_lines(contents, 0))
