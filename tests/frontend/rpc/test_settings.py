"""Which listeners may be configured."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drink_frontend.rpc.settings import RpcSettings

PEM = Path("a.pem")


def test_the_default_is_plain_text_on_loopback_with_reflection() -> None:
    settings = RpcSettings()
    assert settings.target == "127.0.0.1:50051"
    assert not settings.tls
    assert settings.reflected


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "drink.example.org"])
def test_plain_text_beyond_loopback_has_to_be_allowed(address: str) -> None:
    with pytest.raises(ValidationError, match="allow_plain_remote"):
        RpcSettings(address=address)
    for allowed in (
        RpcSettings(address=address, allow_plain_remote=True),
        RpcSettings(address=address, tls_certificate=PEM, tls_key=PEM),
    ):
        assert not allowed.reflected
    assert RpcSettings(address=address, allow_plain_remote=True, reflection=True).reflected


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_permission(address: str) -> None:
    assert RpcSettings(address=address).reflected
    assert not RpcSettings(address=address, reflection=False).reflected


def test_ipv6_addresses_are_bracketed() -> None:
    assert RpcSettings(address="::1", port=1).target == "[::1]:1"


@pytest.mark.parametrize("half", ["tls_certificate", "tls_key"])
def test_certificate_and_key_come_together(half: str) -> None:
    with pytest.raises(ValidationError, match="together"):
        RpcSettings(**{half: PEM})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"prot": 1}, {"port": 65_536}, {"port": "http"}, {"calls_max": 0}, {"address": ""}]
)
def test_unknown_keys_and_wrong_values_are_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RpcSettings(**wrong)  # type: ignore[arg-type]


def test_every_key_says_what_it_is_and_its_default() -> None:
    for name, field in RpcSettings.model_fields.items():
        assert field.description, name
        assert "default" in field.description, name
