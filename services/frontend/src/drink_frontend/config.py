"""The frontend's settings: one TOML file, overridden by environment variables.

A key `storage.path` is overridden by `DRINK_STORAGE__PATH`. Unknown keys are errors.
"""

import json
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from drink_frontend.links.settings import LinkSettings
from drink_frontend.metrics.settings import MetricsSettings
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.sessions.settings import SessionSettings
from drink_frontend.spans.settings import TracingSettings
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.system.directory.settings import LdapSettings
from drink_frontend.system.oidc_settings import OidcSettings
from drink_frontend.usecases.settings import (
    AccountSettings,
    AlarmSettings,
    DropSettings,
    EventSettings,
    MonitorSettings,
    PresenceSettings,
    StatisticsSettings,
    TemperatureSettings,
)

ENV_PREFIX = "DRINK_"


class ConfigError(Exception):
    """The settings are invalid; the message names each wrong key and the reason."""


class LogSettings(BaseModel):
    """Content and format of the log."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged; default `info`, a few lines a drop."""

    format: Literal["auto", "json", "console"] = "auto"
    """`json` for machines, `console` for people; default `auto`: console on a terminal."""

    queue_lines_max: int = Field(default=4_096, ge=64, le=1_000_000)
    """Lines that may wait to be written; default 4,096, 20 MB of memory at the very worst. Above it
    lines are lost and counted, and `log_lines_lost` has their number as soon as lines can be
    written again: no sale waits for the log."""

    repeats_per_minute_max: int = Field(default=20, ge=1, le=1_000_000)
    """Lines of one event, and of one machine where it is about one, in any minute; default 20, so
    that strangers cannot fill the disk. All events together share as many beyond the first 5 of
    each. The next line of the event has as `unlogged` how many were left out. What happens to drops
    is always logged, and so is what ends the process."""

    flush_limit_s: float = Field(default=2.0, ge=0, le=60)
    """Seconds that the process waits at its end for the last lines to be written; default 2.
    Their reader may have stopped."""


class ShutdownSettings(BaseModel):
    """How the frontend stops."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    drops_limit_s: float = Field(default=15, ge=0, le=300)
    """Seconds to wait for drops in progress; default 15: a motor needs up to 10. Drops that are not
    settled by then are settled after the next start; nothing is lost."""

    calls_limit_s: float = Field(default=10, ge=0, le=300)
    """Seconds that calls and links may take to end after that; default 10."""


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    storage: StorageSettings = Field(default_factory=StorageSettings)
    """The database."""
    rpc: RpcSettings = Field(default_factory=RpcSettings)
    """The gRPC listener."""
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    """The TCP session listeners."""
    links: LinkSettings = Field(default_factory=LinkSettings)
    """The machine agents' links."""
    drops: DropSettings = Field(default_factory=DropSettings)
    """Limits of drops."""
    accounts: AccountSettings = Field(default_factory=AccountSettings)
    """Limits of accounts."""
    ldap: LdapSettings = Field(default_factory=LdapSettings)
    """Logins at an LDAP directory."""
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    """Signing in with OpenID providers; see docs/sign-in.md."""
    alarms: AlarmSettings = Field(default_factory=AlarmSettings)
    """Limits of the records that agents cause."""
    monitor: MonitorSettings = Field(default_factory=MonitorSettings)
    """Alarms that the frontend raises and closes itself."""
    events: EventSettings = Field(default_factory=EventSettings)
    """The log of events."""
    statistics: StatisticsSettings = Field(default_factory=StatisticsSettings)
    """The sums that `StatisticsService` shows."""

    temperatures: TemperatureSettings = Field(default_factory=TemperatureSettings)
    """Temperatures of machines through time."""
    presence: PresenceSettings = Field(default_factory=PresenceSettings)
    """Detection of other frontends on the same database."""
    shutdown: ShutdownSettings = Field(default_factory=ShutdownSettings)
    """How the frontend stops."""
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    """The port where Prometheus reads the metrics."""
    log: LogSettings = Field(default_factory=LogSettings)
    """What is logged."""
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    """Traces of drops, sent to a collector of OpenTelemetry."""

    @property
    def certificates(self) -> dict[str, Path]:
        """Files of the listeners' certificates, by names of the listeners."""
        files = {"rpc": self.rpc.tls_certificate}
        for listener in self.sessions.listeners:
            files[f"session {listener.port}"] = listener.tls_certificate
        return {name: file for name, file in files.items() if file is not None}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment has precedence over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        assert isinstance(env_settings, EnvSettingsSource)
        return (env_settings, init_settings)


def load(path: Path | None) -> Settings:
    """The settings of the file at `path` (none: the defaults) and the environment.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown or has a wrong value.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            # Some editors begin UTF-8 with a byte order mark.
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    # The settings library takes arguments with such names for options of its own.
    if reserved := [key for key in values if key.startswith("_")]:
        raise ConfigError("\n".join(f"{key}: Extra inputs are not permitted" for key in reserved))
    problems = dict(_wrong_types(values))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems.update(_problems(error))
    if problems:
        raise ConfigError("\n".join(f"{key}: {problem}" for key, problem in problems.items()))
    return settings


def _wrong_types(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys of a file whose values have a wrong type.

    The settings themselves also take `"5"` for 5 and true for 1, since the environment has nothing
    but text; in a file that is a mistake.
    """
    for name, section in values.items():
        field = Settings.model_fields.get(name)
        if field is None:
            continue
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        try:
            # From JSON, where a path and a choice are text even to the strict.
            model.model_validate_json(json.dumps(section, default=str), strict=True)
        except ValidationError as error:
            yield from _problems(error, name, kind="_type")


def _problems(error: ValidationError, *section: str, kind: str = "") -> Iterator[tuple[str, str]]:
    """Keys and what is wrong with them, of errors whose type ends with `kind`."""
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"].endswith(kind):
            yield ".".join(map(str, (*section, *problem["loc"]))), problem["msg"]


def show(settings: Settings) -> str:
    """The settings as indented JSON; secrets are masked by their types."""
    return json.dumps(settings.model_dump(mode="json"), indent=2)


def reference() -> str:
    """Every key with its default, unit and reason, as Markdown."""
    lines = [
        "# Configuration of the frontend",
        "",
        "<!-- Generated by `drink-frontend config reference`. -->",
        "",
        "One TOML file, named by `--config` or `DRINK_CONFIG`. Each key can be overridden by an",
        "environment variable: `rpc.port` by `DRINK_RPC__PORT`. Unknown keys and wrong values are",
        "errors. `drink-frontend config check` prints what is in force.",
    ]
    for name, section in Settings.model_fields.items():
        lines += _section(f"[{name}]", section)
    return "\n".join(lines) + "\n"


def _section(header: str, section: FieldInfo) -> list[str]:
    """A section's keys, then those of the sections in it."""
    model = _model(section.annotation)
    assert model is not None
    lines, inner = ["", f"## {header}", "", _sentence(section)], []
    for key, field in model.model_fields.items():
        if _model(field.annotation) is None:
            default = _toml(field.get_default(call_default_factory=True))
            lines += ["", f"`{key} = {default}`", "", _sentence(field)]
        else:
            path = f"{header.strip('[]')}.{key}"
            several = typing.get_origin(field.annotation) is tuple
            inner += _section(f"[[{path}]]" if several else f"[{path}]", field)
    return lines + inner


def _model(annotation: object) -> type[BaseModel] | None:
    """The model that a key's type consists of, if it is a section or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, typing.get_args(annotation))), None)


def _sentence(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _toml(value: object) -> str:
    match value:
        case None:
            return "(none)"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case dict():
            return "{}"
        case _:
            return f'"{value}"'
