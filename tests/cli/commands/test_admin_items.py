import json
from pathlib import Path

from drink_cli.errors import Exit
from tests.cli.conftest import Drink
from tests.support.pictures import png


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


def test_a_picture_is_given_saved_and_removed(administrator: Drink, tmp_path: Path) -> None:
    source, saved = tmp_path / "mate.png", tmp_path / "saved.png"
    source.write_bytes(png(40, 30, 200_000))
    administrator("admin", "item", "add", "Mate", "--price", "45", "--number", "802")
    said = administrator("admin", "item", "picture", "802", str(source)).output
    assert said == "item 802: Mate for 45 credits, PNG 40x30\n"
    assert administrator("picture", "802", str(saved)).output == f"the picture is in {saved}\n"
    assert saved.read_bytes() == source.read_bytes()
    assert administrator("picture", "802", str(saved)).exit_code == Exit.USAGE

    source.write_bytes(b"<svg/>")
    refused = administrator("admin", "item", "picture", "802", str(source))
    assert refused.exit_code == Exit.USAGE
    assert "PNG, JPEG or WebP" in refused.output
    missing = administrator("admin", "item", "picture", "802", str(tmp_path / "none"))
    assert missing.exit_code == Exit.USAGE
    assert administrator("admin", "item", "picture", "802").exit_code == Exit.USAGE

    removed = administrator("admin", "item", "picture", "802", "--remove").output
    assert removed == "item 802: Mate for 45 credits\n"
    gone = administrator("picture", "802", str(tmp_path / "other.png"))
    assert gone.exit_code == Exit.NOT_FOUND
    assert not (tmp_path / "other.png").exists()
    administrator("admin", "item", "delete", "802")
