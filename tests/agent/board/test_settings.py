"""Valid and invalid settings of a board."""

from typing import Any

import pytest

from drink_agent.board.settings import BoardSettings

SERIAL = "serial:///dev/ttyUSB0"


def test_the_defaults_are_good() -> None:
    settings = BoardSettings(url=SERIAL)
    assert settings.response_limit_s == 10
    assert not settings.dials_in


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"url": "ttyUSB0"}, "must begin with"),
        ({"allowed_peers": ("board.example",)}, "does not appear to be"),
        ({"response_limit_s": 0}, "response_limit_s"),
        ({"silence_limit_s": 3601}, "silence_limit_s"),
        ({"probe_interval_s": -1}, "probe_interval_s"),
        ({"login_limit_s": float("nan")}, "login_limit_s"),
        ({"motor_s": 61}, "motor_s"),
        ({"max_slot": 0}, "max_slot"),
        ({"max_line_bytes": 63}, "max_line_bytes"),
        ({"dialect": "vt100"}, "dialect"),
        ({"temperature_unit": "kelvin"}, "temperature_unit"),
        ({"password": " blank"}, "password"),
        ({"password": "pässword"}, "password"),
        ({"url": "listen://:4343"}, "password_file: required"),
        ({"sensor_independent": True}, "coke1994"),
        ({"max_slot": 100}, "1 to 99"),
        ({"dialect": "coke1994"}, "1 to 8 slots"),
        ({"dialect": "coke1994", "max_slot": 5, "motor_s": 10}, "longer than motor_s"),
        (
            {"dialect": "coke1994", "max_slot": 5, "url": "listen://:1", "password": "p"},
            "does not dial in",
        ),
    ],
)
def test_bad_settings_are_refused_by_name(values: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        BoardSettings(**{"url": SERIAL} | values)


def test_no_password_shows_in_a_repr() -> None:
    assert "hunter2" not in repr(BoardSettings(url=SERIAL, password="hunter2"))
