"""Preferences of accounts. An account without a row has the defaults."""

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.sql.elements import BindParameter

from drink_frontend.domain.preferences import Preferences
from drink_frontend.storage.statements import Executor, Statement
from drink_frontend.storage.tables import preferences

_OF_ACCOUNT = preferences.c.account == bindparam("account")
_VALUES: dict[str, BindParameter[object]] = {
    name: bindparam(name) for name in ("favourites", "ranked", "language")
}

_GET = Statement(
    select(preferences.c.favourites, preferences.c.ranked, preferences.c.language).where(
        _OF_ACCOUNT
    )
)
_CHANGE = Statement(update(preferences).where(_OF_ACCOUNT).values(_VALUES))
_ADD = Statement(preferences.insert().inline().values({"account": bindparam("account"), **_VALUES}))
_REMOVE = Statement(delete(preferences).where(_OF_ACCOUNT))


class PreferenceTable:
    """Preferences of accounts, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def get(self, account: str) -> Preferences:
        """The preferences of the account; the defaults if it has stored none."""
        row = self._executor.one(_GET, account=account)
        if row is None:
            return Preferences()
        favourites, ranked, language = row
        return Preferences(tuple(favourites.split()), bool(ranked), language)

    def keep(self, account: str, wanted: Preferences) -> None:
        """Stores the preferences of the account."""
        values = {
            "account": account,
            # No resource name has a blank.
            "favourites": " ".join(wanted.favourites),
            "ranked": int(wanted.ranked),
            "language": wanted.language,
        }
        if not self._executor.run(_CHANGE, **values):
            self._executor.run(_ADD, **values)

    def remove(self, account: str) -> None:
        """Removes the preferences of the account, so that it has the defaults."""
        self._executor.run(_REMOVE, account=account)
