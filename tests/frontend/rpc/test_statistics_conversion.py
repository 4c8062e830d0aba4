"""Statistics as messages."""

import pytest

from drink.v1 import statistics_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.statistics import NAMES, Kind, Numbers, Row, Span
from drink_frontend.rpc.statistics_conversion import (
    numbers_message,
    row_message,
    state_message,
    statistics_query,
)
from drink_frontend.usecases.statistics import FIRST_DAY, LAST_DAY, Made, StatisticsQuery


def test_every_number_is_shown() -> None:
    message = numbers_message(Numbers(*range(1, len(NAMES) + 1)))
    assert [value for _, value in message.ListFields()] == list(range(1, len(NAMES) + 1))


def test_a_row_shows_what_it_is_grouped_by() -> None:
    numbers = Numbers(dispensed=1)
    assert row_message(Row(0, "", "", numbers), None, {}).numbers.dispensed == 1
    hour = row_message(Row(20261129, "d", "00", numbers), Kind.HOUR, {})
    assert (hour.period, hour.machine) == ("2026-11-29", "machines/d")
    assert hour.HasField("hour")
    assert row_message(Row(202611, "", "7", numbers), Kind.ITEM, {}).item == "7"
    row = row_message(Row(0, "", "key", numbers), Kind.ACCOUNT, {"key": "ann"})
    assert (row.period, row.account) == ("", "accounts/ann")


def test_a_request_without_fields_asks_for_everything() -> None:
    assert statistics_query(pb.ListStatisticsRequest()) == StatisticsQuery(
        None, "", FIRST_DAY, LAST_DAY, None, False, None
    )
    by = pb.ListStatisticsRequest
    asked = statistics_query(by(group_by=[by.GROUPING_MACHINE, by.GROUPING_MONTH] * 2))
    assert (asked.span, asked.by_machine) == (Span.MONTH, True)
    with pytest.raises(FieldInvalidError):
        statistics_query(by(group_by=[by.GROUPING_HOUR, by.GROUPING_ITEM]))


def test_the_state_is_shown() -> None:
    message = state_message(Made("UTC", complete=True, today=20270101))
    assert (message.time_zone, message.complete, message.today) == ("UTC", True, "2027-01-01")
