"""What people have to say, kept in the audit log."""

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.domain.limits import check_text
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database


class Notes:
    """Notes of people.

    Args:
        storage: What is kept.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def add(self, actor: str, words: str) -> None:
        """Keeps what a person has to say; no words mean that the person was here.

        Raises:
            FieldInvalidError: it is longer than a line.
        """
        record = AuditRecord(
            AuditKind.NOTE,
            self._clock.now_ms(),
            actor,
            facts={"words": check_text(words, "words")},
        )
        await self._storage.write(lambda tx: tx.audit.add(record))
