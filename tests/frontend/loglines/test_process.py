"""What a process writes to its standard streams, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs

LIMIT_S = 60

SERVICES = {
    "frontend": """
        from drink_frontend import logs
        from drink_frontend.config import LogSettings
        from drink_frontend.loglines.process import take_over
        logs.set_up(LogSettings(format="json"), 2)
        take_over()
    """,
    "agent": """
        from drink_agent.logs import LogSettings, set_up_logging
        from drink_agent.loglines.process import take_over
        set_up_logging(LogSettings(format="json"), "d", 2)
        take_over()
    """,
}


def run(service: str, program: str) -> "subprocess.CompletedProcess[bytes]":
    lines = [textwrap.dedent(SERVICES[service]), textwrap.dedent(program)]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )


def logged(service: str, program: str) -> list[dict[str, Any]]:
    done = run(service, program)
    assert done.stdout == b""
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_printed_is_logged(service: str) -> None:
    lines = logged(
        service,
        """
        import sys
        print("one"); print("two\\x1b[2J", file=sys.stderr); print("", "", sep="\\n")
        sys.stdout.write("authorization: Bearer "); sys.stdout.write("abc\\n")
        """,
    )
    assert [(line["event"], line["stream"], line["text"]) for line in lines] == [
        ("printed", "stdout", "one"),
        ("printed", "stderr", "two\\x1b[2J"),
        ("printed", "stdout", "authorization: [hidden]"),
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_printed_without_end_is_limited(service: str) -> None:
    lines = logged(service, "print('x' * 1_000_000)\nfor n in range(10_000): print(n)")
    assert 1 <= len(lines) <= 100


@pytest.mark.parametrize("service", SERVICES)
def test_warnings_and_errors_that_python_prints_are_logged(service: str) -> None:
    lines = logged(
        service,
        """
        import asyncio, threading, warnings
        warnings.warn("old")
        def fail(): raise ValueError("in a thread")
        thread = threading.Thread(target=fail, name="worker"); thread.start(); thread.join()
        class Finalized:
            def __del__(self): raise ValueError("in a finalizer")
        Finalized()
        async def forget():
            async def fail(): raise ValueError("in a task")
            task = asyncio.create_task(fail())
            await asyncio.sleep(0.01)
            del task
        asyncio.run(forget())
        raise ValueError("at the end")
        """,
    )
    told = [(line["event"], str(line.get("exception", ""))) for line in lines]
    assert "old" in told[0][0]
    for (event, exception), (expected, words) in zip(
        told[1:],
        [
            ("thread_failed", "in a thread"),
            ("error_ignored", "in a finalizer"),
            ("Task exception was never retrieved", "in a task"),
            ("process_failed", "at the end"),
        ],
        strict=True,
    ):
        assert event.startswith(expected)
        assert f"ValueError: {words}" in exception


@pytest.mark.parametrize("service", SERVICES)
def test_the_last_lines_are_written_before_the_end(service: str) -> None:
    program = "import logging\nfor n in range(39): logging.getLogger('process').error('e%d' % n)"
    assert [line["event"] for line in logged(service, program)] == [f"e{n}" for n in range(39)]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_of_the_interpreter_says_where_it_was(service: str, number: int) -> None:
    done = run(service, f"import os\nos.kill(os.getpid(), {int(number)})")
    assert done.returncode == -number
    assert b"Fatal Python error" in done.stderr
    assert b'File "<string>"' in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_fatal_error_of_the_interpreter_gets_out(service: str) -> None:
    done = run(service, "import faulthandler\nfaulthandler._fatal_error_c_thread()")
    assert done.returncode == -signal.SIGABRT
    assert b"Fatal Python error: faulthandler_fatal_error_thread" in done.stderr


@pytest.mark.parametrize("service", ["drink_frontend", "drink_agent"])
def test_fault_61_a_closed_stream_s_descriptor_is_given_to_no_file(
    service: str, tmp_path: Path
) -> None:
    program = f"""
import os, sys
from {service}.loglines.process import open_standard_streams
open_standard_streams()
file = os.open({str(tmp_path / "books")!r}, os.O_RDWR | os.O_CREAT)
print("to nobody"); print("to nobody", file=sys.stderr); sys.stdout.flush()
os.write(file, str(file).encode())
"""
    closed = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, program],
        timeout=LIMIT_S,
        check=False,
    )
    assert closed.returncode == 0
    assert int((tmp_path / "books").read_text()) > 2


@pytest.mark.parametrize("package", ["drink_frontend.rpc.server", "drink_agent.link.client"])
def test_grpc_s_c_library_writes_nothing(package: str) -> None:
    program = f"""
import os, socket, threading
from {package.partition(".")[0]}.loglines.process import quiet_grpc
quiet_grpc()
import {package}, grpc
from concurrent.futures import ThreadPoolExecutor
server = grpc.server(ThreadPoolExecutor(1))
port = server.add_insecure_port("127.0.0.1:0"); server.start()
field = lambda name, value: bytes([0, len(name)]) + name + bytes([len(value)]) + value
headers = b"".join(field(*pair) for pair in (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"), (b":authority", b"x"),
    (b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"grpc-timeout", b"junk")))
frame = lambda kind, flags, stream, body: (
    len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body)
with socket.create_connection(("127.0.0.1", port)) as peer:
    peer.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"")
                 + frame(1, 5, 1, headers))
    answer = b""
    while frame(1, 5, 1, b"")[3:9] not in answer and (data := peer.recv(4_096)):
        answer += data
server.stop(0).wait()
"""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = programs.run(sys.executable, "-c", program, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    environment["GRPC_VERBOSITY"] = "ERROR"
    done = programs.run(sys.executable, "-c", program, env=environment)
    assert "grpc-timeout" in done.stderr, "the library would have written"
