from typing import Any

import pytest
from pydantic import ValidationError

from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.settings import FingerSettings, ListenerSettings, SessionSettings


def test_the_defaults_serve_classic_on_loopback() -> None:
    settings = SessionSettings()
    (listener,) = settings.listeners
    expected = ("127.0.0.1", 4242, DialectName.CLASSIC)
    assert (listener.address, listener.port, listener.dialect) == expected
    assert settings.finger is None
    assert not settings.shutdown_command


@pytest.mark.parametrize(
    "wrong",
    [
        {"adress": "127.0.0.1"},
        {"port": "telnet"},
        {"port": 65_536},
        {"dialect": "klingon"},
        {"address": "localhost"},
        {"address": "0.0.0.0"},
        {"address": "::"},
        {"address": "192.0.2.1", "tls_key": "key.pem"},
        {"tls_certificate": "cert.pem"},
        {"machine_by_address": {"big-drink": "d"}},
        {"machine_by_address": {"192.0.2.1": "Big Drink"}},
        {"default_machine": "D"},
        {"stat_trailer_delay_ms": -1},
    ],
)
def test_what_a_listener_may_not_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListenerSettings.model_validate(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"address": "::1"},
        {"address": "127.0.0.9"},
        {"address": "0.0.0.0", "allow_plain_remote": True},
        {"address": "::", "tls_certificate": "cert.pem", "tls_key": "key.pem"},
        {"machine_by_address": {"192.0.2.1": "d", "2001:db8::1": "ld"}},
    ],
)
def test_what_a_listener_may_be(right: dict[str, Any]) -> None:
    ListenerSettings.model_validate(right)


def test_the_machine_by_address_comes_before_the_default() -> None:
    listener = ListenerSettings(default_machine="d", machine_by_address={"127.0.0.2": "ld"})
    assert listener.machine_at("127.0.0.2") == "ld"
    assert listener.machine_at("127.0.0.1") == "d"
    assert FingerSettings().machine_at("127.0.0.1") is None
    upper = ListenerSettings(machine_by_address={"2001:DB8:0::1": "ld"})
    assert upper.machine_at("2001:db8::1") == "ld"


def test_everything_is_documented() -> None:
    for model in (ListenerSettings, FingerSettings, SessionSettings):
        for name, field in model.model_fields.items():
            assert "default" in (field.description or "").lower(), name


@pytest.mark.parametrize(
    ("common", "own", "dialect", "expected"),
    [
        (None, None, DialectName.CLASSIC, 300),
        (None, None, DialectName.DRINKJS, None),
        (None, None, DialectName.DRINKD, None),
        (60, None, DialectName.CLASSIC, 60),
        (60, None, DialectName.DRINKJS, 60),
        (0, None, DialectName.CLASSIC, None),
        (60, 5, DialectName.CLASSIC, 5),
        (60, 0, DialectName.DRINKD, None),
        (None, 5, DialectName.DRINKD, 5),
    ],
)
def test_the_idle_limit_is_the_listeners_or_the_common_one_or_the_dialects(
    common: float | None, own: float | None, dialect: DialectName, expected: float | None
) -> None:
    listener = ListenerSettings(dialect=dialect, idle_limit_s=own)
    assert SessionSettings(idle_limit_s=common).idle_limit(listener) == expected
