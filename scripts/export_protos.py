"""Exports the protos for clients in other languages: all that protoc needs, folder or archive.

What is exported differs from protos/ in two ways. It holds every file that is imported, also those
that compilers do not always bring along. And the files of drink.v1 carry the options by which Go
and Java name their packages; in the repository they would count as a breaking change.

Usage: python -m scripts.export_protos [--folder FOLDER] [--archive FILE]
"""

import argparse
import gzip
import io
import re
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
ANNOTATIONS = ROOT / "third_party" / "googleapis"
WELL_KNOWN = Path(str(files("grpc_tools"))) / "_proto"

GO_PACKAGE = "drink.example.org/protos/drink/v1;drinkv1"
"""Import path of the Go code; a name that belongs to nobody, for `replace` in a go.mod, or for
`--go_opt=M...` to put another in its place."""

JAVA_PACKAGE = "org.example.drink.v1"

_PACKAGE = re.compile(r"^package drink\.v1;$", re.MULTILINE)
_IMPORT = re.compile(r'^import "([^"]+)";$', re.MULTILINE)


def exported() -> dict[str, bytes]:
    """Every file of the export, by its path in it."""
    found: dict[str, bytes] = {}
    for path in sorted(PROTOS.glob("drink/**/*.proto")):
        found[str(path.relative_to(PROTOS))] = _with_options(path.read_text("utf-8")).encode()
    wanted = list(found)
    while wanted:
        for name in _IMPORT.findall(found[wanted.pop()].decode()):
            if name not in found:
                found[name] = _imported(name)
                wanted.append(name)
    found["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    found["README.md"] = (PROTOS / "export.md").read_bytes()
    return found


def write_folder(content: Mapping[str, bytes], folder: Path) -> None:
    """Writes the export into a folder."""
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def write_archive(content: Mapping[str, bytes], path: Path) -> None:
    """Writes the export as a gzipped tar file with one folder, the same bytes each time."""
    top = f"drink-protos-{version()}"
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(content):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content[name]), 0o644
            archive.addfile(entry, io.BytesIO(content[name]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(inner.getvalue(), mtime=0))


def version() -> str:
    """Version of the protos' distribution."""
    project = tomllib.loads((PROTOS / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def _with_options(text: str) -> str:
    options = (
        f'option go_package = "{GO_PACKAGE}";\n'
        "option java_multiple_files = true;\n"
        f'option java_package = "{JAVA_PACKAGE}";'
    )
    with_options, times = _PACKAGE.subn(lambda found: f"{found[0]}\n\n{options}", text)
    assert times == 1, "one package a file"
    return with_options


def _imported(name: str) -> bytes:
    for folder in (ANNOTATIONS, WELL_KNOWN):
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    raise FileNotFoundError(name)


def main() -> None:
    """Writes what is asked for; without arguments the archive into dist/."""
    parser = argparse.ArgumentParser(description="Exports the protos for other languages.")
    parser.add_argument("--folder", type=Path, help="write the files into this folder")
    parser.add_argument("--archive", type=Path, help="write an archive, a .tar.gz")
    arguments = parser.parse_args()
    content = exported()
    if arguments.folder is not None:
        write_folder(content, arguments.folder)
    archive = arguments.archive
    if archive is None and arguments.folder is None:
        archive = ROOT / "dist" / f"drink-protos-{version()}.tar.gz"
    if archive is not None:
        write_archive(content, archive)
        sys.stdout.write(f"{archive}\n")


if __name__ == "__main__":
    main()
