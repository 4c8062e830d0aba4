"""When a notification can be leased."""

import pytest

from drink_frontend.domain.notifications import Delivery, channel_subject


@pytest.mark.parametrize(
    ("now_ms", "told", "is_free"),
    [(150, False, False), (200, False, True), (99, False, True), (200, True, False)],
)
def test_a_lease_holds_until_it_ends_or_the_clock_goes_back(
    now_ms: int, told: bool, is_free: bool
) -> None:
    assert Delivery("mail", 1, 1, 100, 200, told).is_free(now_ms) is is_free


def test_a_channel_is_a_subject() -> None:
    assert channel_subject("mail") == "channels/mail"
