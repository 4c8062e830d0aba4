"""The log's output: what it loses, what it counts, and that nobody waits for it."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink_frontend.loglines.output import LINE_MAX, Output

LIMIT_S = 30


class Pipe:
    """A pipe that can be filled and read."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            try:
                os.close(descriptor)
            except OSError:
                continue

    def fill(self) -> int:
        """Fills it, and returns how many bytes that took."""
        os.set_blocking(self.writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(self.writer, b"\n" * 4_096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)
        return filled

    def lines_until(self, last: str) -> list[str]:
        """Reads lines until one that contains `last`."""
        text = ""
        deadline = time.monotonic() + LIMIT_S
        while last not in text or not text.endswith("\n"):
            assert time.monotonic() < deadline, text[-500:]
            text += os.read(self.reader, 65_536).decode()
        return [line for line in text.splitlines() if line]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def made(descriptor: int, queue_max: int = 100) -> Output:
    return Output(descriptor, queue_max=queue_max, lost_line=lambda lines: f"lost {lines}")


def test_lines_are_written_in_order_and_flush_waits_for_them(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = made(file.fileno())
        for number in range(50):
            output.put(f"line {number}")
        assert output.flush(LIMIT_S)
        assert (tmp_path / "log").read_text().splitlines() == [f"line {n}" for n in range(50)]
        output.close(LIMIT_S)


def test_what_is_no_text_for_utf_8_is_escaped(pipe: Pipe) -> None:
    output = made(pipe.writer)
    output.put("\udcff")
    assert pipe.lines_until("udcff") == ["\\udcff"]
    output.close(LIMIT_S)


def test_fault_61_a_full_disk_loses_lines_and_counts_them(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, (tmp_path / "log").open("wb") as file:
        descriptor = os.dup(full.fileno())
        output = made(descriptor)
        for number in range(7):
            output.put(f"line {number}")
        output.flush(LIMIT_S)
        assert output.lost == 7
        os.dup2(file.fileno(), descriptor)
        output.put("room again")
        assert output.flush(LIMIT_S)
        assert (tmp_path / "log").read_text() == "room again\nlost 7\n"
        assert output.lost == 0
        output.close(LIMIT_S)
        os.close(descriptor)


def test_fault_61_the_count_is_written_without_another_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, (tmp_path / "log").open("wb") as file:
        descriptor = os.dup(full.fileno())
        output = made(descriptor)
        output.put("gone")
        output.flush(LIMIT_S)
        os.dup2(file.fileno(), descriptor)
        deadline = time.monotonic() + LIMIT_S
        while not (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (tmp_path / "log").read_text() == "lost 1\n"
        output.close(LIMIT_S)
        os.close(descriptor)


def test_fault_61_a_line_torn_by_a_full_disk_is_ended_before_the_next(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log").open("wb") as file:
        output = made(file.fileno())
        # No file of this process may be longer: the kernel writes what fits.
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, before[1]))
        try:
            for number in range(4):
                output.put(f"the line {number}")
            output.flush(LIMIT_S)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        output.put("room again")
        assert output.flush(LIMIT_S)
        lines = (tmp_path / "log").read_text().splitlines()
        assert lines == ["the line 0", "the line 1", "the line 2", "room again", "lost 1"]
        output.close(LIMIT_S)


def test_fault_61_a_pipe_whose_reader_has_gone_is_no_error(pipe: Pipe) -> None:
    output = made(pipe.writer)
    os.close(pipe.reader)
    output.put("nobody reads")
    output.flush(LIMIT_S)
    assert output.lost == 1
    output.close(LIMIT_S)


def test_fault_61_a_closed_descriptor_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    output = made(writer)
    output.put("nowhere")
    output.flush(LIMIT_S)
    assert output.lost == 1
    output.close(LIMIT_S)


def test_fault_61_nobody_waits_for_a_pipe_that_is_not_read(pipe: Pipe) -> None:
    pipe.fill()
    output = made(pipe.writer, queue_max=100)
    logged = threading.Event()

    def log() -> None:
        for number in range(1_000):
            output.put(f"line {number}")
        logged.set()

    threading.Thread(target=log, daemon=True).start()
    assert logged.wait(LIMIT_S)
    assert not output.flush(0.05), "nothing can have been written"
    lines = pipe.lines_until("lost")
    written = [line for line in lines if line.startswith("line ")]
    assert lines[-1] == f"lost {1_000 - len(written)}"
    assert len(written) < 1_000
    output.close(LIMIT_S)


def test_fault_61_a_pipe_that_does_not_block_is_waited_for_by_the_thread(pipe: Pipe) -> None:
    pipe.fill()
    flags = fcntl.fcntl(pipe.writer, fcntl.F_GETFL)
    fcntl.fcntl(pipe.writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    output = made(pipe.writer)
    output.put("waits")
    assert not output.flush(0.05)
    assert pipe.lines_until("waits") == ["waits"]
    output.close(LIMIT_S)


def test_a_line_without_end_is_lost(pipe: Pipe) -> None:
    output = made(pipe.writer)
    output.put("x" * (LINE_MAX + 1))
    output.put("short")
    assert pipe.lines_until("lost") == ["short", "lost 1"]
    output.close(LIMIT_S)


def test_a_count_that_cannot_be_made_does_not_end_the_thread(pipe: Pipe) -> None:
    def broken(lines: int) -> str:
        raise RuntimeError(lines)

    output = Output(pipe.writer, queue_max=10, lost_line=broken)
    output.lose()
    output.put("first")
    assert output.flush(LIMIT_S)
    output.put("second")
    assert pipe.lines_until("second") == ["first", "second"]
    output.close(LIMIT_S)
    assert not output.flush(0)
