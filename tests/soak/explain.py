"""Why a drop may be UNKNOWN: only because of a recorded fault."""

from collections.abc import Iterator, Sequence

from tests.soak.books import Drop, Move
from tests.soak.history import Fault

AFTERMATH_MS = 6_000
"""How long what a fault has left behind goes on: reconnecting, finding a board again, catching up
after a freeze. The longest of these waits is 2 s; a busy machine may take three times as long."""

PROCESS_FAULTS = ("kill -9", "terminate", "freeze", "wipe the journal")

BOARD_FAULTS = (
    "board: kill -9",
    "board: noise",
    "board: power cut",
    "board: pull the cable",
)
"""What happens to a board at a certain time."""

ARMED_FAULTS = (
    "board: disconnect",
    "board: garbage",
    "board: late",
    "board: power",
    "board: power_before",
    "board: silent",
    "board: slow",
)
"""What happens to a slot's next command, whenever it comes."""

EXPLAINS = {
    "BOARD_SILENT": (*BOARD_FAULTS, *ARMED_FAULTS, "freeze"),
    "BOARD_LOST": (*BOARD_FAULTS, *ARMED_FAULTS, "freeze"),
    "AGENT_RESTARTED": ("kill -9", "terminate"),
    "JOURNAL_REPLACED": ("wipe the journal",),
    "AGENT_LOST": (
        *PROCESS_FAULTS,
        *BOARD_FAULTS,
        *ARMED_FAULTS,
        "network: cut",
        "network: delay",
        "network: half open",
        "network: refuse",
        "network: stall",
        "network: tear",
    ),
}
"""Causes of UNKNOWN, each with the faults that can lead to it."""


def unexplained(drops: Sequence[Drop], faults: Sequence[Fault]) -> Iterator[str]:
    """Invariant 24: drops that became UNKNOWN where nothing happened that makes it so."""
    armed = sorted((f for f in faults if f.slot), key=lambda fault: fault.start_ms)
    timed = [fault for fault in faults if not fault.slot]
    for drop in sorted(drops, key=lambda each: each.created_ms):
        met: Fault | None = None
        for move, dispatched_ms in _losses(drop):
            if any(_explains(fault, drop, move, dispatched_ms) for fault in timed):
                continue
            met = met or next((each for each in armed if _waited_for(each, drop, move)), None)
            if met is None or met.kind not in EXPLAINS.get(move.cause, ()):
                yield f"drop {drop.id} of {drop.slot} is UNKNOWN because of {move.cause}"
        if met is not None:
            armed.remove(met)


def _losses(drop: Drop) -> Iterator[tuple[Move, int]]:
    """Each time that it became UNKNOWN, with when it was dispatched before."""
    dispatched_ms = 0
    for move in drop.moves:
        if move.to == "DISPATCHED":
            dispatched_ms = move.at_ms
        elif move.to == "UNKNOWN":
            yield move, dispatched_ms


def _explains(fault: Fault, drop: Drop, move: Move, dispatched_ms: int) -> bool:
    """Whether something that happened at a certain time can be why."""
    in_time = fault.start_ms <= move.at_ms and fault.end_ms + AFTERMATH_MS >= dispatched_ms
    # What happens to the frontend matters only where it is the one that gives up.
    concerned = fault.machine == drop.machine or (
        not fault.machine and move.cause == "AGENT_LOST" and fault.kind in PROCESS_FAULTS
    )
    return in_time and concerned and fault.kind in EXPLAINS.get(move.cause, ())


def _waited_for(fault: Fault, drop: Drop, move: Move) -> bool:
    """Whether a fault that waited for the slot's next command can have met this drop's."""
    return (
        f"{fault.machine}/{fault.slot}" == drop.slot
        and fault.start_ms <= move.at_ms
        and fault.kind in EXPLAINS.get(move.cause, ())
    )
