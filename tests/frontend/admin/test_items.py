"""Items from the command line."""

from pathlib import Path

import pytest

from tests.frontend.admin.conftest import Operator
from tests.support.pictures import png


@pytest.fixture
def furnished(operator: Operator) -> Operator:
    """One machine, whose slot sells one of two items."""
    operator.admin("machine", "add", "d", "Big Drink")
    assert operator.admin("item", "add", "Cola", "--price", "60", "--barcode", "4001234") == "1\n"
    assert operator.admin("item", "add", "Tea", "--price", "30", "--number", "70") == "70\n"
    operator.admin("slot", "add", "d", "1", "--item-number", "1", "--available", "10")
    return operator


def slot_line(operator: Operator) -> list[str]:
    return operator.admin("machine", "list").splitlines()[1].split()[:4]


def test_items_are_listed(furnished: Operator) -> None:
    rows = [line.split() for line in furnished.admin("item", "list").splitlines()]
    assert rows == [
        ["number", "name", "price", "barcode"],
        ["1", "Cola", "60", "4001234"],
        ["70", "Tea", "30", "-"],
    ]


def test_a_slot_sells_an_item_until_it_sells_another_or_its_own(furnished: Operator) -> None:
    furnished.admin("item", "change", "1", "--price", "65", "--name", "Cola2", "--barcode", "")
    assert slot_line(furnished) == ["d", "1", "Cola2", "65"]
    furnished.admin("slot", "change", "d", "1", "--item-number", "70")
    assert slot_line(furnished) == ["d", "1", "Tea", "30"]
    assert furnished.refused("slot", "change", "d", "1", "--price", "1").startswith(
        "SLOT_SELLS_ITEM: "
    )
    furnished.admin("slot", "change", "d", "1", "--item-number", "0", "--price", "1")
    assert slot_line(furnished) == ["d", "1", "Tea", "1"]
    furnished.admin("item", "delete", "70")
    assert len(furnished.admin("item", "list").splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("item", "add", "Mate", "--price", "1", "--number", "1"), "ALREADY_EXISTS"),
        (("item", "add", "Mate", "--price", "1", "--barcode", "4001234"), "ALREADY_EXISTS"),
        (("item", "add", 'M"ate', "--price", "1"), "FIELD_INVALID"),
        (("item", "add", "Mate", "--price", "-1"), "FIELD_INVALID"),
        (("item", "add", "Mate", "--price", "1", "--number", "0"), "FIELD_INVALID"),
        (("item", "change", "404", "--price", "1"), "ITEM_NOT_FOUND"),
        (("item", "delete", "404"), "ITEM_NOT_FOUND"),
        (("item", "delete", "1"), "ITEM_SOLD"),
        (("slot", "add", "d", "2", "--item-number", "404"), "ITEM_NOT_FOUND"),
        (("slot", "add", "d", "2", "--item-number", "1", "--price", "2"), "FIELD_INVALID"),
        (("slot", "add", "d", "2"), "FIELD_INVALID"),
        (("slot", "change", "d", "1", "--item-number", "404"), "ITEM_NOT_FOUND"),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    furnished: Operator, arguments: tuple[str, ...], reason: str
) -> None:
    before = furnished.admin("item", "list"), furnished.admin("machine", "list")
    assert furnished.refused(*arguments).startswith(f"{reason}: ")
    assert (furnished.admin("item", "list"), furnished.admin("machine", "list")) == before


def test_a_picture_is_given_and_removed(furnished: Operator, tmp_path: Path) -> None:
    file = tmp_path / "cola.png"
    file.write_bytes(png(40, 30))
    furnished.admin("item", "picture", "1", str(file))
    picture = furnished.look(lambda drink: drink.items.get(1)).picture
    assert picture is not None
    assert (picture.media_type, picture.width, picture.height) == ("image/png", 40, 30)
    file.write_bytes(b"<svg/>")
    assert furnished.refused("item", "picture", "1", str(file)).startswith("FIELD_INVALID: ")
    file.write_bytes(b"")
    assert furnished.refused("item", "picture", "1", str(file)).endswith("is empty")
    assert "No such file" in furnished.refused("item", "picture", "1", str(tmp_path / "none"))
    assert furnished.look(lambda drink: drink.items.get(1)).picture == picture
    furnished.admin("item", "picture", "1")
    assert furnished.look(lambda drink: drink.items.get(1)).picture is None
