"""Kiosks, and their credentials."""

from collections.abc import Sequence

from sqlalchemy import bindparam, null, or_, update

from drink_frontend.domain.events import EventKind, EventNotes
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.storage.kiosk_tables import kiosks
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement

_KIOSK = RowMapping(Kiosk, kiosks)
_NUMBERED = kiosks.c.sequence == bindparam("sequence")

_ADD = Statement(_KIOSK.insert(code_digest=bindparam("code_digest")).returning(*_KIOSK.columns))
_GET = Statement(_KIOSK.select().where(_NUMBERED))
_BY_CODE = Statement(
    _KIOSK.select().where(
        kiosks.c.code_digest == bindparam("code_digest"),
        kiosks.c.code_expires_ms > bindparam("now_ms"),
    )
)
_BY_TOKEN = Statement(_KIOSK.select().where(kiosks.c.token_digest == bindparam("token_digest")))
_LIST = Statement(
    _KIOSK.select()
    .where(
        kiosks.c.ended_ms.is_(None),
        or_(kiosks.c.paired_ms.is_not(None), kiosks.c.code_expires_ms > bindparam("now_ms")),
    )
    .order_by(kiosks.c.sequence)
)
_PAIR = Statement(
    update(kiosks)
    .where(_NUMBERED)
    .values(
        code_digest=null(),
        token_digest=bindparam("token_digest"),
        paired_ms=bindparam("now_ms"),
    )
    .returning(*_KIOSK.columns)
)
_END = Statement(
    update(kiosks)
    .where(_NUMBERED)
    .values(code_digest=null(), token_digest=null(), ended_ms=bindparam("now_ms"))
    .returning(*_KIOSK.columns)
)


class KioskTable:
    """Kiosks, in one unit of work.

    Args:
        executor: Runs its statements.
        notes: Where changes are noted.
    """

    __slots__ = ("_executor", "_notes")

    def __init__(self, executor: Executor, notes: EventNotes) -> None:
        self._executor = executor
        self._notes = notes

    def get(self, sequence: int) -> Kiosk | None:
        """One kiosk."""
        return _KIOSK.read_one(self._executor.one(_GET, sequence=sequence))

    def by_code(self, code_digest: str, now_ms: int) -> Kiosk | None:
        """The kiosk whose pairing code has that digest and has not expired."""
        return _KIOSK.read_one(self._executor.one(_BY_CODE, code_digest=code_digest, now_ms=now_ms))

    def by_token(self, token_digest: str) -> Kiosk | None:
        """The kiosk whose token has that digest."""
        return _KIOSK.read_one(self._executor.one(_BY_TOKEN, token_digest=token_digest))

    def list(self, now_ms: int) -> Sequence[Kiosk]:
        """Kiosks that are paired, or whose codes have not expired; the oldest first."""
        return [_KIOSK.read(row) for row in self._executor.all(_LIST, now_ms=now_ms)]

    def add(self, kiosk: Kiosk, code_digest: str) -> Kiosk:
        """Stores a new kiosk; returns it with its sequence."""
        return self._change(_ADD, code_digest=code_digest, **_KIOSK.parameters(kiosk))

    def pair(self, sequence: int, token_digest: str, now_ms: int) -> Kiosk:
        """Gives a kiosk its token in place of its code."""
        return self._change(_PAIR, sequence=sequence, token_digest=token_digest, now_ms=now_ms)

    def end(self, sequence: int, now_ms: int) -> Kiosk:
        """Takes code and token away."""
        return self._change(_END, sequence=sequence, now_ms=now_ms)

    def _change(self, statement: Statement, **parameters: object) -> Kiosk:
        changed = _KIOSK.read_one(self._executor.one(statement, **parameters))
        assert changed is not None, "the unit of work has read the kiosk"
        self._notes.note(EventKind.KIOSK, changed)
        return changed
