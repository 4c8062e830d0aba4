"""Certificates of an installation, in one folder; needs neither database nor frontend."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drink_frontend.admin.command import table
from drink_frontend.domain.errors import DrinkError

if TYPE_CHECKING:
    from drink_frontend.system.authority import Authority, Issued

# Importing the library takes a tenth of a second, and only these commands need it: each of them
# imports it.
# ruff: noqa: PLC0415

AUTHORITY_DAYS = 3650
"""Days that an authority is valid; a new one requires a new file on every host."""

LEAF_DAYS = 365
"""Days that other certificates are valid: a key from a lost disk is useless after a year, and the
procedure is repeated often enough to be remembered."""

RENEWED_DAYS = 60
"""Days before its end from which on a certificate is renewed; leaves a monthly job two tries."""

AUTHORITY = "ca"
"""Name of the authority's two files, without their endings."""

REVOKED = "revoked"
"""Name of the list of revoked certificates."""

certs = typer.Typer(help="Certificates for TLS and mutual TLS.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Where the files are.")]
Days = Annotated[int, typer.Option(min=1, max=36_500, help="How long it is good for.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]

FOLDER = Path("certs")


@certs.command()
def init(
    *,
    folder: Folder = FOLDER,
    name: Annotated[str, typer.Option(help="What people see of it.")] = "Drink",
    days: Days = AUTHORITY_DAYS,
    force: Force = False,
) -> None:
    """Make an authority: ca.pem for every host, and ca.key, which stays with you."""
    from drink_frontend.system.authority import Authority

    with _telling():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _save(folder, AUTHORITY, Authority.create(name, days, _now()), force=force)
        (folder / REVOKED).touch()


@certs.command()
def server(
    names: Annotated[list[str], typer.Argument(help="Host names and IP addresses it has.")],
    *,
    folder: Folder = FOLDER,
    file: Annotated[str, typer.Option(help="Name of the files, without .pem.")] = "server",
    days: Days = LEAF_DAYS,
    force: Force = False,
) -> None:
    """Make the certificate of a frontend."""
    if file == AUTHORITY:
        raise typer.BadParameter(f"{AUTHORITY} is the authority's own")
    with _telling():
        _save(folder, file, _authority(folder).server(names, days, _now()), force=force)


@certs.command()
def machine(
    names: Annotated[list[str], typer.Argument(help="The machines: d ld s.")],
    *,
    folder: Folder = FOLDER,
    days: Days = LEAF_DAYS,
    force: Force = False,
) -> None:
    """Make the certificates of machines, with which their agents prove who they are."""
    with _telling():
        authority = _authority(folder)
        for name in names:
            issued = authority.machine(name, days, _now())
            _save(folder, f"machine-{name}", issued, force=force)


@certs.command()
def renew(
    *,
    folder: Folder = FOLDER,
    within: Annotated[
        int, typer.Option(min=0, max=36_500, help="Only what ends within so many days.")
    ] = RENEWED_DAYS,
) -> None:
    """Renew certificates that expire soon; the authority's own is reported and not changed."""
    from drink_frontend.system.authority import facts_of

    with _telling():
        authority, limit = _authority(folder), _now() + timedelta(days=within)
        for path in sorted(folder.glob("*.pem")):
            pem = path.read_bytes()
            if facts_of(pem).until > limit:
                continue
            if path.stem == AUTHORITY:
                typer.echo(f"{path} ends soon and needs a successor.", err=True)
            elif path.with_suffix(".key").exists():
                _save(folder, path.stem, authority.renewed(pem, _now()), force=True)


@certs.command()
def revoke(
    names: Annotated[list[str], typer.Argument(help="Their files, without .pem: machine-d.")],
    *,
    folder: Folder = FOLDER,
) -> None:
    """Add certificates to the list of those that frontends take no more."""
    from drink_frontend.system.authority import facts_of

    with _telling():
        path, now = folder / REVOKED, _now()
        lines = path.read_text("utf-8")
        for name in names:
            facts = facts_of((folder / f"{name}.pem").read_bytes())
            lines += f"{facts.fingerprint}  # {name}, {now:%F}\n"
        _write(path, lines.encode(), 0o644)


@certs.command("list")
def list_certificates(*, folder: Folder = FOLDER) -> None:
    """Show the certificates in the folder."""
    from drink_frontend.system.authority import facts_of

    with _telling():
        rows: list[tuple[object, ...]] = []
        for path in sorted(folder.glob("*.pem")):
            facts = facts_of(path.read_bytes())
            rows.append((path.name, f"{facts.until:%F}", ", ".join(facts.names), facts.fingerprint))
    table(("file", "until", "names", "SHA-256"), rows)


def _now() -> datetime:
    return datetime.now(UTC)


def _authority(folder: Path) -> "Authority":
    from drink_frontend.system.authority import Authority, Issued

    certificate, key = _paths(folder, AUTHORITY)
    return Authority.load(Issued(certificate.read_bytes(), key.read_bytes()))


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


@contextmanager
def _telling() -> Iterator[None]:
    """Ends the command with 1 where it cannot be done."""
    from drink_frontend.system.authority import AuthorityError

    try:
        yield
    except (AuthorityError, DrinkError, OSError) as error:
        typer.echo(f"drink-frontend: {error}", err=True)
        raise typer.Exit(1) from None


def _save(folder: Path, name: str, issued: "Issued", *, force: bool) -> None:
    """Writes certificate and key, the key for its owner only.

    Raises:
        OSError: They cannot be written, or are there and `force` is not given.
    """
    certificate, key = _paths(folder, name)
    for path in (certificate, key):
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists already; --force replaces it")
    # The key first, so that a kill in between leaves no certificate without its key.
    _write(key, issued.key, 0o600)
    _write(certificate, issued.certificate, 0o644)
    typer.echo(f"{certificate}, {key}")


def _write(path: Path, data: bytes, mode: int) -> None:
    """Writes a file whole or not at all; one that was there leaves its owner and mode behind."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if path.exists():
                old = path.stat()
                mode = old.st_mode & 0o777
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        Path(new).replace(path)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise
