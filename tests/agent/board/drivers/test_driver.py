"""The common behaviour of all drivers."""

import pytest

from drink_agent.board.drivers import DRIVERS
from drink_agent.board.drivers.driver import Readings, is_power_of_ten
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.events import BoardStatus
from drink_agent.domain.evidence import Cause, Sensor
from tests.support.board_bench import DriverBench, dispensing_bench, ready_bench

EACH_TYPE = pytest.mark.parametrize("dialect", DRIVERS)


def settings_of(dialect: str) -> BoardSettings:
    """Settings that every type of board takes."""
    return BoardSettings(url="serial:///dev/ttyS0", dialect=dialect, max_slot=5)


@EACH_TYPE
def test_without_a_stream_a_command_is_refused_and_nothing_is_written(
    dialect: str,
) -> None:
    board = DriverBench(settings_of(dialect))
    board.dispense("d1", 1)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
    assert board.written == b""


@EACH_TYPE
def test_a_board_that_does_not_answer_is_hung_up_on(dialect: str) -> None:
    board = DriverBench(settings_of(dialect))
    board.connect()
    assert not board.driver.status.ready
    board.pass_s(settings_of(dialect).silence_limit_s)
    assert board.closed


@EACH_TYPE
def test_a_disconnected_driver_waits_for_nothing(dialect: str) -> None:
    board = DriverBench(settings_of(dialect))
    assert board.driver.next_deadline is None
    board.pass_s(10_000)
    assert board.effects == []


def test_a_changed_status_comes_after_what_changed_it() -> None:
    board = dispensing_bench()
    board.pass_s(10)
    assert isinstance(board.effects[-1], BoardStatus)
    assert board.effects.index(board.ended[0]) < len(board.effects) - 1


def test_the_status_is_what_the_last_event_said() -> None:
    board = ready_bench()
    board.lose()
    assert board.driver.status == board.statuses[-1]


@pytest.mark.parametrize(
    ("number", "is_one"),
    [(1, True), (2, False), (10, True), (11, False), (100, True), (200, False)],
)
def test_powers_of_ten(number: int, is_one: bool) -> None:
    assert is_power_of_ten(number) is is_one


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


def test_the_firmware_is_reported_while_its_board_is_connected() -> None:
    readings = Readings()
    assert readings.status(ready=True).firmware_version == ""
    readings.firmware("1.2")
    assert readings.status(ready=True).firmware_version == "1.2"
    readings.disconnected()
    assert readings.status(ready=False).firmware_version == ""
