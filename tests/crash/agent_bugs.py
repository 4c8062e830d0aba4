"""Bugs to plant into the agent; each breaks a promise."""

from typing import Any

from drink_agent.domain.dispenser import Dispenser
from drink_agent.domain.evidence import Cause, Outcome
from drink_agent.domain.records import Accepted
from drink_agent.journal.disk import Disk
from tests.crash.kill_switch import replace


def run_an_interrupted_motor_again() -> None:
    """A restarted agent takes a command that may have run for one that did not."""
    take_start = Dispenser._take_start

    def wrapped(dispenser: Dispenser) -> None:
        state = dispenser._state
        for drop, commanded in tuple(state.commanded.items()):
            del state.commanded[drop]
            state.accepted[drop] = Accepted(
                drop, commanded.slot, 60_000, dispenser._now_ms, dispenser._boot
            )
        take_start(dispenser)

    replace(Dispenser, "_take_start", wrapped)


def call_an_interrupted_drop_off() -> None:
    """A restarted agent says that a motor which may have run did not."""
    finish = Dispenser._finish

    def wrapped(dispenser: Dispenser, drop: str, cause: Cause, *more: Any) -> None:
        if cause.outcome is Outcome.UNKNOWN:
            cause = Cause.BOARD_UNREACHABLE
        finish(dispenser, drop, cause, *more)

    replace(Dispenser, "_finish", wrapped)


def do_not_sync() -> None:
    """The motor is started, and results are reported, before the journal is on the disk."""
    replace(Disk, "sync_data", lambda _disk, _descriptor: None)
