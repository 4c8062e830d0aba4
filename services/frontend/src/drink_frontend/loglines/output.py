"""A bounded queue of log lines, and one thread that writes them to a file descriptor.

Logging never waits and never raises an error of the output. Lines are lost if the disk is full, or
if the reader of a pipe has ended or does not read; they are counted, and the count is logged as
soon as a write succeeds again.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

GATHER_S = 0.02
"""Delay, in seconds, after the first line of a batch. It limits the thread to 50 writes per second,
whatever the number of lines."""

RETRY_S = 1.0
"""Interval, in seconds, of attempts to write the count of lost lines."""

BATCH_MAX = 512
"""Largest number of lines in one write."""

LINE_MAX = 65_536
"""Largest length of a line in characters. Texts are shortened to far less, so a longer line is a
fault of the program."""


class Output:
    """Writes log lines to a file descriptor in a thread.

    Args:
        descriptor: The file descriptor; it is never closed.
        queue_max: Largest number of queued lines. Further lines are lost.
        lost_line: Returns the line that reports a number of lost lines.
    """

    def __init__(self, descriptor: int, *, queue_max: int, lost_line: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._queue_max = queue_max
        self._lost_line = lost_line
        # SimpleQueue.put() is reentrant, so finalizers and signal handlers may log too.
        self._queue: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._lost = 0
        self._lock = threading.RLock()
        self._rest = b""
        self._thread = threading.Thread(target=self._run, name="log output", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Number of lost lines that is not reported yet."""
        return self._lost

    def put(self, line: str) -> None:
        """Queues a line without its line break, or loses it. Never waits and raises nothing."""
        if self._queue.qsize() >= self._queue_max or len(line) > LINE_MAX:
            self.lose()
        else:
            self._queue.put(line)

    def lose(self, lines: int = 1) -> None:
        """Counts lines that could not be formatted or written."""
        with self._lock:
            self._lost += lines

    def flush(self, limit_s: float) -> bool:
        """Waits until all lines queued so far are written or lost.

        Args:
            limit_s: Longest wait in seconds.

        Returns:
            Whether this happened within the limit.
        """
        if not self._thread.is_alive():
            return False
        done = threading.Event()
        self._queue.put(done)
        return done.wait(limit_s)

    def close(self, limit_s: float) -> None:
        """Flushes and ends the thread; later lines are lost.

        Args:
            limit_s: Longest wait in seconds.
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
                # The thread must not end. The error cannot be logged; only the count can.
                self.lose(len(lines))
            for mark in batch:
                if isinstance(mark, threading.Event):
                    mark.set()

    def _next_batch(self) -> Sequence[str | threading.Event | None]:
        """Returns the queued lines; none when it is time to retry a failed write."""
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
        """Writes lines, counts the lost ones, and returns whether everything was written.

        If only the beginning of a line was written, its rest is kept and written before anything
        else, so that a full disk leaves no torn line in the log.
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
        """Writes until an error occurs and returns the number of written bytes."""
        view, written = memoryview(data), 0
        while written < len(data):
            try:
                written += os.write(self._descriptor, view[written:])
            except BlockingIOError:
                # The parent process may have made the pipe non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:
                break
        return written


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"
