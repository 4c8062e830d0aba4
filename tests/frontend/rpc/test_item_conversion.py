"""Items as messages."""

import pytest

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.items import Item
from drink_frontend.rpc.conversion import item_name, parse_item
from drink_frontend.rpc.item_conversion import item_message


@pytest.mark.parametrize("number", [1, 70, 999_999])
def test_names_are_parsed_as_they_are_written(number: int) -> None:
    assert parse_item(item_name(number), "name") == number


@pytest.mark.parametrize(
    "name",
    ["", "1", "items/", "items/0", "items/01", "items/-1", "items/1000000", "items/1\n",
     "items/\u0661", "items/1/2", "slots/1", "items/x"],
)  # fmt: skip
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalidError) as error:
        parse_item(name, "sold_item")
    assert error.value.facts == {"field": "sold_item"}


def test_an_item_without_a_barcode_has_an_empty_one() -> None:
    message = item_message(Item(7, "Coke", None, 50, 1_500, 2_500))
    assert (message.name, message.display_name, message.barcode) == ("items/7", "Coke", "")
    assert (message.price, message.create_time.ToMilliseconds()) == (50, 1_500)
    assert message.update_time.ToMilliseconds() == 2_500
