import json

from drink_cli.errors import Exit
from tests.cli.conftest import Drink


def test_an_item_is_made_sold_changed_and_deleted(administrator: Drink) -> None:
    added = ("admin", "item", "add", "Mate", "--price", "45", "--number", "801")
    assert administrator(*added).output == "item 801: Mate for 45 credits\n"
    assert administrator(*added).exit_code == Exit.REFUSED
    administrator("admin", "machine", "add", "shelf", "Shelf")
    made = administrator("admin", "slot", "add", "shelf/1", "--item-number", "801").output
    assert made == "shelf/1 sells Mate for 45 credits, 0 left\n"

    changed = ("admin", "item", "change", "801", "--name", "Mate Zero", "--barcode", "801801")
    said = "item 801: Mate Zero for 45 credits, barcode 801801\n"
    assert administrator(*changed).output == said
    shown = json.loads(administrator("--json", "machines", "shelf").output)
    assert [(row["item"], row["price"]) for row in shown] == [("Mate Zero", 45)]

    refused = administrator("admin", "slot", "change", "shelf/1", "--price", "1")
    assert refused.exit_code == Exit.REFUSED
    assert administrator("admin", "item", "delete", "801").exit_code == Exit.REFUSED
    administrator("admin", "slot", "change", "shelf/1", "--item-number", "0", "--price", "1")
    assert administrator("admin", "item", "delete", "801").output == "item 801 deleted\n"
    assert administrator("admin", "item", "delete", "801").exit_code == Exit.NOT_FOUND


def test_what_is_wrong_is_told(administrator: Drink) -> None:
    assert administrator("admin", "item", "change", "801").exit_code == Exit.USAGE
    assert administrator("admin", "item", "change", "x", "--price", "1").exit_code == Exit.USAGE
    wrong = ("admin", "item", "add", 'M"ate', "--price", "45")
    assert administrator(*wrong).exit_code == Exit.USAGE
    nothing = ("admin", "slot", "change", "d/1", "--item-number", "404404")
    assert administrator(*nothing).exit_code == Exit.NOT_FOUND


def test_items_are_for_administrators_to_change(alice: Drink) -> None:
    added = ("admin", "item", "add", "Mate", "--price", "45")
    assert alice(*added).exit_code == Exit.FORBIDDEN
