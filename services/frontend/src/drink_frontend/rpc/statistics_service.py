"""StatisticsService: numbers of drops and credits."""
# ruff: noqa: N802 - the methods are named by the protocol

import json

from drink.v1 import statistics_service_pb2 as pb
from drink.v1 import statistics_service_pb2_grpc
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.statistics import FIRST, Row
from drink_frontend.rpc.calls import Context, caller
from drink_frontend.rpc.conversion import (
    account_name,
    page_limit,
    page_token_after,
    parse_account,
    parse_page_token_after,
)
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.rpc.statistics_conversion import (
    numbers_message,
    row_message,
    state_message,
    statistics_query,
)
from drink_frontend.usecases.statistics import Recent, Statistics

PLACES_DEFAULT, PLACES_MAX = 10, 100
"""Places of a ranking."""

_TIMES = {
    pb.GetRankingRequest.TIME_UNSPECIFIED: Recent.WEEK,
    pb.GetRankingRequest.TIME_WEEK: Recent.WEEK,
    pb.GetRankingRequest.TIME_MONTH: Recent.MONTH,
    pb.GetRankingRequest.TIME_YEAR: Recent.YEAR,
}


class StatisticsService(statistics_service_pb2_grpc.StatisticsServiceServicer):
    """The RPCs of drink.v1.StatisticsService.

    Args:
        statistics: The use cases of statistics.
        pages: Limits pages of lists.
    """

    def __init__(self, statistics: Statistics, pages: PageLimits) -> None:
        self._statistics = statistics
        self._pages = pages

    async def ListStatistics(
        self, request: pb.ListStatisticsRequest, _context: Context
    ) -> pb.ListStatisticsResponse:
        """One page of sums, in the order of what they are grouped by."""
        account = caller()
        query = statistics_query(request)
        limit = page_limit(request.page_size)
        scope = f"statistics {query}"
        begin = parse_page_token_after(request.page_token, scope)
        after = tuple(json.loads(begin)) if begin else FIRST
        async with self._pages.turn(account.id, limit):
            page = await self._statistics.list(account, query, after=after, limit=limit)

            def make(row: Row) -> pb.StatisticsRow:
                return row_message(row, query.subject, page.names)

            def token_after(row: Row) -> str:
                # In ASCII, as tokens are.
                return page_token_after(json.dumps([row.period, row.machine, row.subject]), scope)

            messages, token = self._pages.page(page.rows, make, limit, token_after)
            return pb.ListStatisticsResponse(
                rows=messages, next_page_token=token, state=state_message(page.made)
            )

    async def GetAccountStatistics(
        self, request: pb.GetAccountStatisticsRequest, _context: Context
    ) -> pb.GetAccountStatisticsResponse:
        """What an account got this week, month and year and ever."""
        account = caller()
        wanted = parse_account(request.account, "account") if request.account else account.id
        async with self._pages.turn(account.id, 1):
            found = await self._statistics.summary(account, wanted)
        return pb.GetAccountStatisticsResponse(
            week=numbers_message(found.week),
            month=numbers_message(found.month),
            year=numbers_message(found.year),
            ever=numbers_message(found.ever),
            streak_days=found.streak.days,
            longest_streak_days=found.streak.longest,
            state=state_message(found.made),
            account=account_name(found.account),
        )

    async def GetRanking(
        self, request: pb.GetRankingRequest, _context: Context
    ) -> pb.GetRankingResponse:
        """Who got the most items, of those who want to be ranked."""
        recent = _TIMES.get(request.time)
        if recent is None:
            raise FieldInvalidError("time", "is none of this service")
        if request.size < 0:
            raise FieldInvalidError("size", "must not be negative")
        size = min(request.size or PLACES_DEFAULT, PLACES_MAX)
        async with self._pages.turn(caller().id, size):
            found = await self._statistics.ranking(recent, size)
        return pb.GetRankingResponse(
            places=[
                pb.GetRankingResponse.Place(
                    rank=each.rank,
                    account=account_name(each.account),
                    display_name=each.display_name or "",
                    dispensed=each.items,
                )
                for each in found.places
            ],
            state=state_message(found.made),
        )
