import json

from drink_cli.errors import Exit
from tests.cli.conftest import Drink


def test_everybody_sees_the_items(administrator: Drink) -> None:
    administrator(
        "admin", "item", "add", "Ginger", "--price", "45", "--number", "900", "--barcode", "900900"
    )
    administrator("logout")
    by_barcode = json.loads(administrator("--json", "items", "--barcode", "900900").output)
    assert [(row["item"], row["name"], row["price"]) for row in by_barcode] == [
        ("900", "Ginger", 45)
    ]
    shown = administrator("items").output
    assert "ITEM" in shown
    assert "Ginger" in shown


def test_a_wrong_barcode_is_refused(alice: Drink) -> None:
    result = alice("items", "--barcode", "1")
    assert result.exit_code == Exit.USAGE
