"""Temperatures of machines through time."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, bindparam, delete, func, select, union_all, update

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Statement, constant
from drink_frontend.storage.tables import machines
from drink_frontend.storage.temperature_tables import temperatures

_ROW = RowMapping(Temperature, temperatures)
_OF = (temperatures.c.machine == bindparam("machine")) & (
    temperatures.c.span_ms == bindparam("span_ms")
)
_AT = _OF & (temperatures.c.from_ms == bindparam("from_ms"))
_BETWEEN = _OF & temperatures.c.from_ms.between(bindparam("first_ms"), bindparam("last_ms"))

_GET = Statement(_ROW.select().where(_AT))
_ADD = Statement(_ROW.insert())
_CHANGE = Statement(
    update(temperatures)
    .where(_AT)
    .values({name: bindparam(f"new_{name}") for name in ("low", "mean", "high", "known_ms")})
)
_OLDEST = Statement(
    select(temperatures.c.from_ms)
    .where(_OF)
    .order_by(temperatures.c.from_ms)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_LIST = Statement(_ROW.select().where(_BETWEEN).order_by(temperatures.c.from_ms))
_REMOVE = Statement(delete(temperatures).where(_BETWEEN))
_MACHINES = Statement(
    select(machines.c.name)
    .where(machines.c.name >= bindparam("first"))
    .order_by(machines.c.name)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)


def _summed() -> Statement:
    """Selects rows of both lengths, joined to steps."""
    parts = [
        select(*(temperatures.c[name] for name in _NUMBERS)).where(
            temperatures.c.machine == bindparam("machine"),
            temperatures.c.span_ms == constant(span_ms),
            temperatures.c.from_ms.between(bindparam("first_ms"), bindparam("last_ms")),
        )
        for span_ms in (STEP_MS, HOUR_MS)
    ]
    rows = union_all(*parts).subquery("parts")
    step_ms = bindparam("step_ms", type_=BigInteger())
    begin = (rows.c.from_ms // step_ms * step_ms).label("begin")
    known_ms = func.sum(rows.c.known_ms)
    return Statement(
        select(
            begin,
            func.max(rows.c.span_ms),
            func.min(rows.c.low),
            func.sum(rows.c.mean * rows.c.known_ms) / known_ms,
            func.max(rows.c.high),
            known_ms,
        )
        .group_by(begin)
        .order_by(begin)
        .limit(bindparam("limit"))
        .offset(NOTHING)
    )


_NUMBERS = ("span_ms", "from_ms", "low", "mean", "high", "known_ms")
_SUMMED = _summed()

MACHINES_AT_ONCE = 200
"""Machines whose names are read at once."""


class TemperatureTable:
    """Temperatures, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def get(self, machine: str, span_ms: int, from_ms: int) -> Temperature | None:
        """One row."""
        return _ROW.read_one(
            self._executor.one(_GET, machine=machine, span_ms=span_ms, from_ms=from_ms)
        )

    def add(self, temperature: Temperature) -> None:
        """Stores a row that is not there."""
        self._executor.run(_ADD, **_ROW.parameters(temperature))

    def change(self, temperature: Temperature) -> None:
        """Stores other numbers in a row that is there."""
        changed = self._executor.run(
            _CHANGE,
            machine=temperature.machine,
            span_ms=temperature.span_ms,
            from_ms=temperature.from_ms,
            new_low=temperature.low,
            new_mean=temperature.mean,
            new_high=temperature.high,
            new_known_ms=temperature.known_ms,
        )
        assert changed == 1, "the unit of work has read the row"

    def oldest(self, machine: str, span_ms: int) -> int | None:
        """Begin of the machine's oldest row of that length."""
        row = self._executor.one(_OLDEST, machine=machine, span_ms=span_ms, limit=1)
        return None if row is None else int(row[0])

    def between(
        self, machine: str, span_ms: int, first_ms: int, last_ms: int
    ) -> Sequence[Temperature]:
        """The machine's rows of that length that begin at these times or between them."""
        rows = self._executor.all(
            _LIST, machine=machine, span_ms=span_ms, first_ms=first_ms, last_ms=last_ms
        )
        return [_ROW.read(row) for row in rows]

    def remove(self, machine: str, span_ms: int, first_ms: int, last_ms: int) -> None:
        """Deletes what `between` returns."""
        self._executor.run(
            _REMOVE, machine=machine, span_ms=span_ms, first_ms=first_ms, last_ms=last_ms
        )

    def steps(
        self, machine: str, step_ms: int, first_ms: int, last_ms: int, limit: int
    ) -> Sequence[Temperature]:
        """Up to `limit` steps of a machine in their order, of all rows that begin in a time.

        A step that is shorter than the rows of that time is as long as they are.

        Args:
            machine: Name of the machine.
            step_ms: Length of a step.
            first_ms: The first time at which a row may begin.
            last_ms: The last one.
            limit: Most steps.
        """
        rows = self._executor.all(
            _SUMMED,
            machine=machine,
            step_ms=step_ms,
            first_ms=first_ms,
            last_ms=last_ms,
            limit=limit,
        )
        return [
            Temperature(
                machine, max(step_ms, int(span_ms)), begin, low, float(mean), high, int(known_ms)
            )
            for begin, span_ms, low, mean, high, known_ms in rows
        ]

    def machines_from(self, first: str) -> Sequence[str]:
        """Names of up to MACHINES_AT_ONCE machines, from that name on."""
        found = self._executor.all(_MACHINES, first=first, limit=MACHINES_AT_ONCE)
        return [row[0] for row in found]
