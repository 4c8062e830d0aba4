"""Builds the agent of a configuration and runs it as a process."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from drink_agent.board.board import Board
from drink_agent.board.identity import IdentityStore
from drink_agent.config import Config
from drink_agent.domain.dispenser import Dispenser
from drink_agent.domain.events import BoardEvent, BoardStatus
from drink_agent.domain.records import Entry
from drink_agent.domain.recovery import replay
from drink_agent.journal.file import Journal
from drink_agent.link.client import LinkClient
from drink_agent.link.convert import Hello
from drink_agent.reader.reader import Reader
from drink_agent.runtime import system
from drink_agent.runtime.agent import Agent, BoardPort, MakeBoard, MakeLink
from drink_agent.runtime.system import DiskSpace, SystemdNotifier, boot_id, boot_time_s

_log = logging.getLogger("drink_agent.app")

OpenJournal = Callable[[Path], tuple[Journal, Sequence[Entry]]]


def build(
    config: Config,
    *,
    open_journal: OpenJournal = Journal.open,
    make_board: MakeBoard | None = None,
    make_link: MakeLink | None = None,
    clock: Callable[[], float] = boot_time_s,
    boot: str | None = None,
    disk_space: Callable[[], DiskSpace] | None = None,
    notifier: SystemdNotifier | None = None,
) -> Agent:
    """Builds the agent of a configuration. Tests and simulations replace its parts.

    Args:
        config: The configuration.
        open_journal: Opens the journal and returns its entries.
        make_board: Makes the board.
        make_link: Makes the link.
        clock: Seconds since the host booted.
        boot: The kernel's boot id.
        disk_space: Returns the space on the journal's disk.
        notifier: Notifies the supervisor.

    Raises:
        JournalError: The journal cannot be used.
        ImpossibleHistoryError: The journal's entries contradict each other.
    """
    with _no_garbage_collection():
        journal, entries = open_journal(config.journal.path)
        try:
            state = replay(entries, config.dispenser.remembered_drops, journal.last_sequence)
        except BaseException:
            journal.close()
            raise
    _log.info(
        "journal_opened",
        extra={
            "journal_id": journal.journal_id,
            "entries": len(entries),
            "unacked": len(state.unacked),
            "interrupted": list(state.commanded),
            "torn_bytes": journal.torn_bytes,
        },
    )
    return Agent(
        identity=Hello(
            machine=config.machine,
            boot_id=str(uuid.uuid4()),
            journal_id=journal.journal_id,
            journal_sequence=journal.durable_sequence,
            agent_version=version("drink-machine-agent"),
            board=BoardStatus(),
        ),
        dispenser=Dispenser(state, config.dispenser, boot or boot_id()),
        journal=journal,
        make_board=make_board or partial(_board, config, clock),
        make_link=make_link or partial(LinkClient, config.link, clock=clock),
        clock=clock,
        settings=config.agent,
        journal_settings=config.journal,
        remembered_drops=config.dispenser.remembered_drops,
        disk_space=disk_space or partial(system.disk_space, config.journal.path.parent),
        notifier=notifier or SystemdNotifier.from_environment(),
        reader=None if config.reader.type == "none" else Reader(config.reader, clock=clock),
    )


def _board(
    config: Config, clock: Callable[[], float], on_event: Callable[[BoardEvent], None]
) -> BoardPort:
    return Board(
        config.board, on_event, clock=clock, identities=IdentityStore(config.identity_file)
    )


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # Reading a journal makes many objects and no garbage; collecting would take a tenth of the
    # time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def serve(agent: Agent) -> None:
    """Runs the agent until SIGTERM or SIGINT; a second signal ends the process at once.

    Raises:
        JournalError: The journal failed. It is raised in an ExceptionGroup.
    """
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def leave(number: int) -> None:
        if asked:
            logging.shutdown()
            os._exit(128 + number)  # as safe as a crash
        asked.append(number)
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave, number)
    await agent.run()
    _log.info("stopped")
