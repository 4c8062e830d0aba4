"""Where log lines go: a bounded queue, and one thread that writes it to a file descriptor.

Whoever logs never waits and never sees an error of the output. A full disk, a pipe whose reader has
gone and a pipe whose reader does not read cost lines; they are counted, and the count is logged as
soon as something can be written again.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

GATHER_S = 0.02
"""Seconds that the thread waits for more lines after the first: it is woken 50 times a second at
most, however many lines there are."""

RETRY_S = 1.0
"""Seconds between two attempts to write the count of lost lines."""

BATCH_MAX = 512
"""Lines that are written at once."""

LINE_MAX = 65_536
"""Characters of the longest line; texts are cut long before, so a longer one is a fault."""


class Output:
    """A log's output.

    Args:
        descriptor: The file descriptor that is written to; it stays open.
        queue_max: Lines that may wait to be written. More are lost.
        lost_line: Makes the line that tells how many lines were lost.
    """

    def __init__(self, descriptor: int, *, queue_max: int, lost_line: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._queue_max = queue_max
        self._lost_line = lost_line
        # Its put() is one step of C: also a finalizer or a signal handler may log at any moment.
        self._queue: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._lost = 0
        self._lock = threading.RLock()
        self._rest = b""
        self._thread = threading.Thread(target=self._run, name="log output", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were lost and whose count is not written yet."""
        return self._lost

    def put(self, line: str) -> None:
        """Queues a line without its line end, or loses it. Never waits and raises nothing."""
        if self._queue.qsize() >= self._queue_max or len(line) > LINE_MAX:
            self.lose()
        else:
            self._queue.put(line)

    def lose(self, lines: int = 1) -> None:
        """Counts lines that could not be made or written."""
        with self._lock:
            self._lost += lines

    def flush(self, limit_s: float) -> bool:
        """Waits until what was logged so far is written or lost.

        Args:
            limit_s: Seconds to wait at most.

        Returns:
            Whether it was in time.
        """
        if not self._thread.is_alive():
            return False
        done = threading.Event()
        self._queue.put(done)
        return done.wait(limit_s)

    def close(self, limit_s: float) -> None:
        """Flushes and ends the thread; what is logged afterwards is lost.

        Args:
            limit_s: Seconds to wait at most.
        """
        self._queue_max = 0
        self._queue.put(None)
        self._thread.join(limit_s)

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = self._next_batch()
            closing = None in batch
            lines = [line for line in batch if isinstance(line, str)]
            try:
                self._write([_encoded(line) for line in lines])
                self._report_lost()
            except Exception:
                # Nothing may end this thread. There is nowhere to tell of it but in the count.
                self.lose(len(lines))
            for mark in batch:
                if isinstance(mark, threading.Event):
                    mark.set()

    def _next_batch(self) -> Sequence[str | threading.Event | None]:
        """What waits; nothing if it is time to try again what failed."""
        unfinished = self._lost or self._rest
        try:
            batch = [self._queue.get(timeout=RETRY_S if unfinished else None)]
        except Empty:
            return ()
        if isinstance(batch[0], str):
            time.sleep(GATHER_S)
        with contextlib.suppress(Empty):
            while len(batch) < BATCH_MAX and batch[-1] is not None:
                batch.append(self._queue.get_nowait())
        return batch

    def _report_lost(self) -> None:
        lost = self._lost
        if lost and not self._rest and self._write([_encoded(self._lost_line(lost))], count=False):
            with self._lock:
                self._lost -= lost

    def _write(self, lines: Sequence[bytes], *, count: bool = True) -> bool:
        """Writes the lines; counts those that are lost. Says whether all of it was written.

        A line of which only the beginning could be written is kept, and ended before anything else
        is written: a full disk leaves no torn line behind.
        """
        data = self._rest + b"".join(lines)
        written = self._write_bytes(data)
        left = data[written:]
        torn = data[written - 1] != ord("\n") if written else bool(self._rest)
        end = left.find(b"\n") + 1 if torn else 0
        self._rest = left[:end]
        if count:
            self.lose(left.count(b"\n", end))
        return not left

    def _write_bytes(self, data: bytes) -> int:
        """Writes as much as can be written and returns how many bytes that was."""
        view, written = memoryview(data), 0
        while written < len(data):
            try:
                written += os.write(self._descriptor, view[written:])
            except BlockingIOError:
                # Whoever started the process may have made the pipe non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:
                break
        return written


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"
