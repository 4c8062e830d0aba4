"""Every refusal has a reason that the protocol knows, one each."""

import inspect

import pytest

from drink.v1 import error_reason_pb2
from drink_frontend.domain import errors, sign_in_errors
from drink_frontend.domain.errors import DrinkError, FieldInvalidError, InsufficientCreditsError

REFUSALS = [
    kind
    for module in (errors, sign_in_errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, DrinkError) and kind is not DrinkError
    if kind.__module__ == module.__name__
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_its_reason_is_in_the_protocol(refusal: type[DrinkError]) -> None:
    assert (
        f"ERROR_REASON_{refusal.reason}" in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    )


def test_only_kinds_of_one_refusal_share_a_reason() -> None:
    families = [refusal for refusal in REFUSALS if DrinkError in refusal.__bases__]
    assert len({refusal.reason for refusal in families}) == len(families)


def test_facts_are_kept_beside_the_message() -> None:
    error = InsufficientCreditsError("not enough credits", available=20, price=50)

    assert error.facts == {"available": 20, "price": 50}
    assert str(error) == "not enough credits"


def test_an_invalid_field_is_named() -> None:
    error = FieldInvalidError("delay", "must be 0 to 300")

    assert error.facts == {"field": "delay"}
    assert str(error) == "delay: must be 0 to 300"
