"""Settings of the metrics."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>\d{1,5})")


def _check_listen(value: str) -> str:
    """An address and port, or an empty text.

    Raises:
        ValueError: it is neither.
    """
    found = _LISTEN.fullmatch(value)
    if value and (found is None or int(found["port"]) > 65_535):
        raise ValueError("must be ADDRESS:PORT, or empty")
    return value


Listen = Annotated[str, AfterValidator(_check_listen)]
"""Where metrics are served: address and port, or an empty text for nowhere."""


class MetricsSettings(BaseModel):
    """The port where Prometheus reads the metrics of `drink-web serve`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    listen: Listen = "127.0.0.1:9465"
    """Address and port; default 127.0.0.1:9465, only this host. Port 0 takes any free one; an empty
    text serves and counts nothing. While the port is taken, the page serves without it and tries
    again."""

    interval_s: float = Field(default=5, ge=0, le=60)
    """Seconds for which one text answers all scrapes; default 5. It costs 10 µs of a core for each
    line, and has some hundred."""

    connections_max: int = Field(default=8, ge=1, le=1_000)
    """Connections at once; default 8: two Prometheus servers and a person need three."""

    request_limit_s: float = Field(default=5, gt=0, le=300)
    """Seconds for a client to send its request, and for it to read the answer; default 5. Then its
    connection is closed."""

    retry_interval_s: float = Field(default=30, gt=0, le=3_600)
    """Seconds until a port that is taken is tried again; default 30: the process that had it may be
    about to end."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Where to listen; None for nowhere."""
        found = _LISTEN.fullmatch(self.listen)
        return None if found is None else (found["v6"] or found["host"], int(found["port"]))
