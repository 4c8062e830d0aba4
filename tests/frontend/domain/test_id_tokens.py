from typing import Any

import pytest

from drink_frontend.domain.id_tokens import (
    LOGOUT_EVENT,
    Expected,
    TokenRefusedError,
    check_access_token,
    check_id_token,
    check_logout_token,
    text_claim,
    texts_claim,
)

NOW_S = 1_800_000_000
EXPECTED = Expected(
    issuer="https://sso.example.org",
    client_ids={"page", "drink"},
    now_s=NOW_S,
    leeway_s=30,
    age_max_s=600,
)
GOOD: dict[str, Any] = {
    "iss": "https://sso.example.org",
    "aud": "page",
    "sub": "mia",
    "nonce": "n",
    "iat": NOW_S - 5,
    "exp": NOW_S + 300,
}
LOGOUT: dict[str, Any] = {
    "iss": "https://sso.example.org",
    "aud": "page",
    "sid": "s",
    "jti": "j",
    "iat": NOW_S,
    "exp": NOW_S + 120,
    "events": {LOGOUT_EVENT: {}},
}
ACCESS: dict[str, Any] = {
    "iss": "https://sso.example.org",
    "aud": ["api", "account"],
    "sub": "mia",
    "client_id": "webdrink",
    "exp": NOW_S + 300,
}


def changed(claims: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["page"]},
        {"aud": "drink"},
        {"aud": ["page", "drink"], "azp": "page"},
        {"azp": "page"},
        {"iat": NOW_S + 30},
        {"iat": NOW_S - 630},
        {"exp": NOW_S - 29},
        {"nbf": NOW_S + 30},
        {"iat": NOW_S - 5.5},
    ],
)
def test_good_id_tokens(changes: dict[str, Any]) -> None:
    check_id_token(changed(GOOD, **changes), EXPECTED, "n")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://sso.example.org/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": ["https://sso.example.org"]}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": ["page", "another"], "azp": "page"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": [1]}, "audience"),
        ({"aud": ["page", "drink"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"azp": ["page"]}, "azp"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"iat": NOW_S + 31}, "iat: in the future"),
        ({"iat": NOW_S - 631}, "iat: too old"),
        ({"iat": None}, "iat"),
        ({"iat": True}, "iat"),
        ({"iat": "1"}, "iat"),
        ({"exp": NOW_S - 30}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"nbf": NOW_S + 31}, "nbf: in the future"),
        ({"nbf": "soon"}, "nbf"),
        ({"sub": ""}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "two words"}, "sub"),
        ({"sub": 5}, "sub"),
        ({"events": {LOGOUT_EVENT: {}}}, "it is a logout token"),
    ],
)
def test_bad_id_tokens(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        check_id_token(changed(GOOD, **changes), EXPECTED, "n")
    assert str(refused.value) == why


def test_a_token_with_a_nonce_needs_it_and_one_without_none() -> None:
    with pytest.raises(TokenRefusedError, match="nonce"):
        check_id_token(GOOD, EXPECTED, "")
    check_id_token(changed(GOOD, nonce=None), EXPECTED, "")


def test_without_clients_no_token_is_good() -> None:
    nobody = Expected("https://sso.example.org", (), NOW_S, 30, 600)
    with pytest.raises(TokenRefusedError, match="audience"):
        check_id_token(GOOD, nobody, "n")


def test_logout_tokens_name_a_session_or_a_person() -> None:
    assert check_logout_token(LOGOUT, EXPECTED) == (None, "s")
    assert check_logout_token(changed(LOGOUT, sid=None, sub="mia"), EXPECTED) == ("mia", None)
    assert check_logout_token(changed(LOGOUT, sub="mia"), EXPECTED) == ("mia", "s")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nonce": "n"}, "nonce"),
        ({"events": None}, "events"),
        ({"events": {}}, "events"),
        ({"events": [LOGOUT_EVENT]}, "events"),
        ({"events": {LOGOUT_EVENT: None}}, "events"),
        ({"sid": None}, "sub and sid"),
        ({"jti": None}, "jti"),
        ({"aud": "another"}, "audience"),
        ({"iss": "https://other.example.org"}, "issuer"),
        ({"iat": NOW_S - 700}, "iat: too old"),
        ({"exp": NOW_S - 31}, "exp"),
        ({"sid": "x" * 300}, "sid"),
    ],
)
def test_bad_logout_tokens(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        check_logout_token(changed(LOGOUT, **changes), EXPECTED)
    assert str(refused.value) == why


def check_access(**changes: Any) -> None:
    check_access_token(
        changed(ACCESS, **changes), EXPECTED, clients=["webdrink"], audiences=["api"]
    )


def test_access_tokens_are_taken_of_listed_clients_and_audiences() -> None:
    check_access()
    check_access(aud="api")
    check_access(client_id=None, azp="webdrink")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "audience"),
        ({"client_id": "another"}, "client_id"),
        ({"client_id": "another", "azp": "webdrink"}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"client_id": ["webdrink"]}, "client_id"),
        ({"nonce": "n"}, "it is no access token"),
        ({"at_hash": "h"}, "it is no access token"),
        ({"events": {}}, "it is no access token"),
        ({"exp": NOW_S - 31}, "exp"),
        ({"iat": NOW_S + 31}, "iat: in the future"),
        ({"sub": None}, "sub"),
    ],
)
def test_bad_access_tokens(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        check_access(**changes)
    assert str(refused.value) == why


def test_claims_are_found_by_their_name_or_the_way_to_them() -> None:
    claims = {
        "name": " Mia ",
        "https://example.org/groups": ["a"],
        "realm_access": {"roles": ["b", 5, "c"]},
        "number": 5,
        "long": "x" * 256,
        "lines": "a\nb",
    }
    assert text_claim(claims, "name") == "Mia"
    for path in ("number", "long", "lines", "missing", "", "name.first", "realm_access"):
        assert text_claim(claims, path) == ""
    assert texts_claim(claims, "https://example.org/groups", 10) == ["a"]
    assert texts_claim(claims, "realm_access.roles", 10) == ["b", "c"]
    assert texts_claim(claims, "realm_access.roles", 1) == ["b"]
    assert texts_claim(claims, "name", 10) == [" Mia "]
    assert texts_claim(claims, "number", 10) == ()
