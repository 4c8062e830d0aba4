"""The settings of the page: one TOML file, overridden by environment variables.

A key `http.port` is overridden by `DRINK_WEB_HTTP__PORT`. Unknown keys are errors.
"""

import ipaddress
import json
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from drink_web.metrics.settings import MetricsSettings
from drink_web.notify_settings import NotifySettings
from drink_web.spans.settings import TracingSettings

ENV_PREFIX = "DRINK_WEB_"


class ConfigError(Exception):
    """The settings are invalid; the message names each wrong key and the reason."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class HttpSettings(_Section):
    """The HTTP listener."""

    address: str = "127.0.0.1"
    """Address to listen on; default loopback, for a proxy with TLS on the same host."""

    port: int = Field(default=8080, ge=0, le=65_535)
    """Port to listen on; default 8080, 0 for any free one."""

    allow_plain_remote: bool = False
    """Whether an address that others can reach may be listened on without TLS; default no. It is
    for a container whose port leads to loopback or to a proxy with TLS only."""

    proxies: tuple[str, ...] = ()
    """Networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, such as
    `127.0.0.1/32`; default none. Without them all browsers behind a proxy are one address."""

    body_bytes_max: int = Field(default=16_384, ge=1_024, le=1_048_576)
    """Bytes of the largest request body; default 16,384: the largest form has 1 KB."""

    body_limit_s: float = Field(default=10, gt=0, le=300)
    """Seconds that a request's body may take to arrive; default 10."""

    connections_max: int = Field(default=4_096, ge=16, le=100_000)
    """Connections and requests at once; default 4,096. Above it the answer is 503."""

    idle_limit_s: int = Field(default=15, ge=1, le=3_600)
    """Seconds that a connection without a request is kept open; default 15."""

    @field_validator("proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @model_validator(mode="after")
    def _private(self) -> Self:
        if not (self.allow_plain_remote or is_loopback(self.address)):
            raise ValueError("address is not loopback; passwords need TLS, see allow_plain_remote")
        return self


class FrontendSettings(_Section):
    """The frontend whose API this page shows."""

    address: str = Field(default="localhost:50051", min_length=1)
    """Host and port of a frontend's gRPC, or of what stands before several; default
    `localhost:50051`."""

    ca_file: Path | None = None
    """PEM file of the authority that signed the frontend's certificate; default none: those that
    the system trusts."""

    allow_plain_remote: bool = False
    """Whether a frontend that is not on loopback is talked to without TLS; default no. It is for
    networks that are nobody else's, such as that of compose.yaml."""

    gateway_token_file: Path | None = None
    """File with this gateway's token, the second word of its line in the frontend's
    `rpc.gateways`; default none. Without it all browsers count as one address at the frontend, and
    who guesses passwords slows down everybody."""

    call_limit_s: float = Field(default=8, gt=0, le=60)
    """Seconds that a call may take, its retries included; default 8. A page that waits longer says
    that the frontend does not answer."""

    rewatch_first_s: float = Field(default=0.25, gt=0, le=60)
    """Seconds until a broken watch of the machines is begun again; default 0.25, then twice as
    long each time."""

    rewatch_limit_s: float = Field(default=5, gt=0, le=300)
    """Most seconds between two such attempts; default 5."""

    temperatures_s: float = Field(default=300, ge=1, le=86_400)
    """Seconds between two looks at the temperatures of the last day, which the first page draws;
    default 300, as often as there is a new one."""


class CookieSettings(_Section):
    """The cookie that keeps a browser's login."""

    key_file: Path = Path("/var/lib/drink-web/cookie.keys")
    """File with the keys that encrypt the cookie, one per line, mode 0600; default
    `/var/lib/drink-web/cookie.keys`. It is made if it is missing. The first key encrypts, all
    decrypt: add a new first line, and remove the old one a month later. Several processes share
    it."""


class StreamSettings(_Section):
    """Open event streams, which keep pages up to date."""

    max: int = Field(default=2_000, ge=1, le=100_000)
    """Streams of all browsers; default 2,000. Above it a page stays as it was drawn."""

    per_address_max: int = Field(default=64, ge=1, le=100_000)
    """Streams of one address, or of one IPv6 network of 64 bits; default 64, a house behind one
    address."""

    per_login_max: int = Field(default=16, ge=1, le=1_000)
    """Streams of one login, and so of one browser; default 16 tabs in sight."""

    heartbeat_s: float = Field(default=15, gt=0, le=300)
    """Seconds between signs of life on a stream; default 15, so that no proxy takes it for dead."""


class PictureSettings(_Section):
    """Pictures of items."""

    upload_bytes_max: int = Field(default=8_388_608, ge=65_536, le=67_108_864)
    """Bytes of the largest picture that administrators upload; default 8,388,608: photographs of
    telephones have 3 to 6 MB. A proxy has to let them through."""

    upload_limit_s: float = Field(default=60, gt=0, le=600)
    """Seconds that an upload may take; default 60."""

    side_max: int = Field(default=512, ge=64, le=2_048)
    """Pixels of the longer side that an uploaded picture is made down to; default 512, some
    30,000 bytes."""

    refresh_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds until a picture that was changed elsewhere, with `drink admin` for example, is shown;
    default 30."""

    read_limit_s: float = Field(default=10, gt=0, le=60)
    """Seconds that a picture may take to come from the frontend; default 10."""

    memory_bytes: int = Field(default=16_777_216, ge=1_048_576, le=1_073_741_824)
    """Bytes of pictures that are kept in memory; default 16,777,216: some 500."""


class DropSettings(_Section):
    """Purchases."""

    undo_s: int = Field(default=3, ge=0, le=30)
    """Seconds between the click and the motor in which a drop can be cancelled; default 3."""


class OidcSettings(_Section):
    """Signing in with OpenID providers, which the frontend's configuration lists."""

    base_url: str = ""
    """Where browsers find this page, such as `https://drink.example.org`; default none: providers
    are not offered. With it the addresses begin that are registered at a provider:
    `/oidc/callback/NAME` and `/oidc/back-channel-logout`."""

    client_secret_files: dict[str, Path] = Field(default_factory=dict)
    """File with the secret of this page's client at a provider, by the provider's name; default
    none: the page is a public client there."""

    ca_file: Path | None = None
    """PEM file of the authority of the providers' certificates; default none: those that the
    system trusts."""

    answer_limit_s: float = Field(default=8, gt=0, le=60)
    """Seconds that a provider may take to give a token for a code; default 8."""

    answer_bytes_max: int = Field(default=131_072, ge=16_384, le=1_048_576)
    """Bytes of the largest answer with tokens; default 131,072."""

    codes_max: int = Field(default=32, ge=1, le=1_000)
    """Codes for which a provider is asked at once; default 32, each a connection to it."""

    codes_per_address_per_minute_max: int = Field(default=60, ge=1, le=10_000)
    """Codes of one address, or of one IPv6 network of 64 bits, in a minute; default 60, a house
    behind one address. Above it a stranger would make the provider refuse this page."""

    refresh_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds until a change of the list of providers is seen; default 30."""

    @field_validator("base_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if url and (
            not (parts.scheme == "https" or plain) or parts.path or parts.query or not parts.netloc
        ):
            raise ValueError("must be https://, a host, and no path")
        return url


class KioskSettings(_Section):
    """Kiosks: screens beside machines, at `/kiosk`."""

    quiet_s: int = Field(default=30, ge=5, le=600)
    """Seconds without a touch or key after which a kiosk logs a person out; default 30: time to
    choose, and not to leave one's credits to the next person. A drop on its way is waited for."""

    result_s: int = Field(default=8, ge=2, le=120)
    """Seconds that an outcome is shown before the kiosk logs out; default 8."""

    code_s: int = Field(default=60, ge=5, le=600)
    """Seconds that the code is shown with which the owner of an unknown card adds it; default 60.
    The code is good for longer, and another card is read meanwhile."""

    unknown_s: int = Field(default=45, ge=5, le=600)
    """Seconds that an unknown outcome is shown; default 45, time to read what happens next and to
    look into the machine."""


class RestSettings(_Section):
    """REST for clients of the kindred HTTP server."""

    drop_limit_s: float = Field(default=25, gt=0, le=300)
    """Seconds until a request for a drop is answered though its outcome is not known; default 25,
    because clients and proxies give up after 30 or 60. The drop goes on."""

    access_keep_s: float = Field(default=120, gt=0, le=3_600)
    """Seconds for which the frontend's token is used again that it gave for an access token of an
    OpenID provider; default 120."""

    access_kept_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Access tokens of which this is kept; default 10,000, some 5 MB."""


class ListSettings(_Section):
    """Lengths of the lists of drops and credits."""

    page_rows: int = Field(default=25, ge=1, le=200)
    """Rows of one page; default 25."""

    export_rows_max: int = Field(default=5_000, ge=1, le=50_000)
    """Rows of one exported file, the newest; default 5,000. The frontend gives an account 2,000
    rows a second."""


class AdminSettings(_Section):
    """Pages of administrators."""

    warm_celsius: float = Field(default=12.0, ge=-50, le=100)
    """Degrees Celsius from which a machine is too warm; default 12."""


class LogSettings(_Section):
    """Content and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged; default `info`."""

    format: Literal["auto", "json", "console"] = "auto"
    """`json` for machines, `console` for people; default `auto`: console on a terminal."""

    repeats_per_minute_max: int = Field(default=20, ge=1, le=100_000)
    """Lines of one event in a minute; default 20, so that strangers cannot fill the disk."""


class ShutdownSettings(_Section):
    """Time limits of a stop."""

    limit_s: int = Field(default=3, ge=1, le=60)
    """Seconds that requests may take to end; default 3. Streams end at once, and browsers connect
    again."""


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    http: HttpSettings = Field(default_factory=HttpSettings)
    """The HTTP listener."""
    frontend: FrontendSettings = Field(default_factory=FrontendSettings)
    """The frontend whose API this page shows."""
    cookies: CookieSettings = Field(default_factory=CookieSettings)
    """The cookie that keeps a browser's login."""
    streams: StreamSettings = Field(default_factory=StreamSettings)
    """Open event streams, which keep pages up to date."""
    pictures: PictureSettings = Field(default_factory=PictureSettings)
    """Pictures of items."""
    drops: DropSettings = Field(default_factory=DropSettings)
    """Purchases."""
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    """Signing in with OpenID providers, which the frontend's configuration lists."""
    kiosk: KioskSettings = Field(default_factory=KioskSettings)
    """Kiosks: screens beside machines, at `/kiosk`."""
    rest: RestSettings = Field(default_factory=RestSettings)
    """REST for clients of the kindred HTTP server."""
    lists: ListSettings = Field(default_factory=ListSettings)
    """Lengths of the lists of drops and credits."""
    admin: AdminSettings = Field(default_factory=AdminSettings)
    """Pages of administrators."""
    notify: NotifySettings = Field(default_factory=NotifySettings)
    """The notifier, `drink-web notify`, which tells people of alarms."""
    shutdown: ShutdownSettings = Field(default_factory=ShutdownSettings)
    """Time limits of a stop."""
    log: LogSettings = Field(default_factory=LogSettings)
    """Content and format of the log."""
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    """The port where Prometheus reads the metrics of `drink-web serve`; docs/metrics.md lists
    them."""
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    """Traces of drops, sent to a collector of OpenTelemetry."""

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


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


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
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error))) from error


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        yield f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def show(settings: Settings) -> str:
    """The settings as indented JSON; they hold no secret, only the names of files."""
    return json.dumps(settings.model_dump(mode="json"), indent=2)


def reference() -> str:
    """Every key with its default, unit and reason, as Markdown."""
    lines = [
        "# Configuration of the page",
        "",
        "<!-- Generated by `drink-web config reference`. -->",
        "",
        "One TOML file, named by `--config` or `DRINK_WEB_CONFIG`. Each key can be overridden by",
        "an environment variable: `http.port` by `DRINK_WEB_HTTP__PORT`. Unknown keys and wrong",
        "values are errors. `drink-web config check` prints what is in force.",
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
        if _model(field.annotation) is not None:
            inner += _section(f"[[{header.strip('[]')}.{key}]]", field)
            continue
        default = field.get_default(call_default_factory=True)
        lines += ["", f"`{key}`" if field.is_required() else f"`{key} = {_toml(default)}`", ""]
        lines.append(_sentence(field))
        if typing.get_origin(field.annotation) is Literal:
            choices = ", ".join(f"`{choice}`" for choice in typing.get_args(field.annotation))
            lines[-1] += f" One of {choices}."
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
        case tuple():
            return "[]"
        case dict():
            return "{}"
        case _:
            return f'"{value}"'
