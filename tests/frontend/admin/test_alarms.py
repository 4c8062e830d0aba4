"""Alarms, from the command line."""

import asyncio

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.storage.database import Database
from drink_frontend.system.clock import SystemClock
from drink_frontend.usecases.audit import Alarms
from drink_frontend.usecases.settings import AlarmSettings
from tests.frontend.admin.conftest import Operator


@pytest.fixture
def flooded(operator: Operator) -> Operator:
    """A machine whose link was ended twice."""
    operator.admin("machine", "add", "d", "Big Drink")

    async def flood() -> None:
        async with Database.open(operator.settings.storage) as storage:
            counted = Alarms(storage, SystemClock(), AlarmSettings())
            for _ in range(2):
                counted.count("d", AlarmKind.LINK_FLOODED, {"limit": "messages_per_s"})
            await counted.keep()

    asyncio.run(flood())
    return operator


def test_an_alarm_is_shown_acknowledged_and_closed(flooded: Operator) -> None:
    (line,) = flooded.admin("alarms").splitlines()
    number = line.split()[0]
    assert "LINK_FLOODED  machines/d  2 times since" in line
    assert "messages_per_s" in line

    shown = flooded.admin("alarm", "acknowledge", number, "--by", "eve")
    assert shown.rstrip().endswith("acknowledged by operator:eve")
    assert flooded.admin("alarms") == shown
    closed = flooded.admin("alarm", "close", number, "--why", "a loose cable", "--by", "eve")
    assert closed.rstrip().endswith("closed by operator:eve")
    assert flooded.admin("alarms") == "Nothing to look at.\n"
    assert flooded.admin("alarms", "--closed") == closed


def test_what_is_not_there_or_wrong_is_told(flooded: Operator) -> None:
    assert flooded.refused("alarm", "acknowledge", "404").startswith("ALARM_NOT_FOUND")
    assert flooded.refused("alarm", "close", "404").startswith("ALARM_NOT_FOUND")
    refusal = flooded.refused("alarm", "close", "1", "--why", "x" * 201)
    assert refusal.startswith("FIELD_INVALID")
