"""Binds faults and invariants to their tests, and writes the tables of docs/guarantees.md.

A test names the faults that it causes (`test_fault_41_...`, `test_fault_24_25_...`), and whatever
holds something against an invariant says so in its docstring ("Invariant 8: ...", "Invariants 1 to
5 and 13") or, a test, in its name. `proof_tables.toml` says which numbers there are.

Usage: python scripts/proof_tables.py [--check]
"""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

NUMBERS = ROOT / "scripts" / "proof_tables.toml"
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "guarantees.md"

BY_NAME = re.compile(r"test_(fault|invariant)((?:_\d+)+)_")
BY_DOCSTRING = re.compile(r"\b[Ii]nvariants? (\d+(?:(?:,\s+|\s+and\s+|\s+to\s+)\d+)*)")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Numbers:
    """The faults, by group, and the invariants that there are."""

    groups: Mapping[str, Mapping[int, str]]
    invariants: Mapping[int, str]
    open: Mapping[int, str]
    """Faults of which a part has no test yet, each with the suite that will hold it."""

    @property
    def faults(self) -> set[int]:
        """Their numbers."""
        return {number for group in self.groups.values() for number in group}


@dataclass
class Proofs:
    """How many tests each number has, by file."""

    faults: dict[int, Counter[str]] = field(default_factory=dict)
    invariants: dict[int, Counter[str]] = field(default_factory=dict)

    def add(self, kind: str, number: int, file: str) -> None:
        """Counts one more."""
        table = self.faults if kind == "fault" else self.invariants
        table.setdefault(number, Counter())[file] += 1


def read_numbers(text: str) -> Numbers:
    """The numbers of a TOML text.

    Raises:
        ValueError: It is no TOML.
        KeyError: Something is missing.
    """
    tables = tomllib.loads(text)
    return Numbers(
        {group["title"]: _numbered(group["faults"]) for group in tables["groups"]},
        _numbered(tables["invariants"]),
        _numbered(tables.get("open", {})),
    )


def _numbered(table: Mapping[str, Any]) -> dict[int, str]:
    return {int(number): str(text) for number, text in table.items()}


def claims(source: str) -> Iterator[tuple[str, int]]:
    """What the definitions of a test file claim: fault or invariant, and its number."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Definition):
            found = set(_claims_of(node.name, ast.get_docstring(node) or ""))
            yield from sorted(found)


def _claims_of(name: str, docstring: str) -> Iterator[tuple[str, int]]:
    if match := BY_NAME.match(name):
        kind, numbers = match.groups()
        yield from ((kind, int(number)) for number in re.findall(r"\d+", numbers))
    for match in BY_DOCSTRING.finditer(docstring):
        for first, last in re.findall(r"(\d+)(?:\s+to\s+(\d+))?", match[1]):
            yield from (
                ("invariant", number) for number in range(int(first), int(last or first) + 1)
            )


def collect(tests: Path) -> Proofs:
    """What all test files in a folder claim; whoever only helps a test counts as a checker."""
    proofs = Proofs()
    for path in sorted(tests.rglob("*.py")):
        file = path.relative_to(tests).as_posix()
        for kind, number in claims(path.read_text(encoding="utf-8")):
            proofs.add(kind, number, file)
    return proofs


def problems(numbers: Numbers, proofs: Proofs) -> Iterator[str]:
    """Numbers without a test, and tests with a number that there is not."""
    for kind, known, found in (
        ("fault", numbers.faults, proofs.faults),
        ("invariant", set(numbers.invariants), proofs.invariants),
    ):
        for number in sorted(known - found.keys()):
            yield f"{kind} {number} has no test"
        for number in sorted(found.keys() - known):
            yield f"there is no {kind} {number}, which is claimed in {', '.join(found[number])}"
    for number in sorted(numbers.open.keys() - numbers.faults):
        yield f"fault {number} is listed as open, and there is none"


def _tested_by(files: Mapping[str, int]) -> str:
    """Links to files, each with the number of its tests."""
    return " · ".join(
        f"[{_short(file)}](../tests/{file}) {count}" for file, count in sorted(files.items())
    )


def _short(file: str) -> str:
    *folders, name = file.removesuffix(".py").split("/")
    return "/".join([*folders, name.removeprefix("test_")])


def fault_table(numbers: Numbers, proofs: Proofs) -> str:
    """The faults, each with its tests."""
    lines = []
    for title, faults in numbers.groups.items():
        lines += ["", f"**{title}**", "", "| | what happens | tests |", "| ---: | --- | --- |"]
        for number, text in faults.items():
            tests = _tested_by(proofs.faults.get(number, {}))
            if number in numbers.open:
                tests += f"<br>open: {numbers.open[number]}"
            lines.append(f"| {number} | {text} | {tests} |")
    return "\n".join(lines[1:])


def invariant_table(numbers: Numbers, proofs: Proofs) -> str:
    """The invariants, each with what checks it."""
    lines = ["| | what holds | checked in |", "| ---: | --- | --- |"]
    for number, text in numbers.invariants.items():
        lines.append(f"| {number} | {text} | {_tested_by(proofs.invariants.get(number, {}))} |")
    return "\n".join(lines)


def filled(page: str, name: str, table: str) -> str:
    """A page with a table between its markers.

    Raises:
        ValueError: The page has not these markers, once.
    """
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not (found and found_too):
        raise ValueError(f"no place for {name}")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def main() -> int:
    """The exit code: 1 if a number has no test or, with --check, the page is out of date."""
    numbers, proofs = read_numbers(NUMBERS.read_text(encoding="utf-8")), collect(TESTS)
    found = list(problems(numbers, proofs))
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old, "faults", fault_table(numbers, proofs))
    new = filled(new, "invariants", invariant_table(numbers, proofs))
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        found.append(f"{PAGE.relative_to(ROOT)} is not up to date, run `make docs`")
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
