"""Checks the files of others that are kept here: each has its version, source, licence and hash.

`third_party/vendored.toml` lists them; a file in their folders that it does not list is an error.

Usage: python scripts/check_vendored.py
"""

import sys
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

KEYS = ("version", "source", "licence", "for", "files")
"""What every entry has; `files` has the SHA-256 of each file by its path."""


def problems(root: Path) -> Iterator[str]:
    """Everything that is not as the list says, one line each.

    Args:
        root: Folder of the repository.
    """
    listed = tomllib.loads((root / "third_party/vendored.toml").read_text(encoding="utf-8"))
    known: set[Path] = set()
    for name, entry in listed.items():
        yield from (f"{name}: `{key}` is missing" for key in KEYS if not entry.get(key))
        for path, digest in entry.get("files", {}).items():
            known.add(root / path)
            if not (root / path).is_file():
                yield f"{name}: {path} is missing"
            elif sha256((root / path).read_bytes()).hexdigest() != digest:
                yield f"{name}: {path} is not the file of version {entry.get('version')}"
    for folder in sorted({path.parent for path in known if path.parent.is_dir()}):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path not in known:
                yield f"{path.relative_to(root)} is not in third_party/vendored.toml"


def main() -> None:
    """Prints the problems; exits 1 if there is one."""
    found = list(problems(ROOT))
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
