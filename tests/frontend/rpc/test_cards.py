"""Cards over gRPC: what they log in to, who may add, see and remove them."""

from typing import Any

import pytest

from drink.v1 import account_service_pb2 as pb
from tests.support.rpc_frontend import ANN, BOB, IBUTTON, ROOT, Frontend

CHIP, SHORT, BARCODE = "04a2b3c4d5e6f708", "04a2b3c4", "4006381333931"


async def added(frontend: Frontend, **terms: Any) -> pb.Card:
    request = pb.AddCardRequest(**{"parent": "accounts/ann", **terms})
    card = (await frontend.call(request, ROOT)).card
    assert isinstance(card, pb.Card)
    return card


async def test_cards_are_added_listed_and_removed(frontend: Frontend) -> None:
    blue = await added(frontend, chip=CHIP, display_name="the blue one")
    other = await added(frontend, barcode=BARCODE)

    assert blue.name.startswith("accounts/ann/cards/")
    assert (blue.kind, blue.kiosk_only) == (pb.Card.KIND_CHIP, False)
    assert (other.kind, other.kiosk_only) == (pb.Card.KIND_BARCODE, True)
    mine = (await frontend.call(pb.ListCardsRequest(), ANN)).cards
    assert {each.name for each in mine} == {blue.name, other.name}
    assert list((await frontend.call(pb.ListCardsRequest(parent="accounts/ANN"), ROOT)).cards) == (
        list(mine)
    )
    login = await frontend.call(pb.LoginRequest(card=CHIP.upper()))
    assert login.account.name == "accounts/ann"
    by_card = (("authorization", f"Bearer {login.token}"),)
    assert list((await frontend.call(pb.ListCardsRequest(), by_card)).cards) == list(mine)

    await frontend.call(pb.RemoveCardRequest(name=blue.name), ANN)

    refusal = await frontend.refused(pb.ListCardsRequest(), by_card)
    assert refusal.reason == "TOKEN_INVALID"
    refusal = await frontend.refused(pb.LoginRequest(card=CHIP))
    assert refusal.status == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    refusal = await frontend.refused(pb.RemoveCardRequest(name=blue.name), ANN)
    assert refusal.status == ("NOT_FOUND", "CARD_NOT_FOUND")


async def test_an_ibutton_logs_in_by_either_field(frontend: Frontend) -> None:
    await added(frontend, chip=CHIP)
    for request, name in (
        (pb.LoginRequest(ibutton=IBUTTON), "bob"),
        (pb.LoginRequest(card=IBUTTON), "bob"),
        (pb.LoginRequest(ibutton=CHIP), "ann"),
    ):
        assert (await frontend.call(request)).account.name == f"accounts/{name}"


@pytest.mark.parametrize(
    "login",
    [pb.LoginRequest(card=SHORT), pb.LoginRequest(barcode=BARCODE)],
    ids=["card", "barcode"],
)
async def test_what_can_be_guessed_or_copied_needs_a_kiosk(
    frontend: Frontend, login: pb.LoginRequest
) -> None:
    await added(frontend, chip=SHORT)
    await added(frontend, barcode=BARCODE)
    refusal = await frontend.refused(login)
    assert refusal.status == ("FAILED_PRECONDITION", "KIOSK_REQUIRED")


async def test_others_neither_see_nor_remove_a_card(frontend: Frontend) -> None:
    card = await added(frontend, chip=CHIP)
    for request in (
        pb.ListCardsRequest(parent="accounts/ann"),
        pb.ListCardsRequest(parent="accounts/nobody"),
        pb.RemoveCardRequest(name=card.name),
        pb.RemoveCardRequest(name="accounts/nobody/cards/0123456789abcdef"),
    ):
        assert (await frontend.refused(request, BOB)).reason == "NOT_OWNER"
    refusal = await frontend.refused(pb.AddCardRequest(parent="accounts/bob", chip=CHIP), BOB)
    assert refusal.reason == "ADMIN_REQUIRED"
    refusal = await frontend.refused(pb.AddCardRequest(parent="accounts/bob", chip=CHIP), ROOT)
    assert refusal.status == ("ALREADY_EXISTS", "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.AddCardRequest(chip=CHIP), "parent"),
        (pb.AddCardRequest(parent="ann", chip=CHIP), "parent"),
        (pb.AddCardRequest(parent="accounts/ann"), "number"),
        (pb.AddCardRequest(parent="accounts/ann", chip=""), "chip"),
        (pb.AddCardRequest(parent="accounts/ann", chip="1234567"), "chip"),
        (pb.AddCardRequest(parent="accounts/ann", chip="1" * 33), "chip"),
        (pb.AddCardRequest(parent="accounts/ann", chip="1234567\0"), "chip"),
        (pb.AddCardRequest(parent="accounts/ann", barcode="12345"), "barcode"),
        (pb.AddCardRequest(parent="accounts/ann", barcode="1" * 65), "barcode"),
        (pb.AddCardRequest(parent="accounts/ann", barcode="40063813\n"), "barcode"),
        (
            pb.AddCardRequest(parent="accounts/ann", chip=CHIP, display_name="x" * 201),
            "display_name",
        ),
        (pb.ListCardsRequest(parent="ann"), "parent"),
        (pb.RemoveCardRequest(), "name"),
        (pb.RemoveCardRequest(name="accounts/ann/cards/0123"), "name"),
        (pb.RemoveCardRequest(name="accounts/a n/cards/0123456789abcdef"), "name"),
        (pb.LoginRequest(card=""), "card"),
        (pb.LoginRequest(card="x" * 16), "card"),
        (pb.LoginRequest(card="1" * 5_000), "card"),
        (pb.LoginRequest(barcode="?"), "barcode"),
        (pb.LoginRequest(), "credentials"),
    ],
)
async def test_bad_input_names_its_field(frontend: Frontend, request_: Any, field: str) -> None:
    refusal = await frontend.refused(request_, ROOT)
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert refusal.facts == {"field": field}
