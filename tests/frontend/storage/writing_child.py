"""A process that writes without end and says what was acknowledged; for tests that kill it.

Usage: python writing_child.py DATABASE START
Each unit gives alice a credit and notes it in the audit log; its number goes to standard output
once it is durable.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, fund
from tests.support.ids import ALICE

WRITERS = 8
"""Units under way at a time, so that they share commits."""


async def write(path: Path, start: int) -> None:
    """Writes until killed."""
    numbers = itertools.count(start)
    # Small, so that the journal is copied into the database again and again.
    settings = StorageSettings(path=path, checkpoint_pages=100)

    async def one_after_another(storage: Database) -> None:
        while True:
            number = next(numbers)

            def give(tx: Transaction, number: int = number) -> None:
                fund(tx, ALICE, 1, f"{number}")
                tx.audit.add(AuditRecord(AuditKind.NOTE, NOW, "root", facts={"number": number}))

            await storage.write(give)
            os.write(sys.stdout.fileno(), f"{number}\n".encode())

    async with Database.open(settings) as storage, asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(one_after_another(storage))


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
