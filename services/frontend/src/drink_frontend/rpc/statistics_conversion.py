"""Statistics as drink.v1 messages, and the reverse."""

from collections.abc import Mapping

from drink.v1 import statistics_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.statistics import Kind, Numbers, Row, Span, day_text, parse_day
from drink_frontend.rpc.conversion import account_name, machine_name, parse_account, parse_machine
from drink_frontend.usecases.statistics import FIRST_DAY, LAST_DAY, Made, StatisticsQuery

_SPANS = {
    pb.ListStatisticsRequest.GROUPING_DAY: Span.DAY,
    pb.ListStatisticsRequest.GROUPING_MONTH: Span.MONTH,
}
_SUBJECTS = {
    pb.ListStatisticsRequest.GROUPING_ITEM: Kind.ITEM,
    pb.ListStatisticsRequest.GROUPING_HOUR: Kind.HOUR,
    pb.ListStatisticsRequest.GROUPING_ACCOUNT: Kind.ACCOUNT,
}
_MACHINE = pb.ListStatisticsRequest.GROUPING_MACHINE


def statistics_query(request: pb.ListStatisticsRequest) -> StatisticsQuery:
    """Which sums a request asks for.

    Raises:
        FieldInvalidError: a field is wrong.
    """
    wanted = set(request.group_by)
    spans = [_SPANS[each] for each in wanted if each in _SPANS]
    subjects = [_SUBJECTS[each] for each in wanted if each in _SUBJECTS]
    if len(spans) + len(subjects) + (_MACHINE in wanted) != len(wanted):
        raise FieldInvalidError("group_by", "is none of this service")
    if len(spans) > 1 or len(subjects) > 1:
        raise FieldInvalidError(
            "group_by", "must have at most one of day and month, and one of item, hour and account"
        )
    return StatisticsQuery(
        account=parse_account(request.account, "account") if request.account else None,
        machine=parse_machine(request.machine, "machine") if request.machine else "",
        first_day=_day(request.first_day, "first_day", FIRST_DAY),
        last_day=_day(request.last_day, "last_day", LAST_DAY),
        span=spans[0] if spans else None,
        by_machine=_MACHINE in wanted,
        subject=subjects[0] if subjects else None,
    )


def _day(text: str, field: str, default: int) -> int:
    day = parse_day(text) if text else default
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise FieldInvalidError(
            field, "must be a day such as 2026-11-29, of the years 1000 to 9998"
        )
    return day


def numbers_message(numbers: Numbers) -> pb.Numbers:
    """Numbers as a drink.v1 message."""
    return pb.Numbers(
        dispensed=numbers.dispensed,
        failed=numbers.failed,
        cancelled=numbers.cancelled,
        unknown=numbers.unknown,
        refunds=numbers.refunds,
        spent_credits=numbers.spent,
        held_credits=numbers.held,
        refunded_credits=numbers.refunded,
    )


def row_message(row: Row, subject: Kind | None, names: Mapping[str, str]) -> pb.StatisticsRow:
    """A row as a drink.v1 message.

    Args:
        row: The row.
        subject: What its subject is.
        names: Names of accounts by their keys.
    """
    message = pb.StatisticsRow(
        period=day_text(row.period) if row.period else "",
        machine=machine_name(row.machine) if row.machine else "",
        numbers=numbers_message(row.numbers),
    )
    match subject:
        case Kind.ITEM:
            message.item = row.subject
        case Kind.HOUR:
            message.hour = int(row.subject)
        case Kind.ACCOUNT:
            message.account = account_name(names[row.subject])
        case _:
            assert not row.subject
    return message


def state_message(made: Made) -> pb.StatisticsState:
    """What numbers are made of, as a drink.v1 message."""
    return pb.StatisticsState(
        time_zone=made.time_zone, complete=made.complete, today=day_text(made.today)
    )
