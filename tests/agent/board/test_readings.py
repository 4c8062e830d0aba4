"""What a board's sensors last said."""

import pytest

from drink_agent.board.readings import Readings
from drink_agent.domain.evidence import Sensor


def test_readings_are_kept_and_only_those_of_this_connection_are_fresh() -> None:
    readings = Readings()
    assert readings.slot(1, 5.0, stocked=True) is Sensor.STOCKED
    readings.connected()
    readings.slot(2, 6.0, stocked=False)
    assert readings.fresh == {2: Sensor.EMPTY}
    assert readings.read_at == {2: 6.0}
    assert readings.status(ready=True).sensors == {1: Sensor.STOCKED, 2: Sensor.EMPTY}


@pytest.mark.parametrize(
    ("degrees", "unit", "celsius"),
    [(38.3, "fahrenheit", 3.5), (32.0, "fahrenheit", 0.0), (-40, "celsius", -40.0)],
)
def test_temperatures_are_reported_in_celsius(degrees: float, unit: str, celsius: float) -> None:
    readings = Readings()
    readings.temperature(degrees, unit)
    assert readings.status(ready=True).temperature_celsius == celsius
    readings.disconnected()
    assert readings.status(ready=False).temperature_celsius is None
