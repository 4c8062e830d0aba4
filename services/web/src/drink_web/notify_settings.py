"""Settings of the notifier, the section `notify` of the page's file."""

import re
from datetime import time
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from drink_web.metrics.settings import Listen

URL_BYTES_MAX = 16_384
"""Bytes of the largest file with a channel's address."""

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ChannelSettings(_Section):
    """A way in which people are told. Each has a name of its own; at most 20."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    """Its name: lower-case letters, digits and hyphens. Required. What it has told is kept under
    it."""

    url_file: Path | None = None
    """File whose only line is the channel's address as an Apprise URL, such as
    `mailtos://user:password@mail.example?to=ops@house.example` or `jsons://hook.example/drink`;
    default none. An address holds passwords, so it is read from here or from `url_env`, and is
    neither logged nor shown."""

    url_env: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """Environment variable with that address, in place of `url_file`; default none."""

    language: Literal["en", "de"] = "en"
    """Language of its messages; default `en`."""

    kinds: tuple[str, ...] = ()
    """Kinds of alarms that it tells, such as `TOO_WARM`; default all."""

    machines: tuple[str, ...] = ()
    """Machines whose alarms it tells, such as `d`; default all, and only then alarms about no
    machine."""

    least: Literal["info", "warning", "critical"] = "info"
    """Least severity that it tells; default `info`, all."""

    time_zone: str = "UTC"
    """Time zone of its quiet hours, digest and messages, a name of the tz database such as
    `Europe/Berlin`; default `UTC`."""

    quiet_hours: str = Field(default="", pattern=rf"^({_HOURS.pattern})?$")
    """Hours in which it is quiet, such as `22:00-07:00`; default none. What happens then is told
    afterwards, in one message."""

    quiet_critical: bool = True
    """Whether critical alarms are told in quiet hours too; default yes."""

    digest: str = Field(default="", pattern=rf"^({_TIME.pattern})?$")
    """Time of a daily message with all open alarms, such as `08:00`, also if there are none;
    default none."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError, ValueError):
            raise ValueError("there is no such time zone in the tz database") from None
        return value

    @model_validator(mode="after")
    def _address(self) -> Self:
        if (self.url_file is None) == (self.url_env == ""):
            raise ValueError("url_file or url_env, one of them")
        return self

    def is_quiet(self, now: time) -> bool:
        """Whether a time of its day is in its quiet hours."""
        found = _HOURS.fullmatch(self.quiet_hours)
        if found is None:
            return False
        start, end = (time(int(found[at]), int(found[at + 1])) for at in (1, 3))
        return start <= now < end if start <= end else now >= start or now < end

    def digest_is_due(self, now: time) -> bool:
        """Whether the time of its digest has come."""
        found = _TIME.fullmatch(self.digest)
        return found is not None and now >= time(int(found[1]), int(found[2]))


class NotifySettings(_Section):
    """The notifier, `drink-web notify`, which tells people of alarms."""

    token_file: Path | None = None
    """File with the token of an administrator's login, made by `drink login --scope notify`;
    required by `drink-web notify`, and by nothing else."""

    look_s: float = Field(default=5, gt=0, le=600)
    """Seconds between two questions for something to tell; default 5."""

    group_s: float = Field(default=15, ge=0, le=3_600)
    """Seconds that the first of something waits for what happens with it; default 15. So a switch
    that fails is one message and not one for each machine."""

    pause_s: float = Field(default=120, ge=0, le=86_400)
    """Seconds between two messages of a channel; default 120: 500 alarms in a minute are two
    messages."""

    lease_s: float = Field(default=120, ge=5, le=600)
    """Seconds that this notifier has for telling what it has leased; default 120. After a crash
    that time passes until it is told."""

    send_limit_s: float = Field(default=30, gt=0, le=300)
    """Seconds that a channel may take for a message; default 30. Must be less than `lease_s`."""

    retry_first_s: float = Field(default=10, gt=0, le=3_600)
    """Seconds until a channel that has failed is tried again; default 10, then twice as long each
    time."""

    retry_limit_s: float = Field(default=900, gt=0, le=86_400)
    """Most seconds between two such attempts; default 900."""

    lines_max: int = Field(default=20, ge=1, le=500)
    """Alarms that a message shows; default 20. How many more there are is said."""

    metrics_listen: Listen = "127.0.0.1:9466"
    """Address and port where Prometheus reads the notifier's metrics; default 127.0.0.1:9466, only
    this host. Port 0 takes any free one; an empty text serves none. The limits are those of the
    section `metrics`."""

    channels: tuple[ChannelSettings, ...] = Field(default=(), max_length=20)
    """A way in which people are told, one section for each, 20 at most."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError("two channels have one name")
        if self.send_limit_s >= self.lease_s:
            raise ValueError("send_limit_s must be less than lease_s")
        return self


def check_url(url: str) -> str:
    """An Apprise URL without characters that could add headers to a mail or a request.

    Raises:
        ValueError: it has some, or is empty; the message does not show it.
    """
    plain = url.strip()
    if not plain:
        raise ValueError("the address is empty")
    while True:
        if not plain.isprintable():
            raise ValueError("the address has a line break or another control character")
        if (decoded := unquote(plain)) == plain:
            return url.strip()
        plain = decoded
