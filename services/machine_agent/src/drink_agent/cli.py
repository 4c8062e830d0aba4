"""The command `drink-machine-agent`."""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from drink_agent import config as configuration
from drink_agent.config import ConfigError
from drink_agent.domain.recovery import ImpossibleHistoryError
from drink_agent.journal.file import (
    JournalDamagedError,
    JournalError,
    JournalFailedError,
    JournalLockedError,
    journal_lock,
    read,
)
from drink_agent.loglines.process import open_standard_streams, take_over
from drink_agent.logs import set_up_logging
from drink_agent.runtime.system import socket_of
from drink_agent.tools import reports

# A supervisor may run `status` every few seconds, so each command imports its own modules only when
# it runs. gRPC takes half of the time of all imports.
# ruff: noqa: PLC0415

EXIT_FAULT = 1
"""A fault of the program; its traceback is in the log."""
EXIT_CONFIG = 2
"""The configuration cannot be used; a restart does not help."""
EXIT_JOURNAL_DAMAGED = 3
"""The journal is damaged; a person has to act, and a restart does not help."""
EXIT_JOURNAL_LOCKED = 4
"""Another agent uses the journal."""
EXIT_JOURNAL_FAILED = 5
"""A write to the disk failed; durable entries are intact, and a restart may help."""
EXIT_PART_ENDED = 6
"""The task of the board or of the link ended unexpectedly; a restart starts both again."""

_EXITS: dict[type[Exception], int] = {
    JournalDamagedError: EXIT_JOURNAL_DAMAGED,
    ImpossibleHistoryError: EXIT_JOURNAL_DAMAGED,
    JournalLockedError: EXIT_JOURNAL_LOCKED,
    JournalFailedError: EXIT_JOURNAL_FAILED,
}

_log = logging.getLogger("drink_agent.cli")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The command line without the program's name; by default that of the process.

    Returns:
        0, or one of the `EXIT_` constants.
    """
    open_standard_streams()
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"drink-machine-agent: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except OSError as error:
        if command is _run:
            raise
        # Python would otherwise try to write its buffer again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"drink-machine-agent: {error.strerror}", file=sys.stderr)
        return EXIT_FAULT
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drink-machine-agent",
        description="Drives one vending machine's board for the Drink frontend.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=configuration.DEFAULT_PATH,
        help="the configuration file (default %(default)s)",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('drink-machine-agent')}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="serve the machine until SIGTERM")
    run.set_defaults(command=_run)
    config = commands.add_parser("config", help="check the configuration")
    check = config.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "check",
        help="print all settings in effect, secrets masked, and check the files they name",
    )
    check.set_defaults(command=_config_check)
    _add_tools(commands)
    return parser


def _add_tools(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ask = commands.add_parser("status", help="print the status of the running agent")
    ask.add_argument("--json", action="store_true", help="as one JSON object")
    ask.add_argument(
        "--ready", action="store_true", help="exit with 1 unless link and board are up"
    )
    ask.set_defaults(command=_status)
    show = commands.add_parser("show-journal", help="print the last drops and their evidence")
    show.add_argument("--last", type=int, default=10, metavar="N", help="drops (default 10)")
    show.set_defaults(command=_show_journal)
    board = commands.add_parser("check-board", help="connect to the board while no agent runs")
    board.add_argument("--drop", type=int, metavar="SLOT", help="drop one can that nobody pays for")
    board.add_argument("--yes", action="store_true", help="really drop it")
    board.set_defaults(command=_check_board)
    accept = commands.add_parser(
        "accept-board", help="accept the connected board as the machine's, in place of another"
    )
    accept.set_defaults(command=_accept_board)


def _run(options: argparse.Namespace) -> int:
    from drink_agent.app import build, serve
    from drink_agent.runtime.agent import PartEndedError

    config = configuration.load(options.config, os.environ)
    set_up_logging(config.log, config.machine)
    take_over()
    try:
        asyncio.run(serve(build(config)))
    except (JournalError, ImpossibleHistoryError) as error:
        return _alarm(error)
    except PartEndedError:
        return EXIT_PART_ENDED
    except ExceptionGroup as group:
        unusable, _ = group.split((JournalError, ImpossibleHistoryError))
        if unusable is None:
            _log.critical("agent_failed", exc_info=group)
            return EXIT_FAULT
        return _alarm(unusable.exceptions[0])
    return 0


def _alarm(error: Exception) -> int:
    _log.critical("journal_unusable", extra={"kind": type(error).__name__, "problem": str(error)})
    return next(code for kind, code in _EXITS.items() if isinstance(error, kind))


def _config_check(options: argparse.Namespace) -> int:
    from drink_agent.tools.check_files import file_problems

    config = configuration.load(options.config, os.environ)
    for line in configuration.describe(config):
        print(line)
    problems = list(file_problems(config.link, config.journal.path, config.machine))
    for problem in problems:
        print(f"drink-machine-agent: {problem}", file=sys.stderr)
    return EXIT_CONFIG if problems else 0


def _status(options: argparse.Namespace) -> int:
    config = configuration.load(options.config, os.environ, secrets=False)
    try:
        answer = reports.read_status(socket_of(config.journal.path))
    except reports.NoAnswerError as error:
        print(f"drink-machine-agent: {error}", file=sys.stderr)
        return EXIT_FAULT
    print(json.dumps(answer) if options.json else "\n".join(reports.status_lines(answer)))
    return EXIT_FAULT if options.ready and not reports.is_ready(answer) else 0


def _show_journal(options: argparse.Namespace) -> int:
    config = configuration.load(options.config, os.environ, secrets=False)
    try:
        contents = read(config.journal.path)
    except (JournalDamagedError, OSError) as error:
        print(f"drink-machine-agent: {error}", file=sys.stderr)
        return EXIT_JOURNAL_DAMAGED if isinstance(error, JournalDamagedError) else EXIT_FAULT
    for line in reports.journal_lines(contents, options.last):
        print(line)
    return 0


def _check_board(options: argparse.Namespace) -> int:
    from drink_agent.board.identity import IdentityStore
    from drink_agent.tools.board import check_board

    if options.drop is not None and not options.yes:
        print("drink-machine-agent: --drop drops a can; say --yes as well", file=sys.stderr)
        return EXIT_CONFIG
    config = configuration.load(options.config, os.environ)
    show = partial(print, flush=True)
    try:
        # So that no agent starts meanwhile and uses the board.
        with journal_lock(config.journal.path):
            identities = IdentityStore(config.identity_file, read_only=True)
            sound = asyncio.run(
                check_board(config.board, show, identities=identities, slot=options.drop)
            )
    except JournalError as error:
        print(f"drink-machine-agent: {error}", file=sys.stderr)
        if isinstance(error, JournalLockedError):
            print("drink-machine-agent: it has the board; stop it first", file=sys.stderr)
        return next(code for kind, code in _EXITS.items() if isinstance(error, kind))
    return 0 if sound else EXIT_FAULT


def _accept_board(options: argparse.Namespace) -> int:
    from drink_agent.board.identity import IdentityStore
    from drink_agent.tools.board import accept_board

    config = configuration.load(options.config, os.environ)
    identities = IdentityStore(config.identity_file)
    try:
        return 0 if accept_board(config.board, identities, print) else EXIT_FAULT
    except OSError as error:
        print(f"drink-machine-agent: {identities.path}: {error.strerror}", file=sys.stderr)
        return EXIT_FAULT


if __name__ == "__main__":
    sys.exit(main())
