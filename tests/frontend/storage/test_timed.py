from collections.abc import Sequence

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.timed import TimedExecutor
from drink_frontend.storage.workers import Job, JobResult


class Inner:
    """Answers each job with its number."""

    def __init__(self) -> None:
        self.is_closed = False

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        return [JobResult(number) for number, _ in enumerate(jobs)], ChangeSet(machines={"d"})

    def idle(self) -> ChangeSet:
        return ChangeSet(elsewhere=True)

    def close(self) -> None:
        self.is_closed = True


def test_a_batch_is_passed_on_and_counted() -> None:
    counted: list[tuple[int, float]] = []
    inner = Inner()
    executor = TimedExecutor(inner, lambda size, seconds: counted.append((size, seconds)))
    job = Job(lambda _: None, None)  # type: ignore[arg-type]
    results, changes = executor.carry_out([job, job])
    assert ([result.value for result in results], changes.machines) == ([0, 1], {"d"})
    assert [size for size, _ in counted] == [2]
    assert counted[0][1] >= 0
    assert executor.idle().elsewhere
    executor.close()
    assert inner.is_closed
