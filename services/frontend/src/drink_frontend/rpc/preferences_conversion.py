"""Converts between drink.v1 messages and preferences."""

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.preferences import Preferences
from drink_frontend.rpc.conversion import parse_item, parse_slot
from drink_frontend.usecases.preferences import Favourite


def preferences_message(preferences: Preferences) -> pb.Preferences:
    """Preferences as a drink.v1 message."""
    return pb.Preferences(
        favourites=preferences.favourites,
        ranked=preferences.ranked,
        language=preferences.language,
    )


def parse_favourite(name: str) -> Favourite:
    """The item or slot of a resource name; FieldInvalidError if the name is invalid."""
    try:
        if name.startswith("items/"):
            return Favourite(name, item=parse_item(name, "favourites"))
        return Favourite(name, slot=parse_slot(name, "favourites"))
    except FieldInvalidError:
        rule = "must be items/{item} or machines/{machine}/slots/{slot}"
        raise FieldInvalidError("favourites", rule) from None
