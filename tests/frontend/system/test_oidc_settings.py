from typing import Any

import pytest
from pydantic import ValidationError

from drink_frontend.system.oidc_settings import OidcSettings, is_private

HOME = {"name": "home", "issuer": "https://sso.example.org", "client_id": "page"}


def made(*providers: dict[str, Any], **limits: Any) -> OidcSettings:
    return OidcSettings.model_validate({"providers": providers, **limits})


def test_a_provider_with_defaults() -> None:
    (home,) = made(HOME).providers
    assert (home.label, home.create_accounts, home.access_tokens) == ("home", False, "no")
    assert not {"none", "HS256"} & set(home.algorithms)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "name"),
        ({"name": "Home"}, "name"),
        ({"issuer": ""}, "issuer is missing"),
        ({"issuer": "http://sso.example.org"}, "plain https address"),
        ({"issuer": "http://127.0.0.1:8080"}, "plain https address"),
        ({"issuer": "sso.example.org"}, "plain https address"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"algorithms": ("HS256",)}, "algorithms"),
        ({"access_tokens": "jwt"}, "access_clients"),
        ({"access_tokens": "jwt", "access_clients": ("a",)}, "access_audiences"),
        (
            {
                "access_tokens": "introspection",
                "access_clients": ("a",),
                "access_audiences": ("b",),
            },
            "introspection_client_id",
        ),
        ({"secret": "x"}, "Extra inputs"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        made({**HOME, **changes})


def test_two_of_one_name_or_issuer_and_too_many() -> None:
    for other in ({**HOME, "issuer": "https://b.example"}, {**HOME, "name": "b"}):
        with pytest.raises(ValidationError, match="two providers"):
            made(HOME, other)
    many = [{**HOME, "name": f"p{n}", "issuer": f"https://{n}.example"} for n in range(9)]
    with pytest.raises(ValidationError, match="more than 8"):
        made(*many)


@pytest.mark.parametrize(
    ("url", "plain", "private"),
    [
        ("https://sso.example.org/realms/home", False, True),
        ("http://sso.example.org", True, False),
        ("http://127.0.0.1:5", True, True),
        ("http://[::1]:5/x", True, True),
        ("http://localhost:5", True, True),
        ("http://localhost:5", False, False),
        ("http://localhost.example.org", True, False),
        ("https://", False, False),
        ("https://user@sso.example.org", False, False),
        ("https://sso.example.org/#x", False, False),
        ("https://sso.example.org:port", False, False),
        ("https://sso.example.org/\n", False, False),
        ("javascript:alert(1)", True, False),
        ("", True, False),
    ],
)
def test_addresses_that_nobody_on_the_way_reads(url: str, plain: bool, private: bool) -> None:
    assert is_private(url, allow_plain_loopback=plain) is private
