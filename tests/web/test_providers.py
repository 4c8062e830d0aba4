from pathlib import Path

import pytest
from pydantic import ValidationError

from drink_web.api import Api
from drink_web.providers import MINUTE_S, Attempt, CodeLimits, Providers, TooManyCodesError
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


def test_an_address_that_brings_many_codes_waits_and_no_other_does() -> None:
    clock = Clock()
    limits = CodeLimits(OidcSettings(codes_per_address_per_minute_max=2), clock)
    for address in ("203.0.113.1", "203.0.113.1", "2001:db8::1", "2001:db8::2"):
        with limits.one_more(address):
            pass
    clock.now += MINUTE_S - 10.5
    for address in ("203.0.113.1", "2001:db8::3"):
        with pytest.raises(TooManyCodesError) as refused, limits.one_more(address):
            pass
        assert refused.value.retry_s == 11
    with limits.one_more("203.0.113.2"):
        pass
    clock.now += 11
    with limits.one_more("203.0.113.1"):
        pass


def test_codes_at_once_are_limited_whoever_brings_them() -> None:
    limits = CodeLimits(OidcSettings(codes_max=1))
    with (
        limits.one_more("203.0.113.1"),
        pytest.raises(TooManyCodesError) as refused,
        limits.one_more("203.0.113.2"),
    ):
        pass
    assert refused.value.retry_s == 1
    with limits.one_more("203.0.113.2"):
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
