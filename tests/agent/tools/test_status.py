import socket
import threading
from pathlib import Path

import pytest

from drink_agent.tools import status
from drink_agent.tools.status import NoAnswerError, ask, is_ready, lines_of


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError, match="does not run"):
        ask(tmp_path / "journal.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ended:
        ended.bind(str(tmp_path / "journal.sock"))
    with pytest.raises(NoAnswerError, match="does not run"):
        ask(tmp_path / "journal.sock")
    with pytest.raises(NoAnswerError, match="Not a directory"):
        ask(tmp_path / "journal.sock" / "x")


def test_an_agent_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ANSWER_LIMIT_S", 0.05)
    path = tmp_path / "journal.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(NoAnswerError, match=r"not answered within 0\.05 s"):
            ask(path)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\xff"])
def test_what_answers_is_no_agent(tmp_path: Path, answer: bytes) -> None:
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
            ask(path)
        thread.join(5)


def test_lines_for_a_person() -> None:
    told = {"machine": "d", "board": {"ready": True, "slots": {"1": "EMPTY"}}, "at": None}
    assert list(lines_of(told)) == [
        "machine: d",
        "board.ready: True",
        "board.slots.1: EMPTY",
        "at: -",
    ]


def test_ready_needs_link_and_board() -> None:
    told = {"stopping": False, "link": {"up": True}, "board": {"ready": True, "slots": {}}}
    assert is_ready(told)
    assert not is_ready(told | {"stopping": True})
    assert not is_ready(told | {"link": {"up": False}})
    assert not is_ready(told | {"board": {"ready": False}})
    assert not is_ready({})
