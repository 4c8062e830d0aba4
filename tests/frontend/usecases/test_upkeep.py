"""Backups are recorded."""

from drink_frontend.domain.upkeep import Task
from drink_frontend.usecases.upkeep import Upkeep
from tests.support.bench import Bench


async def test_a_backup_is_recorded_with_its_time(bench: Bench) -> None:
    upkeep = Upkeep(bench.storage, bench.clock)
    await upkeep.backed_up()
    bench.clock.pass_s(60)
    await upkeep.backed_up()
    done = await bench.storage.read(lambda tx: tx.upkeep.all())
    assert {task: each.done_ms for task, each in done.items()} == {
        Task.BACKUP: bench.clock.now_ms()
    }
