"""Cards that were read for kiosks: for seconds to log in, with a code for minutes to be added."""

from sqlalchemy import bindparam, delete, or_, select, update

from drink_frontend.domain.cards import CardRead
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.kiosk_tables import card_reads
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement

_READ = RowMapping(CardRead, card_reads)
_WITHOUT_CODE = card_reads.c.code_digest.is_(None)
_NUMBERED = card_reads.c.sequence == bindparam("sequence")

_ADD = Statement(_READ.insert().returning(*_READ.columns))
_NEWEST = Statement(_READ.select().where(card_reads.c.kiosk == bindparam("kiosk"), _WITHOUT_CODE))
_BY_CODE = Statement(
    _READ.select().where(
        card_reads.c.code_digest == bindparam("code_digest"),
        card_reads.c.expires_ms > bindparam("now_ms"),
    )
)
_HAS_CODE = Statement(
    select(card_reads.c.sequence).where(card_reads.c.code_digest == bindparam("code_digest"))
)
_OFFER = Statement(
    update(card_reads)
    .where(_NUMBERED)
    .values(code_digest=bindparam("code_digest"), expires_ms=bindparam("until_ms"))
)
_REMOVE = Statement(delete(card_reads).where(_NUMBERED))
_REMOVE_OLD = Statement(
    delete(card_reads).where(
        or_(
            card_reads.c.expires_ms <= bindparam("now_ms"),
            (card_reads.c.kiosk == bindparam("kiosk")) & _WITHOUT_CODE,
        )
    )
)


class CardReadTable:
    """Cards that were read for kiosks, in one unit of work.

    Args:
        executor: Runs its statements.
        touched: Collects the machines at which cards were read, so that their kiosks look.
    """

    __slots__ = ("_executor", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet) -> None:
        self._executor = executor
        self._touched = touched

    def add(self, read: CardRead, machine: str, now_ms: int) -> CardRead:
        """Stores a read without a code, in place of the kiosk's one before; returns it numbered.

        What has expired is removed with it, so that few rows are kept.

        Args:
            read: The read.
            machine: The kiosk's machine.
            now_ms: The time.
        """
        self._executor.run(_REMOVE_OLD, kiosk=read.kiosk, now_ms=now_ms)
        self._touched.machines.add(machine)
        added = _READ.read_one(self._executor.one(_ADD, **_READ.parameters(read)))
        assert added is not None, "the insert returns its row"
        return added

    def newest(self, kiosk: int) -> CardRead | None:
        """The kiosk's read without a code, whether it has expired or not."""
        return _READ.read_one(self._executor.one(_NEWEST, kiosk=kiosk))

    def is_free(self, code_digest: str) -> bool:
        """Whether no read has the code with that digest, not even one that has expired."""
        return self._executor.one(_HAS_CODE, code_digest=code_digest) is None

    def offer(self, sequence: int, code_digest: str, until_ms: int) -> None:
        """Gives a read a code, for which it is kept."""
        self._executor.run(_OFFER, sequence=sequence, code_digest=code_digest, until_ms=until_ms)

    def by_code(self, code_digest: str, now_ms: int) -> CardRead | None:
        """The read whose code has that digest and has not expired."""
        return _READ.read_one(self._executor.one(_BY_CODE, code_digest=code_digest, now_ms=now_ms))

    def remove(self, sequence: int) -> bool:
        """Removes a read; whether it was still there."""
        return self._executor.run(_REMOVE, sequence=sequence) > 0
