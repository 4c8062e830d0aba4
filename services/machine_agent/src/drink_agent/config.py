"""The agent's configuration: one TOML file, overridden by environment variables.

The key `token_file` in the section `[link]` is overridden by `DRINK_AGENT_LINK__TOKEN_FILE`.
Unknown keys and values of a wrong type are errors that name the key. Secrets are kept in separate
files.
"""

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from drink_agent.board.settings import BoardSettings
from drink_agent.domain.dispenser import DispenserSettings
from drink_agent.files import SecretFileError, read_secret
from drink_agent.journal.file import JournalSettings
from drink_agent.link.settings import LinkSettings
from drink_agent.logs import LogSettings
from drink_agent.reader.settings import ReaderSettings
from drink_agent.runtime.agent import AgentSettings

ENVIRONMENT_PREFIX = "DRINK_AGENT_"
"""Prefix of the environment variables that override a key."""

DEFAULT_PATH = Path("/etc/drink-machine-agent/agent.toml")
"""Default path of the file."""

_SECRET_KEYS = frozenset({"board.password"})
_MACHINE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_T = TypeVar("_T")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and contains no secret."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings."""

    machine: str
    """Required. Id of the agent's machine, such as `d`. The frontend uses the same id, and the
    token belongs to it."""
    board: BoardSettings
    """The board. Its password is set with `password_file`."""
    link: LinkSettings = field(default_factory=LinkSettings)
    """The link to the frontend."""
    journal: JournalSettings = field(default_factory=JournalSettings)
    """The journal."""
    dispenser: DispenserSettings = field(default_factory=DispenserSettings)
    """Limits of waiting and remembered drops."""
    agent: AgentSettings = field(default_factory=AgentSettings)
    """The agent's loop."""
    log: LogSettings = field(default_factory=LogSettings)
    """Logging."""
    reader: ReaderSettings = field(default_factory=ReaderSettings)
    """A reader of cards for the machine's kiosks; none by default."""

    @property
    def identity_file(self) -> Path:
        """File with the identity of the machine's board."""
        journal = self.journal.path
        return self.board.identity_file or journal.with_name(journal.name + ".board")


def load(path: Path, environment: Mapping[str, str], *, secrets: bool = True) -> Config:
    """Reads the file and the environment.

    Args:
        path: The file.
        environment: Variables that override it.
        secrets: Whether the files with secrets are read; not every user may read them.

    Raises:
        ConfigError: The file, a variable or a secret's file cannot be used.
    """
    try:
        # Some editors write a byte order mark.
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    _override(values, environment)
    return parse(values, secrets=secrets)


def parse(values: Mapping[str, Any], *, secrets: bool = True) -> Config:
    """Returns the configuration in a table of values.

    Args:
        values: The table.
        secrets: Whether the files with secrets are read; else their paths replace the secrets.

    Raises:
        ConfigError: A key is unknown or missing, or a value or a secret's file cannot be used.
    """
    values = dict(values)
    if isinstance(values.get("board"), dict):
        values["board"] = _with_password(values["board"], read_secret if secrets else str)
    config = _section(Config, values, "")
    if not _MACHINE_ID.fullmatch(config.machine):
        raise ConfigError("machine must be 1 to 32 characters of a-z 0-9 -")
    return config


def describe(config: Config) -> Iterator[str]:
    """Yields all settings as lines of the form `key = value`, with secrets masked."""
    yield from _describe(config, "")


def _override(values: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        table = values
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {section} is not a section")
        table[key] = _FromEnvironment(environment[name])


class _FromEnvironment(str):
    """Text of an environment variable, not yet converted to the type of its key."""

    __slots__ = ()


def _with_password(board: Mapping[str, Any], read: Callable[[Path], str]) -> dict[str, Any]:
    """Replaces `password_file` by the password that the file contains."""
    if "password" in board:
        raise ConfigError("board.password: passwords are kept in a file, see board.password_file")
    board = dict(board)
    if "password_file" in board:
        path = _value(Path, board.pop("password_file"), "board.password_file")
        try:
            board["password"] = read(path)
        except SecretFileError as error:
            raise ConfigError(f"board.password_file: {error}") from error
    return board


def _section(kind: type[_T], values: Mapping[str, Any], prefix: str) -> _T:
    hints = typing.get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise ConfigError(f"{prefix}{name}: unknown key")
    parsed = {}
    for name, each in fields.items():
        if dataclasses.is_dataclass(hints[name]) and (name in values or not _has_default(each)):
            table = values.get(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{prefix}{name}: must be a section")
            parsed[name] = _section(hints[name], table, f"{prefix}{name}.")
        elif name in values:
            parsed[name] = _value(hints[name], values[name], f"{prefix}{name}")
        elif not _has_default(each):
            raise ConfigError(f"{prefix}{name}: required")
    try:
        return kind(**parsed)
    except ValueError as error:
        raise ConfigError(_named(str(error), fields, prefix)) from error


def _named(problem: str, fields: Iterable[str], prefix: str) -> str:
    """Returns the problem with the full name of the key if it starts with a key of the section."""
    named = re.match(r"\w+", problem)
    if named and {named[0], named[0].removesuffix("_file")} & set(fields):
        return prefix + problem
    return f"{prefix.rstrip('.') or 'configuration'}: {problem}"


def _has_default(each: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return each.default is not missing or each.default_factory is not missing


def _value(kind: Any, value: Any, key: str) -> Any:
    if isinstance(value, _FromEnvironment):
        value = _typed(kind, value, key)
    origin = typing.get_origin(kind)
    if origin is types.UnionType or origin is typing.Union:
        (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
        return _value(kind, value, key)
    if origin is Literal:
        if value not in typing.get_args(kind):
            allowed = ", ".join(map(str, typing.get_args(kind)))
            raise ConfigError(f"{key}: must be one of {allowed}")
        return value
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ConfigError(f"{key}: must be a list of strings")
        return tuple(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{key}: must be {_name_of(kind)}")
    return value


def _typed(kind: Any, text: str, key: str) -> Any:
    """Converts the text of a variable.

    Strings have no quotes, list items are separated by commas, and everything else is TOML.
    """
    if typing.get_origin(kind) is tuple:
        return [each.strip() for each in text.split(",") if each.strip()]
    if kind not in (int, float, bool):
        return str(text)
    try:
        (value,) = tomllib.loads(f"value = {text.strip()}").values()
    except ValueError as error:
        raise ConfigError(f"{key}: must be {_name_of(kind)}") from error
    return value


def _name_of(kind: Any) -> str:
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "a path")


def _describe(section: Any, prefix: str) -> Iterator[str]:
    for each in dataclasses.fields(section):
        value = getattr(section, each.name)
        key = f"{prefix}{each.name}"
        if dataclasses.is_dataclass(value):
            yield from _describe(value, f"{key}.")
        elif key in _SECRET_KEYS:
            yield f"{key} = {'********' if value else '(none)'}"
        else:
            yield f"{key} = {_shown(value)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "(none)"
        case bool():
            return str(value).lower()
        case tuple():
            return "[" + ", ".join(f'"{each}"' for each in value) + "]"
        case int() | float():
            return str(value)
        case _:
            return f'"{value}"'
