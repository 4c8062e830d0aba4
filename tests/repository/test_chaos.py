"""The proxy of the profile `chaos`, by its control port."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from scripts.chaos import control
from scripts.proxy import FaultProxy

LIMIT_S = 20


class Line:
    """One end of a connection that speaks in lines."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self._lines = self.socket.makefile("rwb")

    def ask(self, text: str) -> str:
        self._lines.write(f"{text}\n".encode())
        self._lines.flush()
        return self._lines.readline().decode().rstrip()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.close()
        self.socket.close()


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says back what it hears."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def talk(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(1024):
                    connection.sendall(data)

        def serve() -> None:
            while not stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    connection.settimeout(LIMIT_S)
                    talks.append(threading.Thread(target=talk, args=(connection,)))
                    talks[-1].start()

        talks: list[threading.Thread] = []
        serving = threading.Thread(target=serve)
        serving.start()
        yield server.getsockname()[1]
        stopped.set()
        for thread in (serving, *talks):
            thread.join(LIMIT_S)


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as proxy:
        yield proxy


@pytest.fixture
def commands(proxy: FaultProxy) -> Iterator[Line]:
    with control([proxy], "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        line = Line(server.socket.getsockname()[1])
        yield line
        line.close()
        server.shutdown()
        thread.join(LIMIT_S)


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[Line]:
    line = Line(proxy.port)
    assert line.ask("hello") == "hello"
    yield line
    line.close()


def test_a_stall_holds_up_until_it_flows(commands: Line, through: Line) -> None:
    assert commands.ask("stall down") == "ok"
    through.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        through.ask("held up")
    assert commands.ask("flow") == "ok"
    through.socket.settimeout(LIMIT_S)
    assert through.socket.recv(100) == b"held up\n"


def test_a_cut_resets(commands: Line, through: Line) -> None:
    assert commands.ask("connections") == "1"
    assert commands.ask("cut") == "ok"
    with pytest.raises(ConnectionResetError):
        through.ask("anybody there?")


def test_connections_are_refused_and_accepted(
    commands: Line, through: Line, proxy: FaultProxy
) -> None:
    assert commands.ask("refuse") == "ok"
    with pytest.raises(ConnectionRefusedError):
        Line(proxy.port)
    assert commands.ask("accept") == "ok"
    again = Line(proxy.port)
    assert again.ask("back") == "back"
    again.close()


def test_a_delay(commands: Line, through: Line) -> None:
    assert commands.ask("delay 0.01") == "ok"
    assert through.ask("late") == "late"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", "unknown command"),
        ("dance", "unknown command"),
        ("cut sideways", "'sideways' is not a valid Way"),
        ("delay", "missing 1 required"),
        ("delay nan", "0 to 60 seconds"),
        ("delay -1", "0 to 60 seconds"),
        ("flow now", "takes 1 positional"),
    ],
)
def test_what_is_no_command_is_refused(commands: Line, line: str, answer: str) -> None:
    assert answer in commands.ask(line)
