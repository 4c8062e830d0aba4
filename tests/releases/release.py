"""Installs a released version from its wheels, so that tests can run it beside the present one."""

import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

FIRST = "0.1.0"
"""The first release."""

LAST = FIRST
"""The newest release; the present version must work beside it."""

_SCRIPT = """\
#!{python}
import sys

sys.path.insert(0, {site!r})
from {module} import {function}

sys.exit({function}())
"""


def protos(version: str) -> Path:
    """The image of a release's protos, a FileDescriptorSet."""
    return Path(__file__).parent / version / "protos.binpb"


def wheels(version: str) -> list[Path]:
    """The wheels of a release: frontend, agent and stubs."""
    return sorted((Path(__file__).parent / version).glob("*.whl"))


def install(version: str, folder: Path) -> Path:
    """Unpacks a release; its third-party packages are those of the running environment.

    Args:
        version: The release.
        folder: Where to; made if it does not exist.

    Returns:
        The folder with its commands, such as `drink-frontend`.
    """
    site, commands = folder.absolute() / "site", folder.absolute() / "bin"
    commands.mkdir(parents=True)
    for wheel in wheels(version):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for entry_points in site.glob("*.dist-info/entry_points.txt"):
        parser = ConfigParser()
        parser.read(entry_points, encoding="utf-8")
        for name, target in parser["console_scripts"].items():
            module, _, function = target.partition(":")
            script = commands / name
            script.write_text(
                _SCRIPT.format(
                    python=sys.executable, site=str(site), module=module, function=function
                ),
                encoding="utf-8",
            )
            script.chmod(0o755)
    return commands
