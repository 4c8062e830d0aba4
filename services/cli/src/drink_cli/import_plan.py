"""The file of `drink admin import`: what a new house consists of, and the line of every mistake.

It is the file that the server's own import takes: `[[machines]]` with `[[machines.slots]]`, and
`[[users]]`.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

Key = tuple[str | int, ...]
"""Where a value stands: keys of tables and numbers of elements, such as `("users", 0, "name")`."""

NUMBER_MAX = {"number": 99, "price": 1_000_000, "available": 10_000, "credits": 1_000_000}
"""Highest value of each key, as the protos have it."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
_MACHINE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ITEM = re.compile(r'[^"\x00-\x1f\x7f-\x9f]{1,64}')
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,200}")
_PASSWORD = re.compile(r"[^\x00-\x20\x7f-\x9f]{1,128}")
_IBUTTON = re.compile(r"[0-9A-Fa-f]{16}")


class PlanError(Exception):
    """The file is wrong.

    Args:
        line: Where, from 1.
        message: What is wrong, without the value: it may be a password.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """A slot to make.

    Attributes:
        line: Where it stands in the file.
        name: Resource name.
        item: What it sells.
        price: Credits.
        available: Items that are in it.
    """

    line: int
    name: str
    item: str
    price: int
    available: int


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """A machine to make.

    Attributes:
        line: Where it stands in the file.
        name: As sessions name it.
        display_name: For people.
        location: Where it stands; empty if that is not said.
        token_file: For its agent's token, from the folder of the file; None for no token.
        slots: Its slots.
    """

    line: int
    name: str
    display_name: str
    location: str
    token_file: str | None
    slots: tuple[SlotPlan, ...]


@dataclass(frozen=True, slots=True)
class UserPlan:
    """A user to make.

    Attributes:
        line: Where it stands in the file.
        name: Of the account.
        password: To log in with; None for none.
        ibutton: 16 hexadecimal digits to log in with; None for none.
        admin: Whether an administrator.
        credits: To begin with.
    """

    line: int
    name: str
    password: str | None
    ibutton: str | None
    admin: bool
    credits: int


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Everything to make, in the order of the file."""

    machines: tuple[MachinePlan, ...]
    users: tuple[UserPlan, ...]


def read_plan(text: str) -> ImportPlan:
    """Parses a file; each value must have exactly the type of its key.

    Raises:
        PlanError: it is not TOML; or a key is unknown, missing, there twice, or its value is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise PlanError(line, str(error).partition(" (at ")[0]) from None
    root = _Table(text, (), document, _Lines(text))
    plan = ImportPlan(
        tuple(_machine(each) for each in root.tables("machines")),
        tuple(_user(each) for each in root.tables("users")),
    )
    root.end()
    _refuse_twins([(each.line, each.name) for each in plan.machines], "machine")
    slots = [slot for each in plan.machines for slot in each.slots]
    _refuse_twins([(each.line, each.name) for each in slots], "slot")
    # The server has no two names that differ only in case.
    _refuse_twins([(each.line, each.name.lower()) for each in plan.users], "user")
    return plan


def line_of(text: str, key: Key) -> int:
    """The line, from 1, in which a value of a valid document begins, or the array that it is in.

    The fewest first lines that hold the value are looked for by bisection, so that every way of
    writing it is understood.

    Args:
        text: The document.
        key: Where the value stands; it is there.
    """
    lines = [f"{line}\n" for line in text.split("\n")]
    low, high = 1, len(lines)
    while low < high:
        middle = (low + high) // 2
        if _has(_first_lines(lines, middle), key):
            high = middle
        else:
            low = middle + 1
    return low


class _Table:
    """A table of the file, from which each key is taken once."""

    def __init__(self, text: str, key: Key, values: Mapping[str, Any], lines: "_Lines") -> None:
        self._text = text
        self._key = key
        self._left = dict(values)
        self._lines = lines

    @property
    def line(self) -> int:
        return self._lines.of_table(self._key)

    def tables(self, name: str) -> Iterator["_Table"]:
        found = self._left.pop(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._wrong(name, "must be an array of tables")
        for number, values in enumerate(found):
            yield _Table(self._text, (*self._key, name, number), values, self._lines)

    def text(self, name: str, pattern: re.Pattern[str], rule: str) -> str:
        return self._take(name, str, lambda value: bool(pattern.fullmatch(value)), rule)

    def text_or_none(self, name: str, pattern: re.Pattern[str], rule: str) -> str | None:
        return self.text(name, pattern, rule) if name in self._left else None

    def number(self, name: str, lowest: int = 0, default: int | None = None) -> int:
        if default is not None and name not in self._left:
            return default
        highest = NUMBER_MAX[name]
        return self._take(
            name,
            int,
            lambda value: lowest <= value <= highest,
            f"must be a whole number from {lowest} to {highest}",
        )

    def is_true(self, name: str) -> bool:
        if name not in self._left:
            return False
        return self._take(name, bool, lambda _: True, "must be true or false")

    def end(self) -> None:
        """Refuses what nobody has taken."""
        for name in self._left:
            raise self._wrong(name, "unknown key")

    def _take(self, name: str, kind: type[T], is_good: Callable[[T], bool], rule: str) -> T:
        if name not in self._left:
            raise PlanError(self.line, f"{name}: missing")
        value = self._left[name]
        # A bool is an int to Python, and is none to TOML.
        if type(value) is not kind or not is_good(value):
            raise self._wrong(name, rule)
        del self._left[name]
        return value

    def _wrong(self, name: str, rule: str) -> PlanError:
        return PlanError(line_of(self._text, (*self._key, name)), f"{name}: {rule}")


class _Lines:
    """The lines of the tables in arrays, found in one pass, since a file has thousands of them.

    A part of the file from one header to the next is a document by itself, which has one element
    of each array that its header names.

    Args:
        text: The file, a valid document.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[Key, int] = {}
        machine = user = slot = -1
        for line, part in _parts(text):
            found = part.get("machines")
            if isinstance(part.get("users"), list):
                user += 1
                self._found["users", user] = line
            elif isinstance(found, list):
                machine, slot = machine + 1, -1
                self._found["machines", machine] = line
            elif isinstance(found, dict) and isinstance(found.get("slots"), list):
                slot += 1
                self._found["machines", machine, "slots", slot] = line

    def of_table(self, key: Key) -> int:
        """The line in which a table begins, or the array that it is in."""
        if key not in self._found:
            # An array of tables in braces has one line for all of them.
            array = key[:-1]
            self._found.setdefault(array, line_of(self._text, array))
            self._found[key] = self._found[array]
        return self._found[key]


def _machine(table: _Table) -> MachinePlan:
    name = table.text("name", _MACHINE, "must be 1 to 32 characters of a-z 0-9 -")
    rule = "must be a text of at most 200 characters without control characters"
    machine = MachinePlan(
        line=table.line,
        name=name,
        display_name=table.text("display_name", _TEXT, rule),
        location=table.text_or_none("location", _TEXT, rule) or "",
        token_file=table.text_or_none("token_file", re.compile(r"[^\x00]+"), "must be a path"),
        slots=tuple(_slot(each, name) for each in table.tables("slots")),
    )
    table.end()
    return machine


def _slot(table: _Table, machine: str) -> SlotPlan:
    slot = SlotPlan(
        line=table.line,
        name=f"machines/{machine}/slots/{table.number('number', 1)}",
        item=table.text(
            "item", _ITEM, "must be 1 to 64 characters without quotes and control characters"
        ),
        price=table.number("price"),
        available=table.number("available", default=0),
    )
    table.end()
    return slot


def _user(table: _Table) -> UserPlan:
    user = UserPlan(
        line=table.line,
        name=table.text("name", _ACCOUNT, "must be 1 to 32 characters of A-Z a-z 0-9 _ . -"),
        password=table.text_or_none(
            "password", _PASSWORD, "must be 1 to 128 printable characters without blanks"
        ),
        ibutton=table.text_or_none("ibutton", _IBUTTON, "must be 16 hexadecimal digits"),
        admin=table.is_true("admin"),
        credits=table.number("credits", default=0),
    )
    table.end()
    return user


def _refuse_twins(places: Sequence[tuple[int, str]], kind: str) -> None:
    seen: dict[str, int] = {}
    for line, name in places:
        if name in seen:
            raise PlanError(line, f"the same {kind} stands in line {seen[name]}")
        seen[name] = line


def _parts(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each part of a valid document from a header to the next, with the line of its header."""
    lines = [f"{line}\n" for line in text.split("\n")]
    starts = [number for number, line in enumerate(lines) if line.lstrip(" \t").startswith("[")]
    begin = starts[0] if starts else len(lines)
    for end in [*starts[1:], len(lines)]:
        try:
            part = tomllib.loads("".join(lines[begin:end]))
        except tomllib.TOMLDecodeError:
            # The line at the end is no header: it is within a value.
            continue
        yield begin + 1, part
        begin = end


def _first_lines(lines: Sequence[str], count: int) -> Any:
    """The document of the first lines; of some more, where they end within a value."""
    for end in range(count, len(lines) + 1):
        try:
            return tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
    raise AssertionError("the document is valid as a whole")


def _has(document: Any, key: Key) -> bool:
    for part in key:
        try:
            document = document[part]
        except (KeyError, IndexError):
            return False
    return True
