"""Checks what linters do not: sizes, the map from modules to tests, and texts that must not stay.

Usage: python scripts/check_layout.py
"""

import ast
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef

ROOT = Path(__file__).resolve().parent.parent

MODULE_LINES_MAX = 500
"""Lines of one module or test file; past it a reader cannot hold it in mind."""

FUNCTION_LINES_MAX = 50
"""Lines of one function's body, its docstring not counted."""

SOURCES = {
    "services/cli/src/drink_cli": "tests/cli",
    "services/frontend/src/drink_frontend": "tests/frontend",
    "services/machine_agent/src/drink_agent": "tests/agent",
    "services/web/src/drink_web": "tests/web",
}
"""Packages, each with the folder of tests that mirrors it."""

MIGRATIONS = "services/frontend/src/drink_frontend/storage/migrations/versions/"

TESTED_BY = {
    "services/frontend/src/drink_frontend/storage/triggers.py": (
        "tests/frontend/storage/test_tables.py"
    ),
    "services/frontend/src/drink_frontend/storage/transaction.py": (
        "tests/contract/storage/test_writing.py"
    ),
    MIGRATIONS: "tests/frontend/storage/migrations/test_run.py",
    # What a request shares is tested by what the pages do with it.
    "services/web/src/drink_web/visit.py": "tests/web/test_app.py",
    # The same modules as the frontend's, whose tests are tests of both.
    "services/machine_agent/src/drink_agent/loglines/": "tests/repository/test_loglines.py",
    "services/web/src/drink_web/spans/": "tests/repository/test_spans.py",
}
"""Modules, or folders of them, whose tests are better elsewhere, each with the place."""

LONG_FUNCTIONS: dict[str, str] = {
    MIGRATIONS: "a migration lists tables, and is never edited once it is released",
}
"""Modules, or folders of them, whose functions may be longer, each with the reason."""

LEFTOVER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
"""Marks of unfinished work. What is open belongs into an issue."""

PRIVATE_PATH = re.compile(r"(?<![\w.~*/-])/(?:home|Users|root|work|workspace)/\w")
"""Paths that exist on one person's machine only."""

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
"""Where a Markdown link leads, within the repository."""

EXEMPT = (
    "uv.lock",
    "protos/python/",
    "services/web/src/drink_web/static/vendor/",
    "third_party/",
    "scripts/check_layout.py",
    "tests/repository/test_layout.py",
)
"""Files made by tools or by others, and the two that name what must not be found."""


def tracked() -> dict[str, str]:
    """The repository's text files by path, those not yet added included."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    texts = {}
    for name in sorted(filter(None, listing.stdout.split("\0"))):
        if (ROOT / name).is_file() and not name.startswith(EXEMPT):
            with contextlib.suppress(UnicodeDecodeError):
                texts[name] = (ROOT / name).read_text(encoding="utf-8")
    return texts


def functions(source: str) -> Iterator[Function]:
    """Every function and method of a module, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """Lines from a function's first statement to its last; its docstring is none."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    end = statements[-1].end_lineno
    assert end is not None, "parsed from text, so it has an end"
    return end - statements[0].lineno + 1


def long_parts(name: str, source: str) -> Iterator[str]:
    """A module, and functions in it, that are too long."""
    lines = source.count("\n")
    if lines > MODULE_LINES_MAX:
        yield f"{name}: {lines} lines, {MODULE_LINES_MAX} at most"
    if name.startswith(tuple(LONG_FUNCTIONS)):
        return
    for function in functions(source):
        length = body_lines(function)
        if length > FUNCTION_LINES_MAX:
            yield (
                f"{name}:{function.lineno}: {function.name} has {length} lines, "
                f"{FUNCTION_LINES_MAX} at most"
            )


def leftovers(name: str, text: str) -> Iterator[str]:
    """Lines that speak of unfinished work or of one person's machine."""
    for number, line in enumerate(text.splitlines(), start=1):
        if LEFTOVER.search(line):
            yield f"{name}:{number}: a mark of unfinished work"
        if PRIVATE_PATH.search(line):
            yield f"{name}:{number}: a path of one machine"


def dead_links(name: str, text: str) -> Iterator[str]:
    """Links of a Markdown page to files that are not there."""
    for target in LINK.findall(text):
        if not (ROOT / name).parent.joinpath(target).exists():
            yield f"{name}: {target} is linked and not there"


def does_something(source: str) -> bool:
    """Whether a module has a function with a body; declarations alone need no test."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions(source)
        for statement in function.body
    )


def mirrors(name: str) -> list[str]:
    """Where the tests of the module `name` may be; empty outside the services' packages."""
    for package, tests in SOURCES.items():
        if name.startswith(f"{package}/") and re.search(r"/(?!__init__)\w+\.py$", name):
            module = Path(name).relative_to(package)
            test = module.parent / f"test_{module.name}"
            return [f"{tests}/{test}", f"tests/contract/{test}"]
    return []


def untested(texts: Mapping[str, str], tested_by: Mapping[str, str]) -> Iterator[str]:
    """Modules without tests, and entries of `tested_by` that are wrong or not needed."""
    needed = set()
    for name, text in texts.items():
        places = mirrors(name)
        if not places or texts.keys() & set(places) or not does_something(text):
            continue
        entry = next((path for path in tested_by if name.startswith(path)), None)
        if entry is None:
            yield f"{name}: {places[0]} is missing"
        else:
            needed.add(entry)
    for path, test in tested_by.items():
        if path not in needed:
            yield f"scripts/check_layout.py: TESTED_BY names {path} without need"
        if test not in texts:
            yield f"scripts/check_layout.py: TESTED_BY names {test}, which is missing"


def numbered_twice(names: Iterable[str]) -> Iterator[str]:
    """Migrations with the number of another one: two changes made at the same time."""
    last = ""
    for name in sorted(each for each in names if each.startswith(f"{MIGRATIONS}r")):
        number = name.removeprefix(MIGRATIONS).partition("_")[0]
        if number == last:
            yield f"{name}: another migration has this number"
        last = number


def problems() -> Iterator[str]:
    """Everything that is not as it should be, one line each."""
    texts = tracked()
    for name, text in texts.items():
        yield from leftovers(name, text)
        if name.endswith(".md"):
            yield from dead_links(name, text)
        if name.endswith(".py"):
            yield from long_parts(name, text)
    yield from numbered_twice(texts)
    yield from untested(texts, TESTED_BY)


def main() -> None:
    """Prints the problems; exits 1 if there is one."""
    found = list(problems())
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
