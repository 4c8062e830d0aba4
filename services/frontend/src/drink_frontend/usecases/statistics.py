"""Statistics, as users and administrators ask for them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import (
    AdminRequiredError,
    FieldInvalidError,
    MachineNotFoundError,
)
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.statistics import (
    FIRST,
    HOUSE,
    Kind,
    Numbers,
    Phase,
    Progress,
    Row,
    Span,
    Streak,
    are_months,
    cover,
    days_of,
    streak,
)
from drink_frontend.storage.database import Database
from drink_frontend.storage.statistics import Selection
from drink_frontend.storage.transaction import Transaction
from drink_frontend.system.calendar import first_of_week, ordinal
from drink_frontend.usecases.counting import calendar_of
from drink_frontend.usecases.users import user_of, user_shown

FIRST_DAY, LAST_DAY = 10_000_101, 99_981_231
"""Days before and after all drops."""


@dataclass(frozen=True, slots=True)
class StatisticsQuery:
    """Which sums are wanted.

    Attributes:
        account: Name of the account; None for the whole house.
        machine: Name of the machine; empty for all.
        first_day: The first day, such as 20261101.
        last_day: The last day.
        span: By which parts of time they are grouped; None for none.
        by_machine: Whether they are grouped by machine.
        subject: Whether they are grouped by item, hour or account; None for none of them.
    """

    account: str | None = None
    machine: str = ""
    first_day: int = FIRST_DAY
    last_day: int = LAST_DAY
    span: Span | None = None
    by_machine: bool = False
    subject: Kind | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What numbers are made of.

    Attributes:
        time_zone: The time zone of days and hours.
        complete: Whether all drops are counted.
        today: Today in that zone.
    """

    time_zone: str
    complete: bool
    today: int


@dataclass(frozen=True, slots=True)
class StatisticsPage:
    """Some sums.

    Attributes:
        rows: The sums, with the key of an account as the subject.
        names: Names of these accounts by their keys.
        made: What they are made of.
    """

    rows: Sequence[Row]
    names: dict[str, str]
    made: Made


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """What an account got this week, month and year and ever."""

    account: str
    week: Numbers
    month: Numbers
    year: Numbers
    ever: Numbers
    streak: Streak
    made: Made


@dataclass(frozen=True, slots=True)
class RankedPlace:
    """One account's place in a ranking.

    Attributes:
        rank: From 1; the same for the same number of items.
        account: Name of the account.
        display_name: What to call its owner; None for none.
        items: How many it got.
    """

    rank: int
    account: str
    display_name: str | None
    items: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Who got the most items.

    Attributes:
        places: The first place first.
        made: What it is made of.
    """

    places: Sequence[RankedPlace]
    made: Made


class Recent(StrEnum):
    """A time that ends today."""

    WEEK = "WEEK"
    """Since Monday."""
    MONTH = "MONTH"
    """Since the first of this month."""
    YEAR = "YEAR"
    """Since the first of January."""


class Statistics:
    """Statistics.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def list(
        self,
        caller: Account,
        query: StatisticsQuery,
        *,
        after: tuple[int, str, str] = FIRST,
        limit: int,
    ) -> StatisticsPage:
        """Up to `limit` sums, in the order of what they are grouped by.

        Args:
            caller: Who asks.
            query: Which sums.
            after: Period, machine and subject of the last row of the page before.
            limit: Most rows.

        Raises:
            AdminRequiredError, NotOwnerError: they are for administrators.
            AccountNotFoundError, MachineNotFoundError: there is no such account or machine.
            FieldInvalidError: there are no such sums.
        """
        if query.subject is Kind.ACCOUNT and not caller.admin:
            raise AdminRequiredError("only administrators see statistics by account")
        _check_days(query)

        def look(tx: Transaction) -> StatisticsPage:
            owner = HOUSE
            if query.account is not None:
                owner = user_shown(tx, caller, query.account, "statistics").id
            if query.machine and tx.machines.alone(query.machine) is None:
                raise MachineNotFoundError("no such machine")
            rows = tx.statistics.sums(_selection(owner, query), after, limit)
            keys = {row.subject for row in rows} if query.subject is Kind.ACCOUNT else set()
            return StatisticsPage(rows, _names(tx, keys), self._made(tx.statistics.progress()))

        return await self._storage.read(look)

    async def summary(self, caller: Account, account: str) -> AccountSummary:
        """What an account got this week, month and year and ever.

        Args:
            caller: Who asks.
            account: Name of the account.

        Raises:
            NotOwnerError: it is another's, and the caller is no administrator.
            AccountNotFoundError: there is no such account.
        """

        def look(tx: Transaction) -> AccountSummary:
            shown = user_shown(tx, caller, account, "statistics")
            owner = shown.id
            made = self._made(tx.statistics.progress())
            spans = [_since(recent, made.today) for recent in Recent]
            week, month, year, ever = (
                _total(tx, owner, first, last) for first, last in [*spans, (FIRST_DAY, LAST_DAY)]
            )
            days = streak(map(ordinal, tx.statistics.days(owner)), ordinal(made.today))
            return AccountSummary(shown.name, week, month, year, ever, days, made)

        return await self._storage.read(look)

    async def ranking(self, recent: Recent, limit: int) -> Ranking:
        """Who got the most items, of those whose preferences say that they may be ranked.

        Args:
            recent: Of which time.
            limit: Most places.
        """

        def look(tx: Transaction) -> Ranking:
            made = self._made(tx.statistics.progress())
            first, last = _since(recent, made.today)
            # Each of these times is some days, one month or one year.
            less = {Recent.WEEK: 1, Recent.MONTH: 100, Recent.YEAR: 10_000}[recent]
            time = first // less, last // less
            found = tx.statistics.ranked(time, limit)
            ranks: dict[int, int] = {}
            places = []
            for position, (key, items) in enumerate(found, 1):
                rank, account = ranks.setdefault(items, position), user_of(tx, key)
                places.append(RankedPlace(rank, account.name, account.display_name, items))
            return Ranking(places, made)

        return await self._storage.read(look)

    def _made(self, progress: Progress) -> Made:
        zone = progress.time_zone or "UTC"
        today, _ = calendar_of(zone).day_and_hour(self._clock.now_ms())
        return Made(zone, progress.phase is Phase.FOLLOWING, today)


def _check_days(query: StatisticsQuery) -> None:
    """Checks that there are rows for what is asked."""
    if query.first_day > query.last_day:
        raise FieldInvalidError("last_day", "must not be before first_day")
    of_machine = query.by_machine or bool(query.machine)
    if query.account is not None:
        if query.subject is Kind.ACCOUNT:
            raise FieldInvalidError("group_by", "one account is not grouped by account")
        if query.subject is Kind.HOUR and of_machine:
            raise FieldInvalidError("group_by", "hours of an account are not kept by machine")
    if query.subject is Kind.ACCOUNT and of_machine:
        raise FieldInvalidError("group_by", "numbers by account are not kept by machine")
    by_month = query.subject is Kind.ACCOUNT or (
        query.account is not None and (query.subject is not None or of_machine)
    )
    if by_month and query.span is Span.DAY:
        raise FieldInvalidError("group_by", "these numbers are kept by month")
    if by_month and not are_months(query.first_day, query.last_day):
        raise FieldInvalidError("first_day", "and last_day must be those of whole months")


def _selection(owner: str, query: StatisticsQuery) -> Selection:
    kind = query.subject or Kind.DAY
    if owner != HOUSE and kind is Kind.DAY and (query.by_machine or query.machine):
        # The days of an account are not kept by machine.
        kind = Kind.ITEM
    coarsest = query.span or Span.YEAR
    if owner != HOUSE and kind is not Kind.DAY:
        coarsest = Span.MONTH
    return Selection(
        owner=owner,
        kind=kind,
        ranges=cover(query.first_day, query.last_day, coarsest),
        machine=query.machine,
        span=query.span,
        by_machine=query.by_machine,
        by_subject=query.subject is not None,
    )


def _total(tx: Transaction, owner: str, first: int, last: int) -> Numbers:
    rows = tx.statistics.sums(Selection(owner, Kind.DAY, cover(first, last)), FIRST, 1)
    return rows[0].numbers if rows else Numbers()


def _since(recent: Recent, today: int) -> tuple[int, int]:
    """The first and the last day of a time; the days after today have no numbers."""
    match recent:
        case Recent.WEEK:
            return first_of_week(today), today
        case Recent.MONTH:
            return today // 100 * 100 + 1, today // 100 * 100 + days_of(today // 100)
        case Recent.YEAR:
            return today // 10_000 * 10_000 + 101, today // 10_000 * 10_000 + 1231


def _names(tx: Transaction, keys: Iterable[str]) -> dict[str, str]:
    """The names of accounts by their keys."""
    return {key: key if (account := tx.accounts.get(key)) is None else account.name for key in keys}
