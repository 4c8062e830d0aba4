"""Preferences of people: each sees and changes only the own ones, administrators too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.domain.errors import FieldInvalidError, SlotNotFoundError
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.preferences import FAVOURITES_MAX, Preferences, check_language
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.items import stored_item


@dataclass(frozen=True, slots=True)
class Favourite:
    """An item, or a slot of a machine.

    Attributes:
        name: Its resource name.
        item: Number of the item; None for a slot.
        slot: Machine and number of the slot; None for an item.
    """

    name: str
    item: int | None = None
    slot: tuple[str, int] | None = None


class AccountPreferences:
    """Preferences of accounts.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def get(self, account: str) -> Preferences:
        """The preferences of an account, with the favourites that are no longer there too."""
        return await self._storage.read(lambda tx: tx.preferences.get(account))

    async def change(
        self,
        account: str,
        *,
        favourites: Sequence[Favourite] | None = None,
        ranked: bool | None = None,
        language: str | None = None,
    ) -> Preferences:
        """Changes the given preferences of an account.

        Args:
            account: Whose they are, and who changes them.
            favourites: Items and slots, in the wanted order.
            ranked: Whether the account may appear in rankings.
            language: Language tag of BCP 47; empty removes it.

        Raises:
            FieldInvalidError: there are too many favourites, or one twice, or it is no language.
            ItemNotFoundError: there is no such item.
            SlotNotFoundError: there is no such slot.
        """
        if favourites is not None:
            _check_number(favourites)
        tag = check_language(language) if language else language
        now_ms = self._clock.now_ms()

        def change(tx: Transaction) -> Preferences:
            before = tx.preferences.get(account)
            after = before
            if favourites is not None:
                # What is gone and was a favourite before may stay one.
                for each in favourites:
                    if each.name not in before.favourites:
                        _check_exists(tx, each)
                after = replace(after, favourites=tuple(each.name for each in favourites))
            if ranked is not None:
                after = replace(after, ranked=ranked)
            if tag is not None:
                after = replace(after, language=tag)
            if after != before:
                tx.preferences.keep(account, after)
                # The values are the person's own, and records are for ever.
                record = AuditRecord(
                    AuditKind.ACCOUNT_CHANGED,
                    now_ms,
                    account,
                    account=account,
                    facts={"preferences": "changed"},
                )
                tx.audit.add(record)
            return after

        return await self._storage.write(change)


def _check_number(favourites: Sequence[Favourite]) -> None:
    if len(favourites) > FAVOURITES_MAX:
        raise FieldInvalidError("favourites", f"must be at most {FAVOURITES_MAX}")
    if len({each.name for each in favourites}) < len(favourites):
        raise FieldInvalidError("favourites", "must not have the same name twice")


def _check_exists(tx: Transaction, favourite: Favourite) -> None:
    if favourite.item is not None:
        stored_item(tx, favourite.item)
    if favourite.slot is not None and tx.machines.slot(*favourite.slot) is None:
        raise SlotNotFoundError(f"no such slot: {favourite.name}")
