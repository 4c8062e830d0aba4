"""Names of favourites, and preferences over gRPC."""

from typing import Any

import pytest

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.tokens import Scope
from drink_frontend.rpc.authentication import scopes_of
from drink_frontend.rpc.preferences_conversion import parse_favourite
from tests.support.rpc_frontend import ANN, BOB, ROOT, Frontend

SLOT = "machines/d/slots/1"


def test_an_item_and_a_slot_are_favourites() -> None:
    assert parse_favourite("items/7").item == 7
    assert parse_favourite(SLOT).slot == ("d", 1)


@pytest.mark.parametrize(
    "name",
    ["", "items/", "items/0", "items/x", "machines/d", "machines/d/slots/100", "drops/1", "d/1",
     "machines/d/slots/1 items/1", "items/1\x00", "x" * 60_000],
)  # fmt: skip
def test_nothing_else_is(name: str) -> None:
    with pytest.raises(FieldInvalidError) as error:
        parse_favourite(name)
    assert error.value.facts == {"field": "favourites"}


async def test_everybody_has_preferences_of_their_own(frontend: Frontend) -> None:
    request = pb.UpdatePreferencesRequest(
        favourites=pb.Favourites(names=[SLOT]), ranked=True, language="de"
    )
    changed = (await frontend.call(request, ANN)).preferences
    assert changed == pb.Preferences(favourites=[SLOT], ranked=True, language="de")
    assert (await frontend.call(pb.GetPreferencesRequest(), ANN)).preferences == changed
    for other in (BOB, ROOT):
        found = (await frontend.call(pb.GetPreferencesRequest(), other)).preferences
        assert found == pb.Preferences()
    # What is not set stays.
    stays = await frontend.call(pb.UpdatePreferencesRequest(), ANN)
    assert stays.preferences == changed
    fewer = pb.UpdatePreferencesRequest(favourites=pb.Favourites(), ranked=False, language="")
    assert (await frontend.call(fewer, ANN)).preferences == pb.Preferences()


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"favourites": pb.Favourites(names=["items/x"])}, "favourites"),
        ({"favourites": pb.Favourites(names=[SLOT, SLOT])}, "favourites"),
        ({"favourites": pb.Favourites(names=[f"items/{n}" for n in range(1, 22)])}, "favourites"),
        ({"language": "english_GB"}, "language"),
        ({"language": "e"}, "language"),
        ({"language": "x" * 60_000}, "language"),
    ],
)
async def test_a_wrong_field_is_refused(
    frontend: Frontend, terms: dict[str, Any], field: str
) -> None:
    request = pb.UpdatePreferencesRequest(**{"ranked": True, **terms})
    refusal = await frontend.refused(request, ANN)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
    assert (await frontend.call(pb.GetPreferencesRequest(), ANN)).preferences == pb.Preferences()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("items/404", "ITEM_NOT_FOUND"),
        ("machines/d/slots/9", "SLOT_NOT_FOUND"),
        ("machines/none/slots/1", "SLOT_NOT_FOUND"),
    ],
)
async def test_what_is_not_there_is_told(frontend: Frontend, name: str, reason: str) -> None:
    request = pb.UpdatePreferencesRequest(favourites=pb.Favourites(names=[name]))
    assert (await frontend.refused(request, ANN)).status == ("NOT_FOUND", reason)


def test_a_token_that_only_reads_changes_no_preferences() -> None:
    service = "/drink.v1.AccountService/"
    assert scopes_of(f"{service}GetPreferences") == {Scope.ALL, Scope.READ}
    assert scopes_of(f"{service}UpdatePreferences") == {Scope.ALL}
