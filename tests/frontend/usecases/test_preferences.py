"""Preferences: what one may prefer, and that they go with the account's owner."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    FieldInvalidError,
    ItemNotFoundError,
    SlotNotFoundError,
)
from drink_frontend.domain.preferences import FAVOURITES_MAX, Preferences
from drink_frontend.usecases.preferences import AccountPreferences, Favourite
from tests.support.bench import Bench
from tests.support.ids import ANN, ROOT

SLOT = Favourite("machines/d/slots/1", slot=("d", 1))


def item(number: int) -> Favourite:
    return Favourite(f"items/{number}", item=number)


@pytest.fixture
def preferences(bench: Bench) -> AccountPreferences:
    return bench.accounts.preferences


async def test_by_default_nobody_is_ranked(preferences: AccountPreferences) -> None:
    assert await preferences.get(ANN) == Preferences((), False, "")


async def test_what_is_given_changes(bench: Bench, preferences: AccountPreferences) -> None:
    await bench.items.create(ROOT, "Cola", 60)
    await preferences.change(ANN, favourites=[SLOT, item(1)])
    await preferences.change(ANN, ranked=True)
    changed = await preferences.change(ANN, language="de-at")
    assert changed == Preferences((SLOT.name, "items/1"), True, "de-AT")
    assert await preferences.get(ANN) == changed
    assert await preferences.get(ROOT) == Preferences()
    cleared = await preferences.change(ANN, favourites=[], ranked=False, language="")
    assert cleared == await preferences.get(ANN) == Preferences()


async def test_two_changes_at_once_keep_each_others_fields(
    preferences: AccountPreferences,
) -> None:
    await asyncio.gather(
        preferences.change(ANN, favourites=[SLOT]),
        preferences.change(ANN, ranked=True),
        preferences.change(ANN, language="en"),
    )
    assert await preferences.get(ANN) == Preferences((SLOT.name,), True, "en")


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"favourites": [item(404)]}, ItemNotFoundError),
        ({"favourites": [SLOT, Favourite("machines/d/slots/9", slot=("d", 9))]}, SlotNotFoundError),
        ({"favourites": [Favourite("machines/x/slots/1", slot=("x", 1))]}, SlotNotFoundError),
        ({"favourites": [SLOT, SLOT]}, FieldInvalidError),
        ({"favourites": [item(n) for n in range(1, FAVOURITES_MAX + 2)]}, FieldInvalidError),
        ({"language": "deutsch!"}, FieldInvalidError),
    ],
)
async def test_what_is_wrong_changes_nothing(
    preferences: AccountPreferences, terms: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await preferences.change(ANN, **{"ranked": True, **terms})
    assert await preferences.get(ANN) == Preferences()


async def test_a_favourite_that_is_gone_may_stay_or_go(
    bench: Bench, preferences: AccountPreferences
) -> None:
    await bench.items.create(ROOT, "Cola", 60)
    await preferences.change(ANN, favourites=[item(1)])
    await bench.items.delete(ROOT, 1)
    both = await preferences.change(ANN, favourites=[item(1), SLOT])
    assert both.favourites == ("items/1", SLOT.name)
    assert (await preferences.change(ANN, favourites=[SLOT])).favourites == (SLOT.name,)
    with pytest.raises(ItemNotFoundError):
        await preferences.change(ANN, favourites=[item(1), SLOT])


async def test_an_account_that_is_opened_again_has_none(
    bench: Bench, preferences: AccountPreferences
) -> None:
    await preferences.change(ANN, favourites=[SLOT], ranked=True, language="de")
    await bench.accounts.change(ROOT, "ann", closed=True)
    await bench.accounts.create(ROOT, "ann", readmit=True)
    assert await preferences.get(ANN) == Preferences()


async def test_the_audit_log_says_that_something_changed_and_not_what(
    bench: Bench, preferences: AccountPreferences
) -> None:
    before = len(await bench.audit(AuditKind.ACCOUNT_CHANGED))
    for _ in range(2):
        await preferences.change(ANN, favourites=[SLOT], language="de")
    (record,) = (await bench.audit(AuditKind.ACCOUNT_CHANGED))[before:]
    assert (record.actor, record.account) == ("ann", "ann")
    assert record.facts == {"preferences": "changed"}
