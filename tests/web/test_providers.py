from pathlib import Path

import pytest
from pydantic import ValidationError

from drink_web.api import Api
from drink_web.providers import Attempt, Providers
from drink_web.settings import ConfigError, FrontendSettings, OidcSettings


def test_an_attempt_is_kept_for_ten_minutes() -> None:
    attempt = Attempt.new("home", "/account")
    assert Attempt.unpacked(attempt.packed()) == attempt
    assert len({attempt.state, attempt.nonce, attempt.verifier}) == 3
    packed = list(attempt.packed())
    assert Attempt.unpacked([*packed[:-1], str(int(packed[-1]) - 601)]) is None


@pytest.mark.parametrize("packed", [[], ["a"] * 5, ["a"] * 6, [1] * 6, ["a"] * 7])
def test_what_is_no_attempt(packed: list[str]) -> None:
    assert Attempt.unpacked(packed) is None


async def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    api = Api(FrontendSettings(address="localhost:1"))
    empty = tmp_path / "empty"
    empty.touch()
    for settings in (
        OidcSettings(client_secret_files={"home": tmp_path / "missing"}),
        OidcSettings(client_secret_files={"home": empty}),
        OidcSettings(ca_file=tmp_path / "missing"),
    ):
        with pytest.raises(ConfigError, match="oidc"):
            Providers(api, settings)
    await api.close()


async def test_without_a_frontend_there_are_none() -> None:
    api = Api(FrontendSettings(address="localhost:1"))
    providers = Providers(api, OidcSettings(base_url="https://drink.example.org"))
    assert not await providers.offered()
    await api.close()


@pytest.mark.parametrize(
    "url", ["http://drink.example.org", "drink.example.org", "https://", "https://a/b", "ftp://a"]
)
def test_addresses_that_are_no_origin(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url"):
        OidcSettings(base_url=url)
