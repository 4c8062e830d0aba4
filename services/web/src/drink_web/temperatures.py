"""What the thermometers of machines showed: of one machine, and of the last day of all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.curves import SPARK_HEIGHT, SPARK_WIDTH, Curve, Part, curve

ALL = "machines/-"
"""What the API calls all machines."""

DAY_S = 86_400

PAGE_ROWS = 1_000
"""Rows of one call: as many as the API gives at once."""

SPARK_STEP_S = 3_600
"""Time that a point of a small drawing stands for."""

SPARK_PARTS = 3
"""Least points of a small drawing: fewer are a dot, which tells nobody anything."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time up to now that is drawn.

    Attributes:
        name: In addresses.
        length_s: Its length.
        step_s: Time that a point stands for.
    """

    name: str
    length_s: int
    step_s: int


SPANS = (
    Span("day", DAY_S, 900),
    Span("week", 7 * DAY_S, 7_200),
    Span("month", 30 * DAY_S, 43_200),
    Span("year", 365 * DAY_S, DAY_S),
)
"""What can be drawn, the default first."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The temperature of a machine in a time.

    Attributes:
        rows: Of the API.
        curve: The drawing; None if nothing is known.
        mean: The mean of what is known, in degrees Celsius.
        begin: Begin of the time.
        end: Its end.
    """

    rows: Sequence[pb.Temperature]
    curve: Curve | None
    mean: float
    begin: Timestamp
    end: Timestamp


async def draw(api: Api, machine: str, span: Span, caller: Metadata) -> Drawing:
    """Draws the temperature of a machine.

    Args:
        api: The frontend.
        machine: Resource name.
        span: Which time.
        caller: Metadata of the call.

    Raises:
        CallError: the frontend refused, or did not answer.
    """
    end_s = int(time.time())
    begin_s = end_s - span.length_s
    rows = await _read(api, machine, begin_s, span.step_s, caller)
    known_s = sum(row.known_duration.seconds for row in rows) or 1
    mean = sum(row.mean_celsius * row.known_duration.seconds for row in rows) / known_s
    return Drawing(
        rows=rows,
        curve=curve([_part(row) for row in rows], begin_s, end_s) if rows else None,
        mean=mean,
        begin=Timestamp(seconds=begin_s),
        end=Timestamp(seconds=end_s),
    )


async def _read(
    api: Api, machine: str, begin_s: int, step_s: int, caller: Metadata
) -> Sequence[pb.Temperature]:
    request = pb.ListTemperaturesRequest(
        machine=machine,
        start_time=Timestamp(seconds=begin_s),
        step=Duration(seconds=step_s),
        page_size=PAGE_ROWS,
    )
    rows: list[pb.Temperature] = []
    while True:
        answer = await api.call(api.machines.ListTemperatures, request, caller)
        rows += answer.temperatures
        request.page_token = answer.next_page_token
        if not request.page_token:
            return rows


def _part(row: pb.Temperature) -> Part:
    return Part(
        row.start_time.seconds,
        row.step.seconds,
        row.min_celsius,
        row.mean_celsius,
        row.max_celsius,
    )


class Sparks:
    """Small drawings of the last day of all machines.

    Args:
        api: The frontend.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.known: Mapping[str, Curve] = {}
        """The drawing of each machine that has one, by its resource name."""

    async def refresh(self) -> bool:
        """Asks for the temperatures; returns whether a drawing is another one.

        Raises:
            CallError: the frontend does not answer, or has none to tell.
        """
        # Whole hours, so that a drawing stays the same for as long.
        end_s = -(-int(time.time()) // SPARK_STEP_S) * SPARK_STEP_S
        begin_s = end_s - DAY_S
        rows = await _read(self._api, ALL, begin_s, SPARK_STEP_S, self._api.caller())
        of_machine: dict[str, list[Part]] = {}
        for row in rows:
            of_machine.setdefault(row.machine, []).append(_part(row))
        found = {
            machine: curve(parts, begin_s, end_s, width=SPARK_WIDTH, height=SPARK_HEIGHT)
            for machine, parts in of_machine.items()
            if len(parts) >= SPARK_PARTS
        }
        if found == self.known:
            return False
        self.known = found
        return True
