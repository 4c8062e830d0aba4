"""Builds the wheels of all distributions and checks their content and their installation.

Each service is installed into its own empty virtual environment, so that a dependency that only
another service declares is missing there. The installation needs a package index.

Usage: python -m scripts.release [--folder FOLDER] [--build-only]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.export_protos import ROOT, version

UV = ROOT / ".tools" / "bin" / "uv"

PACKAGES = {
    "drink_protos": "protos/python/drink",
    "drink_frontend": "services/frontend/src/drink_frontend",
    "drink_machine_agent": "services/machine_agent/src/drink_agent",
    "drink_cli": "services/cli/src/drink_cli",
    "drink_web": "services/web/src/drink_web",
}
"""Packed folder of each distribution, by the first part of its wheel's name."""

EXTRAS = {"drink_frontend": "[otel,postgres]", "drink_web": "[otel]"}
"""Optional dependencies of services that are installed and checked too."""

CHECKS: Mapping[str, Sequence[Sequence[str]]] = {
    "drink_frontend": (
        ("drink-frontend", "--version"),
        ("drink-frontend", "migrate"),
        ("drink-frontend", "admin", "verify"),
        ("python", "-c", "import drink_frontend.app, drink_frontend.spans.otel, psycopg"),
    ),
    "drink_machine_agent": (
        ("drink-machine-agent", "--version"),
        ("tini-emulator", "--help"),
        ("card-reader-emulator", "--help"),
        ("python", "-c", "import drink_agent.app, drink_agent.tools.board"),
    ),
    "drink_cli": (
        ("drink", "--version"),
        ("drink", "drop", "--help"),
        ("drink-session", "--help"),
    ),
    "drink_web": (
        ("drink-web", "--version"),
        ("drink-web", "config", "check"),
        ("python", "-c", "import drink_web.app, drink_web.assets; drink_web.assets.Assets()"),
        ("python", "-c", "import drink_web.spans.otel"),
    ),
}
"""Commands that must succeed in the environment of each service. `migrate` makes a database with
the packed migrations."""


class ReleaseError(Exception):
    """A wheel cannot be built, is incomplete, or does not work when it is installed."""


def build(folder: Path) -> dict[str, Path]:
    """Builds all wheels into a folder and replaces older ones.

    Returns:
        The wheels by the names of `PACKAGES`.

    Raises:
        ReleaseError: One cannot be built.
    """
    for name in PACKAGES:
        for old in folder.glob(f"{name}-*.whl"):
            old.unlink()
    _run([str(UV), "build", "--quiet", "--wheel", "--all-packages", "--out-dir", str(folder)], ROOT)
    return {name: next(folder.glob(f"{name}-*.whl")) for name in PACKAGES}


def check_content(name: str, wheel: Path) -> None:
    """Raises ReleaseError if a wheel does not hold its package exactly."""
    if problems := list(problems_of(wheel, ROOT / PACKAGES[name])):
        raise ReleaseError("\n".join(problems))


def problems_of(wheel: Path, package: Path) -> Iterator[str]:
    """Yields the differences between a wheel and the folder it packs.

    Args:
        wheel: The wheel.
        package: The packed folder.
    """
    wanted = {
        f"{package.name}/{path.relative_to(package)}": path
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in sorted(wanted.keys() - packed):
            yield f"{wheel.name} lacks {name}"
        for name in sorted(packed - wanted.keys()):
            yield f"{wheel.name} has {name}, which is not in {package}"
        for name in sorted(packed & wanted.keys()):
            if archive.read(name) != wanted[name].read_bytes():
                yield f"{wheel.name} has another {name} than {package}"
    if wheel.name.split("-")[1] != version():
        yield f"{wheel.name} is not of version {version()}, as the protos are"


def install_and_run(name: str, wheels: Mapping[str, Path], folder: Path) -> None:
    """Installs a service into an empty virtual environment and runs its `CHECKS` there.

    Args:
        name: The service, one of `CHECKS`.
        wheels: All wheels, by the names of `PACKAGES`.
        folder: An empty folder for the environment and for what the commands write.

    Raises:
        ReleaseError: Dependencies are missing, or a command fails.
    """
    environment = folder / "environment"
    python = str(environment / "bin" / "python")
    wanted = [str(wheels["drink_protos"]), f"{wheels[name]}{EXTRAS.get(name, '')}"]
    _run([str(UV), "venv", "--quiet", "--python", sys.executable, str(environment)], folder)
    _run([str(UV), "pip", "install", "--quiet", "--python", python, *wanted], folder)
    _run([str(UV), "pip", "check", "--quiet", "--python", python], folder)
    for command, *arguments in CHECKS[name]:
        said = _run([str(environment / "bin" / command), *arguments], folder)
        if arguments == ["--version"] and said.split() != [command, version()]:
            raise ReleaseError(f"{command} --version says {said!r}, not {version()}")


def _run(command: Sequence[str], folder: Path) -> str:
    """Runs a command without the packages of this environment; returns its output."""
    hidden = ("DRINK_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Builds and checks; exits 1 with the first problem."""
    parser = argparse.ArgumentParser(description="Builds all wheels and checks them.")
    parser.add_argument("--folder", type=Path, default=ROOT / "dist", help="default dist/")
    parser.add_argument("--build-only", action="store_true", help="do not install them")
    options = parser.parse_args()
    try:
        wheels = build(options.folder)
        for name, wheel in wheels.items():
            check_content(name, wheel)
            print(wheel)
        for name in () if options.build_only else CHECKS:
            with tempfile.TemporaryDirectory() as folder:
                install_and_run(name, wheels, Path(folder))
            print(f"{name} works in an empty environment")
    except ReleaseError as error:
        sys.exit(f"release: {error}")


if __name__ == "__main__":
    main()
