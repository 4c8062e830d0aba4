"""The command line: `drink-web`."""

import asyncio
import os
import sys
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from drink_web.settings import ConfigError, Settings, load, reference, show
from drink_web.spans.tracer import TracingUnavailableError

# What serves takes a second to load, and a health check is asked for every few seconds.
# ruff: noqa: PLC0415

HEALTH_LIMIT_S = 5
"""Seconds that the answer of a health check may take."""

main = typer.Typer(
    help="Drink in a browser: see the machines, drop a can, watch it fall.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config = typer.Typer(help="The settings.", no_args_is_help=True)
main.add_typer(config, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drink-web {version('drink-web')}")
        raise typer.Exit


@main.callback()
def settings(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", envvar="DRINK_WEB_CONFIG", help="TOML file; none: the defaults."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Reads the settings for every command."""
    # The variable that names the file is no setting.
    os.environ.pop("DRINK_WEB_CONFIG", None)
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
    from drink_web import app, logs

    chosen = _settings(context)
    logs.set_up(chosen.log)
    try:
        asyncio.run(app.serve(chosen))
    except (ConfigError, TracingUnavailableError, OSError) as error:
        typer.echo(f"drink-web: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, OSError) else 2) from None


@main.command()
def notify(
    context: typer.Context,
    *,
    trial: Annotated[
        bool, typer.Option("--test", help="Send one message to every channel, and end.")
    ] = False,
) -> None:
    """Tell people of alarms, by the channels of the settings, until SIGTERM."""
    from drink_web import logs
    from drink_web.notify import run

    chosen = _settings(context)
    logs.set_up(chosen.log)
    try:
        if not trial:
            asyncio.run(run.notify(chosen))
            return
        failed = False
        for name, failure in asyncio.run(run.try_out(chosen)):
            typer.echo(f"{name}: {failure or 'sent'}")
            failed |= bool(failure)
        raise typer.Exit(1 if failed else 0)
    except ConfigError as error:
        typer.echo(f"drink-web: {error}", err=True)
        raise typer.Exit(2) from None


@main.command()
def health(context: typer.Context) -> None:
    """Ask the page of these settings whether it serves; exit code 0 if it does."""
    http = _settings(context).http
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.address, http.address)  # noqa: S104
    try:
        # The address is that of the settings, on this host.
        with urllib.request.urlopen(
            f"http://{f'[{host}]' if ':' in host else host}:{http.port}/healthz",
            timeout=HEALTH_LIMIT_S,
        ) as answer:
            typer.echo(answer.read(1_000).decode())
    except (urllib.error.URLError, OSError) as error:
        typer.echo(f"drink-web: {error}", err=True)
        raise typer.Exit(1) from None


@config.command("check")
def config_check(context: typer.Context) -> None:
    """Print the settings in force."""
    typer.echo(show(_settings(context)))


@config.command("reference")
def config_reference() -> None:
    """Print every key with its default, unit and reason, as Markdown."""
    sys.stdout.write(reference())


def run() -> None:
    """Runs the command line."""
    # gRPC's own library prints what peers send.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    main()
