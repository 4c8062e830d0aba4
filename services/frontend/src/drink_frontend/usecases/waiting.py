"""Where a drop is in its machine's queue, and how long its outcome is expected to take.

What motors need is read from the machine's last drops, and kept neither in memory nor in a row of
its own: every frontend then says the same, and a restart forgets nothing.
"""

from statistics import median

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Drop, Reach, Waiting
from drink_frontend.storage.transaction import Transaction

DROPS_MEASURED = 15
"""Last drops of a machine whose motor time is looked at: few enough to follow a motor that becomes
slow within a crate of cans, and enough that one slow can does not count."""

IN_QUEUE = frozenset({State.RESERVED, State.DISPATCHED})
"""States of drops that their machine has still to carry out."""


def waiting(tx: Transaction, drop: Drop, now_ms: int) -> Waiting | None:
    """Where the drop is in the queue; None if it is not RESERVED or DISPATCHED."""
    if drop.state not in IN_QUEUE:
        return None
    if drop.state is State.DISPATCHED:
        return Waiting(0, _expected_ms(tx, drop, [drop.dispatched_ms], now_ms))
    ahead = tx.drops.ahead(drop)
    return Waiting(len(ahead), _expected_ms(tx, drop, [*ahead, None], now_ms))


def _expected_ms(
    tx: Transaction, drop: Drop, dispatched_ms: list[int | None], now_ms: int
) -> int | None:
    """Milliseconds that drops need from now, one after another.

    Args:
        tx: The unit of work.
        drop: The last of them.
        dispatched_ms: When each of them was dispatched; None for one that waits.
        now_ms: Now.
    """
    machine = tx.machines.alone(drop.machine)
    times = tx.drops.motor_times_ms(drop.machine, DROPS_MEASURED)
    if machine is None or machine.reach is not Reach.READY or not times:
        return None
    each_ms = round(median(times))
    # The wall clock may have been set since: no drop takes less than nothing or more than usual.
    return sum(
        each_ms if began_ms is None else min(max(0, each_ms - (now_ms - began_ms)), each_ms)
        for began_ms in dispatched_ms
    )
