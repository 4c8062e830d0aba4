"""Settings of the notifier."""

from datetime import time
from typing import Any

import pytest
from pydantic import ValidationError

from drink_web.notify_settings import ChannelSettings, NotifySettings, check_url


def channel(**changes: Any) -> ChannelSettings:
    return ChannelSettings.model_validate({"name": "mail", "url_env": "MAIL"} | changes)


@pytest.mark.parametrize(
    ("hours", "now", "quiet"),
    [
        ("22:00-07:00", time(23), True),
        ("22:00-07:00", time(6, 59), True),
        ("22:00-07:00", time(7), False),
        ("12:00-13:30", time(13, 29), True),
        ("12:00-13:30", time(14), False),
        ("", time(3), False),
    ],
)
def test_quiet_hours(hours: str, now: time, quiet: bool) -> None:
    assert channel(quiet_hours=hours).is_quiet(now) is quiet


def test_the_time_of_the_digest() -> None:
    assert not channel().digest_is_due(time(23))
    assert not channel(digest="08:00").digest_is_due(time(7, 59))
    assert channel(digest="08:00").digest_is_due(time(8))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Mail"},
        {"name": "a\nb"},
        {"url_env": ""},
        {"url_file": "/x"},
        {"time_zone": "Europe/Nowhere"},
        {"quiet_hours": "25:00-07:00"},
        {"digest": "8"},
        {"least": "severe"},
        {"language": "fr"},
    ],
)
def test_wrong_channels_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        channel(**changes)


def test_two_channels_of_one_name_and_a_lease_shorter_than_a_message_are_refused() -> None:
    with pytest.raises(ValidationError, match="one name"):
        NotifySettings(channels=(channel(), channel()))
    with pytest.raises(ValidationError, match="less than lease_s"):
        NotifySettings(lease_s=20, send_limit_s=30)


@pytest.mark.parametrize("url", ["", "a\tb", "a%0ab", "a%0Db", "a%25250ab", "a\u2028b"])
def test_an_address_with_control_characters_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        check_url(url)
    assert check_url(" json://h/p%20q\n") == "json://h/p%20q"
