"""The command line: `drink-frontend`."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from drink_frontend import logs
from drink_frontend.admin.accounts import credits_, users
from drink_frontend.admin.alarms import alarm, alarms
from drink_frontend.admin.certs import certs
from drink_frontend.admin.command import run
from drink_frontend.admin.drops import drops
from drink_frontend.admin.events import end_cursors
from drink_frontend.admin.frontends import frontends
from drink_frontend.admin.import_plan import import_plan
from drink_frontend.admin.items import items
from drink_frontend.admin.kiosks import kiosks
from drink_frontend.admin.machines import machines, slots
from drink_frontend.admin.statistics import statistics
from drink_frontend.config import ConfigError, Settings, load, reference, show
from drink_frontend.loglines.process import take_over
from drink_frontend.metrics import health as metrics_health
from drink_frontend.rpc import health as rpc_health
from drink_frontend.spans.tracer import TracingUnavailableError
from drink_frontend.storage.engine import StorageError
from drink_frontend.system.startup import gc_paused

if TYPE_CHECKING:
    from drink_frontend.app import Administration

# What serves takes a second to load. The orchestrator asks `health` every few seconds, and a person
# does not like to wait for --help; so each command imports what only it needs.
# ruff: noqa: PLC0415

EXIT_RESTART = 75
"""Exit code of a stop that asks for a new start (EX_TEMPFAIL): `Restart=on-failure` gives it."""

EXIT_PART_ENDED = 70
"""Exit code after a part of the frontend has ended by itself (EX_SOFTWARE)."""

_log = structlog.get_logger(__name__)

main = typer.Typer(
    help="Drink's frontend: accounts, credits, stock and drops over gRPC and TCP sessions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config = typer.Typer(help="The settings.", no_args_is_help=True)
admin = typer.Typer(no_args_is_help=True)
main.add_typer(config, name="config")
main.add_typer(admin, name="admin")
admin.add_typer(machines, name="machine")
admin.add_typer(slots, name="slot")
admin.add_typer(items, name="item")
admin.add_typer(kiosks, name="kiosks")
admin.add_typer(users, name="user")
admin.add_typer(credits_, name="credits")
admin.add_typer(drops, name="drops")
admin.add_typer(certs, name="certs")
admin.add_typer(statistics, name="statistics")
admin.command("alarms")(alarms)
admin.add_typer(alarm, name="alarm")
admin.command("frontends")(frontends)
admin.command("end-cursors")(end_cursors)
admin.command("import")(import_plan)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drink-frontend {version('drink-frontend')}")
        raise typer.Exit


@main.callback()
def settings(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", envvar="DRINK_CONFIG", help="TOML file; none: the defaults."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Reads the settings for every command."""
    try:
        context.obj = load(config_file)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _settings(context: typer.Context) -> Settings:
    assert isinstance(context.obj, Settings)
    return context.obj


@main.command()
def serve(context: typer.Context) -> None:
    """Serve until SIGTERM."""
    with gc_paused():
        import uvloop

        from drink_frontend import app

    chosen = _settings(context)
    logs.set_up(chosen.log)
    take_over()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            restart = runner.run(app.serve(chosen))
    except (StorageError, app.StorageBrokenError, TracingUnavailableError, OSError) as error:
        _log.critical("frontend_failed", error=str(error))
        raise typer.Exit(1) from None
    except app.PartEndedError as error:
        _log.critical("frontend_failed", error=str(error))
        raise typer.Exit(EXIT_PART_ENDED) from None
    raise typer.Exit(EXIT_RESTART if restart else 0)


@main.command()
def migrate(context: typer.Context) -> None:
    """Make the database, or bring it to this version's schema."""
    from drink_frontend.storage.migrations import migrate as migrate_storage

    try:
        remarks = migrate_storage(_settings(context).storage)
    except StorageError as error:
        typer.echo(f"drink-frontend: {error}", err=True)
        raise typer.Exit(1) from None
    for remark in remarks:
        typer.echo(f"note: {remark}")


@main.command()
def health(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object that says why, as docs/operations.md.")
    ] = False,
) -> None:
    """Ask the frontend of these settings whether it serves; exit code 0 if it does."""
    serving, answer = asyncio.run(_ask(_settings(context), with_details=as_json))
    typer.echo(json.dumps(answer, indent=2) if as_json else answer["status"])
    raise typer.Exit(0 if serving else 1)


async def _ask(chosen: Settings, *, with_details: bool) -> tuple[bool, Mapping[str, Any]]:
    """Whether a frontend serves, and the object that says why."""

    async def details() -> Mapping[str, Any] | metrics_health.NoDetailsError:
        if not with_details:
            return metrics_health.NoDetailsError("not asked for")
        try:
            return await metrics_health.fetch(chosen.metrics, chosen.rpc.port)
        except metrics_health.NoDetailsError as error:
            return error

    serving, found = await asyncio.gather(rpc_health.check(chosen.rpc), details())
    return serving, metrics_health.combined(serving, found, chosen.rpc.target)


@admin.callback()
def administer(context: typer.Context) -> None:
    """Set up and look after an installation."""
    # The output of a command is its result; only warnings and errors are logged.
    quiet = _settings(context).log.model_copy(update={"level": "warning"})
    logs.set_up(quiet, 2)


@config.command("check")
def config_check(context: typer.Context) -> None:
    """Print the settings in force, secrets masked."""
    typer.echo(show(_settings(context)))


@config.command("reference")
def config_reference() -> None:
    """Print every key with its default, unit and reason, as Markdown."""
    sys.stdout.write(reference())


@admin.command()
def verify(context: typer.Context) -> None:
    """Recompute all books from the ledger and the audit log; exit code 1 if they disagree."""

    async def look(drink: "Administration") -> tuple[Sequence[str], Sequence[str]]:
        return await drink.storage.verify(), await drink.storage.remarks()

    problems, remarks = run(context, look)
    for remark in remarks:
        typer.echo(f"note: {remark}")
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(problems)} problems" if problems else "The books agree.")
    raise typer.Exit(1 if problems else 0)


@admin.command()
def backup(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="A new file for it.")]
) -> None:
    """Copy the SQLite database, beside a frontend that runs or not."""
    from drink_frontend.storage.backup import backup as backup_storage

    try:
        backup_storage(_settings(context).storage, file)
    except StorageError as error:
        typer.echo(f"drink-frontend: {error}", err=True)
        raise typer.Exit(1) from None
    try:
        _record_backup(context)
    except typer.Exit:
        typer.echo(f"drink-frontend: {file} is complete, and was not recorded", err=True)
        raise


@admin.command("backed-up")
def backed_up(context: typer.Context) -> None:
    """Record that a backup was made in another way, such as with pg_dump; for `backup_hours`."""
    _record_backup(context)


def _record_backup(context: typer.Context) -> None:
    run(context, lambda drink: drink.upkeep.backed_up())
