"""Pages that show commands and what they print: read, run, and compared with what is printed.

In a block of the language `console` a line such as `alice$ drink balance` is a command of a person,
and the lines after it are what it prints. Prompts for passwords among those are answered. A line
`...` stands for any lines. Blanks count as one, times as any time; an id that the page shows stands
for the one that was printed at its place, also in the commands after it. `echo $?` shows the exit
code of the command before, which otherwise has to be 0. A block of another language after a line
`<!-- file: PERSON NAME -->` is a file of that person, and `<!-- do: WORDS -->` is done by the test.
"""

import contextlib
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from drink_cli.main import main

LIMIT_S = 60
"""Seconds that a command of a page may take."""

_OF_SHELLS = set("|<>$;&*")
"""Characters of commands that need a shell."""

_PROMPT = re.compile(r"([a-z]+)\$ (.+)")
_ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?|\b\d{4}-\d\d-\d\d\b")
_ASKS = re.compile(r"(?:password of (?P<whose>\w+)|(?P<new>new password)(?: of (?P<user>\w+))?): ?")
_ASKS_AGAIN = "the same again:"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        line: Where it stands, from 1.
        person: Who types it.
        text: What is typed.
        shown: What it prints, as the page shows it.
    """

    line: int
    person: str
    text: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a person."""

    person: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Act:
    """What the test has to do, in words."""

    words: tuple[str, ...]


Step = Command | File | Act


def steps_of(page: str) -> Iterator[Step]:
    """What a page says, in its order."""
    lines = page.split("\n")
    file: tuple[str, str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if match := re.fullmatch(r"<!-- (do|file): (.+) -->", line):
            words = tuple(match[2].split())
            if match[1] == "do":
                yield Act(words)
            else:
                file = (words[0], words[1])
        elif line.startswith("```"):
            end = lines.index("```", number)
            if line == "```console":
                yield from _commands(lines[number:end], number + 1)
            elif file is not None:
                yield File(*file, "\n".join(lines[number:end]) + "\n")
                file = None
            number = end + 1


def _commands(block: list[str], first: int) -> Iterator[Command]:
    starts = [index for index, line in enumerate(block) if _PROMPT.fullmatch(line)]
    assert starts[:1] == [0], f"line {first}: a block begins with a command"
    for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
        match = _PROMPT.fullmatch(block[start])
        assert match
        shown = tuple(line for line in block[start + 1 : end] if line)
        yield Command(first + start, match[1], match[2], shown)


class Reader:
    """Does what a page says.

    Args:
        folder: Where each person gets a home.
        environment: For every command.
        passwords: What each person answers to a question for a password, in turn; by account.
        names: Texts of the page, and what they stand for here.
        do: Does the other things.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        passwords: Mapping[str, str],
        names: Mapping[str, str],
        do: Callable[..., None],
    ) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._passwords = passwords
        self._names = names
        self._do = do
        self._ids: dict[str, str] = {}
        self._code = 0
        self.printed: list[tuple[Command, list[str]]] = []
        """What each command printed."""

    def home(self, person: str) -> Path:
        """The folder in which a person types."""
        home = self._folder / person
        home.mkdir(parents=True, exist_ok=True)
        return home

    def read(self, page: str) -> None:
        """Does each step, and compares."""
        steps = list(steps_of(page))
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            match step:
                case Act(words):
                    self._do(*words)
                case File(person, name, content):
                    (self.home(person) / name).write_text(content, encoding="utf-8")
                case Command(text="echo $?"):
                    assert step.shown == (str(self._code),), f"line {step.line}: {self._code}"
                case Command():
                    told = isinstance(following, Command) and following.text == "echo $?"
                    self._run(step, may_fail=told)

    def typed(self, person: str, text: str) -> str:
        """Types a command that is not on the page; what it prints."""
        printed = self._type(text, self.home(person), "")
        assert self._code == 0, printed
        return printed

    def _run(self, command: Command, *, may_fail: bool) -> None:
        text = self._real(command.text)
        asked = [match for line in command.shown if (match := _ASKS.fullmatch(line))]
        typed = [self._answer(command.person, each) for each in asked]
        home = self.home(command.person)
        output = self._type(text, home, "".join(f"{line}\n" for line in typed))
        printed = [line.rstrip() for line in output.splitlines() if line.strip()]
        self.printed.append((command, printed))
        shown = [
            line
            for line in command.shown
            if not _ASKS.fullmatch(line) and line.strip() != _ASKS_AGAIN
        ]
        at = f"line {command.line}: {text}\nexit code {self._code}, printed:\n{output}"
        assert may_fail or self._code == 0, at
        assert self._compare(shown, printed), f"{at}\nthe page has:\n" + "\n".join(shown)

    def _type(self, text: str, home: Path, typed: str) -> str:
        """Runs a command, and returns what it printed.

        `drink` alone runs in this process, which spares the second in which a process of its own
        would load it.
        """
        environment = self._environment | {"HOME": str(home)}
        if text.startswith("drink ") and not _OF_SHELLS & set(text):
            with contextlib.chdir(home):
                runner = CliRunner(env=environment)
                result = runner.invoke(main, shlex.split(text)[1:], input=typed)
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            self._code = result.exit_code
            return result.output
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=home,
            env=environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        self._code = done.returncode
        return done.stdout

    def _answer(self, person: str, asked: re.Match[str]) -> str:
        if asked["new"]:
            return self._passwords[f"new:{asked['user'] or person}"]
        whose = asked["whose"]
        return self._passwords[person if whose == "now" else whose]

    def _compare(self, shown: list[str], printed: list[str]) -> bool:
        if not shown:
            return not printed
        if shown[0] == "...":
            rest = range(len(printed) + 1)
            return any(self._compare(shown[1:], printed[start:]) for start in rest)
        if not printed or not self._is_same(shown[0], printed[0]):
            return False
        return self._compare(shown[1:], printed[1:])

    def _is_same(self, shown: str, printed: str) -> bool:
        """Whether a line is the page's; binds the ids that it is the first to show."""
        names: list[str] = []
        pattern = ""
        for part in re.split(f"({_TIME.pattern}|{_ID.pattern})", self._real(shown)):
            if _TIME.fullmatch(part):
                pattern += f"(?:{_TIME.pattern})"
            elif _ID.fullmatch(part) and part not in self._ids.values():
                names.append(part)
                pattern += f"({_ID.pattern})"
            else:
                pattern += r"\s+".join(map(re.escape, re.split(r"\s+", part)))
        match = re.fullmatch(pattern, printed.rstrip())
        if match is None or not set(match.groups()).isdisjoint(self._ids.values()):
            return False
        self._ids.update(zip(names, match.groups(), strict=True))
        return True

    def _real(self, text: str) -> str:
        for name, real in [*self._names.items(), *self._ids.items()]:
            text = text.replace(name, real)
        return text
