"""Records what operators do to a database, for alarms about what was not done."""

from drink_frontend.domain.ports import Clock
from drink_frontend.domain.upkeep import Done, Task
from drink_frontend.storage.database import Database


class Upkeep:
    """Records backups.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def backed_up(self) -> None:
        """Records that a backup was made now.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        done = Done(Task.BACKUP, self._clock.now_ms())
        await self._storage.write(lambda tx: tx.upkeep.keep(done))
