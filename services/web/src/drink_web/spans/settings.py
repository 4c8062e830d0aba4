"""The settings of traces."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class TracingSettings(BaseModel):
    """Traces of drops, sent to a collector of OpenTelemetry."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    endpoint: str = ""
    """URL to which spans are sent by OTLP over HTTP, such as `http://localhost:4318/v1/traces`;
    default none: there are no traces. It needs the extra `otel`. What a collector wants beside the
    spans is in the environment variables of OpenTelemetry, such as `OTEL_EXPORTER_OTLP_HEADERS`."""

    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of drops that are traced, 0 to 1; default 1: a house sells some hundred cans a day. Who
    sends a `traceparent` has decided for its drop already."""

    interval_s: float = Field(default=1.0, ge=0.05, le=60)
    """Seconds between two requests to the collector; default 1. What a process was killed with
    before is not in the trace."""

    request_limit_s: float = Field(default=5.0, ge=0.1, le=60)
    """Seconds that a batch may take to be sent, retries included; default 5. Then it is dropped:
    a collector that is away costs spans and nothing else."""

    batch_spans_max: int = Field(default=256, ge=1, le=10_000)
    """Spans of one request; default 256, about 100 KB."""

    queue_spans_max: int = Field(default=2_048, ge=1, le=1_000_000)
    """Spans that may wait to be sent; default 2,048, about 5 MB of memory. Above it the oldest are
    dropped."""

    stop_limit_s: float = Field(default=2.0, ge=0, le=60)
    """Seconds that the end of the process waits for the last spans to be sent; default 2."""

    @field_validator("endpoint")
    @classmethod
    def _url(cls, endpoint: str) -> str:
        if not endpoint:
            return endpoint
        url = urlsplit(endpoint)
        # The port is looked at when it is asked for.
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            raise ValueError("must be a URL that begins with http:// or https://")
        if "@" in url.netloc or not endpoint.isascii() or not endpoint.isprintable():
            raise ValueError("must have no user, password or special characters")
        return endpoint

    @model_validator(mode="after")
    def _batches(self) -> Self:
        if self.batch_spans_max > self.queue_spans_max:
            raise ValueError("batch_spans_max is above queue_spans_max")
        return self
