"""Cards: adding, listing, logging in with, and removing them."""

import json

from drink.v1 import kiosk_service_pb2 as pb
from drink.v1 import kiosk_service_pb2_grpc
from drink_cli.errors import Exit
from scripts.client import CALL_LIMIT_S, open_channel
from tests.cli.conftest import ALICE, BOB, Drink

CHIP, SHORT, BARCODE = "04A2B3C4D5E6F708", "04A2B3C4", "4006381333931"


def add(drink: Drink, number: str, *options: str) -> str:
    result = drink("--json", "cards", "add", *options, typed=f"{number}\n")
    assert result.exit_code == Exit.DONE, result.output
    assert number not in result.output
    return str(json.loads(result.output)["card"])


def test_a_card_logs_in_until_it_is_removed(administrator: Drink) -> None:
    drink = administrator
    card = add(drink, CHIP, "--account", "bob", "--name", "the blue one")

    login = ("--profile", "kiosk", "login", "--card", "--server", drink.server)
    said = drink(*login, typed=f"{CHIP.lower()}\n")
    assert "bob can spend" in said.output
    assert CHIP not in said.output.upper()
    assert "the blue one" in drink("--profile", "kiosk", "cards", "list").output
    removed = drink("--profile", "kiosk", "cards", "remove", card)
    assert removed.output == f"card {card} removed\n"

    assert drink("--profile", "kiosk", "whoami").exit_code == Exit.LOGIN
    assert drink(*login, typed=f"{CHIP}\n").exit_code == Exit.LOGIN
    assert drink("cards", "remove", card, "--account", "bob").exit_code == Exit.NOT_FOUND


def test_short_numbers_and_barcodes_are_for_kiosks_only(administrator: Drink) -> None:
    drink = administrator
    added = [
        add(drink, SHORT, "--account", "alice"),
        add(drink, BARCODE, "--account", "alice", "--barcode"),
    ]
    rows = json.loads(drink("--json", "cards", "list", "--account", "alice").output)
    assert [(row["card"], row["kind"], row["kiosk_only"]) for row in rows] == [
        (added[0], "chip", True),
        (added[1], "barcode", True),
    ]
    refused = drink(
        "--profile", "kiosk", "login", "--card", "--server", drink.server, typed=f"{SHORT}\n"
    )
    assert refused.exit_code == Exit.REFUSED
    assert "kiosk" in refused.stderr
    for card in added:
        drink("cards", "remove", card, "--account", "alice")


def test_members_add_no_cards_and_see_none_of_others(drink: Drink) -> None:
    drink.login(BOB)
    assert drink("cards", "add", typed=f"{CHIP}\n").exit_code == Exit.FORBIDDEN
    assert drink("cards", "list", "--account", ALICE.name).exit_code == Exit.FORBIDDEN
    assert "there are no cards" in drink("cards", "list").output


def test_wrong_usage_is_told(administrator: Drink) -> None:
    drink = administrator
    assert drink("cards", "add", typed="12\n").exit_code == Exit.USAGE
    assert drink("cards", "remove", "x").exit_code == Exit.USAGE
    result = drink("login", "--card", "--ibutton", "--server", drink.server)
    assert result.exit_code == Exit.USAGE


def code_of(drink: Drink, number: str) -> str:
    """What a new kiosk shows for a card."""
    made = json.loads(drink("--json", "admin", "kiosks", "pair", "d").output)
    with open_channel(drink.server) as channel:
        stub = kiosk_service_pb2_grpc.KioskServiceStub(channel)
        redeem = pb.RedeemPairingCodeRequest(pairing_code=made["pairing_code"])
        token = stub.RedeemPairingCode(redeem, timeout=CALL_LIMIT_S).token
        answer = stub.LogInCard(
            pb.LogInCardRequest(number=number, offer_code=True),
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=CALL_LIMIT_S,
        )
    drink("admin", "kiosks", "unpair", made["kiosk"])
    return str(answer.refused_card.code)


def test_a_member_adds_the_card_for_which_a_kiosk_shows_a_code(administrator: Drink) -> None:
    drink = administrator
    code = code_of(drink, "0badcafe")
    drink.login(BOB)
    result = drink("--json", "cards", "add", "--code", "--name", "badge", typed=f"{code}\n")
    assert result.exit_code == Exit.DONE, result.output
    card = json.loads(result.output)
    assert (card["kind"], card["kiosk_only"], card["name"]) == ("chip", True, "badge")
    assert drink("cards", "add", "--code", typed=f"{code}\n").exit_code == Exit.NOT_FOUND
    assert drink("cards", "add", "--code", typed="12345\n").exit_code == Exit.USAGE
    assert drink("cards", "add", "--code", "--barcode", typed="1\n").exit_code == Exit.USAGE
    assert drink("cards", "remove", card["card"]).exit_code == Exit.DONE
