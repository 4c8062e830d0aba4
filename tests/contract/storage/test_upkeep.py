"""The contract of `UpkeepTable`."""

from drink_frontend.domain.upkeep import Done, Task
from drink_frontend.storage.database import Database


async def test_the_last_time_of_each_task_is_kept(storage: Database) -> None:
    assert await storage.read(lambda tx: tx.upkeep.all()) == {}
    books = Done(Task.BOOKS, 10, 2, {"problems": ["1: 'x'", "2: y"]})
    await storage.write(lambda tx: tx.upkeep.keep(books))
    await storage.write(lambda tx: tx.upkeep.keep(Done(Task.BACKUP, 20)))
    assert await storage.read(lambda tx: tx.upkeep.all()) == {
        Task.BOOKS: books,
        Task.BACKUP: Done(Task.BACKUP, 20),
    }
    sound = Done(Task.BOOKS, 30)
    await storage.write(lambda tx: tx.upkeep.keep(sound))
    assert (await storage.read(lambda tx: tx.upkeep.all()))[Task.BOOKS] == sound
