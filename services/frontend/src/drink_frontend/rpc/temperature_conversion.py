"""Converts between drink.v1 messages and temperatures."""

import json

from google.protobuf.duration_pb2 import Duration

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.rpc.conversion import (
    machine_name,
    page_token_after,
    parse_machine,
    parse_page_token_after,
    time_range,
    timestamp,
)
from drink_frontend.usecases.temperatures import Place, TemperatureQuery

ALL = "machines/-"
"""The name that stands for all machines (AIP-159)."""

_STEP_S_MAX = 1_000_000
"""Far more than a step may have, so that nothing overflows."""


def temperature_query(request: pb.ListTemperaturesRequest) -> TemperatureQuery:
    """Which temperatures a request wants; FieldInvalidError names the field that is wrong."""
    machine = None if request.machine == ALL else parse_machine(request.machine, "machine")
    step_ms = STEP_MS
    if request.HasField("step"):
        step = request.step
        if step.nanos or not 0 < step.seconds < _STEP_S_MAX:
            raise FieldInvalidError("step", "must be a multiple of 5 minutes, 24 hours at most")
        step_ms = step.seconds * 1_000
    return TemperatureQuery(machine, step_ms, **time_range(request))


def temperature_message(temperature: Temperature) -> pb.Temperature:
    """A temperature as a drink.v1 message."""
    return pb.Temperature(
        machine=machine_name(temperature.machine),
        start_time=timestamp(temperature.from_ms),
        step=_duration(temperature.span_ms),
        min_celsius=temperature.low,
        mean_celsius=temperature.mean,
        max_celsius=temperature.high,
        known_duration=_duration(temperature.known_ms),
    )


def place_token(last: Temperature, step_ms: int, scope: str) -> str:
    """The token of the page after that step."""
    return page_token_after(json.dumps([last.machine, last.from_ms + step_ms]), scope)


def parse_place(token: str, scope: str) -> Place | None:
    """Where a page begins; None for the first one.

    Raises:
        FieldInvalidError: the token was issued for another list, or was changed.
    """
    begin = parse_page_token_after(token, scope)
    if not begin:
        return None
    machine, from_ms = json.loads(begin)
    return machine, from_ms


def _duration(ms: int) -> Duration:
    return Duration(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)
