"""Real agents with real journals and links, several in one process, whose boards answer at once.

    python -m benchmarks.agents ADDRESS FOLDER [--silent MACHINE] [--motor-s SECONDS] MACHINE...

Only the board is not real: a motor would be measured otherwise. Several agents share a process
because fifty Python interpreters would measure nothing but the scheduler of a small computer; the
references' agents share processes in the same way.
"""

import argparse
import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drink_agent.app import build
from drink_agent.config import parse
from drink_agent.domain.events import BoardEvent, BoardOutcome, BoardStatus, Recall
from drink_agent.domain.evidence import Cause, Direction, Evidence, Line
from drink_agent.logs import LogSettings, set_up_logging
from drink_agent.runtime.agent import Agent

SILENCE_S = 10.0
"""Seconds until a silent board is given up, as for a real one."""


class PlainBoard:
    """A board that answers at once, after a time, or never. See `BoardPort`.

    Args:
        motor_s: Seconds until it answers; None if it never does.
        on_event: Told what it says.
    """

    def __init__(self, motor_s: float | None, on_event: Callable[[BoardEvent], None]) -> None:
        self._motor_s = motor_s
        self._on_event = on_event
        self.status = BoardStatus(ready=True)
        """See `BoardPort`."""

    @property
    def problem(self) -> str | None:
        """See `BoardPort`."""
        return None

    @property
    def connects(self) -> int:
        """See `BoardPort`."""
        return 1

    async def run(self) -> None:
        """See `BoardPort`."""
        await asyncio.Event().wait()

    def recall(self, recall: Recall) -> None:
        """Has nothing to remember."""

    def dispense(self, drop: str, slot: int) -> None:
        """See `BoardPort`."""
        loop = asyncio.get_running_loop()
        sent = Line(Direction.SENT, 0, f"3{slot}")
        if self._motor_s is None:
            loop.call_later(SILENCE_S, self._end, drop, Cause.BOARD_SILENT, (sent,))
        else:
            answered = Line(Direction.RECEIVED, 0, "4")
            loop.call_later(self._motor_s, self._end, drop, Cause.BOARD_ACK, (sent, answered))

    def _end(self, drop: str, cause: Cause, lines: tuple[Line, ...]) -> None:
        self._on_event(BoardOutcome(drop, cause, Evidence(lines)))


def agent(machine: str, address: str, folder: Path, motor_s: float | None) -> Agent:
    """One machine's agent, as the service itself puts it together."""
    values = {
        "machine": machine,
        "board": {"url": "tcp://127.0.0.1:1"},
        "link": {"addresses": [address], "token_file": str(folder / f"{machine}.token")},
        "journal": {"path": str(folder / f"{machine}.journal")},
    }
    return build(parse(values), make_board=partial(PlainBoard, motor_s))


async def run(options: argparse.Namespace) -> None:
    """Runs all agents until the process is killed."""
    agents = [
        agent(
            machine,
            options.address,
            options.folder,
            None if machine == options.silent else options.motor_s,
        )
        for machine in options.machines
    ]
    await asyncio.gather(*(each.run() for each in agents))


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--silent", default="")
    parser.add_argument("--motor-s", type=float, default=0)
    parser.add_argument("machines", nargs="+")
    parser.add_argument("--log-level", choices=["INFO", "DEBUG"], default="INFO")
    options = parser.parse_args()
    # Each of many agents logs a few lines, and the benchmark waits for all of them.
    log = LogSettings(options.log_level, format="json", repeats_per_minute_max=100_000)
    set_up_logging(log, "several")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
