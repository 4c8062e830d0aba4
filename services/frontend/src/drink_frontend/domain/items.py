"""Items that slots sell, as they are stored. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass

from drink_frontend.domain.pictures import Picture

ITEMS_MAX = 1_000
"""Most items: more than any house sells; all of them fit on one page."""

ITEM_NUMBER_MAX = 999_999
"""Highest number of an item: six digits, as they are printed on price lists."""

NO_ITEM = 0
"""In place of an item's number: the slot sells no item, but has a name and price of its own."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that slots sell.

    Attributes:
        number: Identifies it.
        name: What people call it.
        barcode: The barcode on it, unique; None without one.
        price: In credits.
        created_ms: When it was created.
        updated_ms: When any of this last changed.
        picture: What is known of its picture; None without one.
    """

    number: int
    name: str
    barcode: str | None
    price: int
    created_ms: int
    updated_ms: int
    picture: Picture | None = None
