"""Times the turns of an executor."""

import time
from collections.abc import Callable, Sequence

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.workers import BatchExecutor, Job, JobResult


class TimedExecutor:
    """An executor whose batches are counted with their size and time.

    Args:
        inner: Carries them out.
        count: Called, on the executor's thread, with the jobs of a batch and its seconds.
    """

    def __init__(self, inner: BatchExecutor, count: Callable[[int, float], None]) -> None:
        self._inner = inner
        self._count = count
        self.idle = inner.idle
        self.close = inner.close

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """See `BatchExecutor`."""
        began = time.perf_counter()
        done = self._inner.carry_out(jobs)
        self._count(len(jobs), time.perf_counter() - began)
        return done
