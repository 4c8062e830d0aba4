"""Settings of the listeners: which combinations are valid."""

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


def test_agents_with_certificates_have_a_listener_of_their_own() -> None:
    assert RpcSettings().links.client_ca is None
    tls = {"tls_certificate": PEM, "tls_key": PEM}
    settings = RpcSettings(**tls, address="0.0.0.0", links={"client_ca": PEM})  # type: ignore[arg-type]
    assert settings.links_target == "0.0.0.0:50052"
    settings = RpcSettings(**tls, links={"client_ca": PEM, "address": "::1"})  # type: ignore[arg-type]
    assert settings.links_target == "[::1]:50052"


def test_agents_with_tokens_may_have_a_listener_of_their_own() -> None:
    assert not RpcSettings().links.listens
    assert RpcSettings(links={"listen": True}).links.listens  # type: ignore[arg-type]
    assert RpcSettings(tls_certificate=PEM, tls_key=PEM, links={"client_ca": PEM}).links.listens  # type: ignore[arg-type]


def test_plain_text_for_agents_beyond_loopback_has_to_be_allowed() -> None:
    links = {"listen": True, "address": "0.0.0.0"}
    with pytest.raises(ValidationError, match="allow_plain_remote"):
        RpcSettings(links=links)  # type: ignore[arg-type]
    assert RpcSettings(links=links, allow_plain_remote=True).links.listens  # type: ignore[arg-type]
    loopback = {"listen": True, "address": "127.0.0.1"}
    RpcSettings(address="0.0.0.0", allow_plain_remote=True, links=loopback)  # type: ignore[arg-type]


def test_certificates_of_agents_need_one_of_the_frontend() -> None:
    with pytest.raises(ValidationError, match="needs tls_certificate"):
        RpcSettings(links={"client_ca": PEM})  # type: ignore[arg-type]


def test_certificates_are_not_required_without_an_authority() -> None:
    with pytest.raises(ValidationError, match="required needs client_ca"):
        RpcSettings(links={"required": True})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="revoked is of no use"):
        RpcSettings(links={"revoked": PEM})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"prot": 1}, {"port": 65_536}, {"port": "http"}, {"calls_max": 0}, {"address": ""}]
)
def test_unknown_keys_and_wrong_values_are_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RpcSettings(**wrong)  # type: ignore[arg-type]


def test_every_setting_is_described_with_its_default() -> None:
    for name, field in RpcSettings.model_fields.items():
        assert field.description, name
        assert "default" in field.description, name
