import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from drink_frontend.domain.id_tokens import TokenRefusedError
from drink_frontend.system.token_signatures import read_header, read_keys, read_subject, verify
from tests.fakes.openid import KEYS, encoded, signed

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
RING = read_keys({"keys": [KEYS[name].as_dict(private=False) for name in ("rsa", "ec", "ed")]}, 64)


def claims_of(token: str, algorithms: tuple[str, ...] = ALGORITHMS) -> Any:
    header = read_header(token, algorithms, 16_384)
    key = RING.find(header)
    if key is None:
        raise TokenRefusedError("no key")
    return verify(token, header, key)


def refused(token: str, algorithms: tuple[str, ...] = ALGORITHMS) -> str:
    with pytest.raises(TokenRefusedError) as error:
        claims_of(token, algorithms)
    return str(error.value)


def with_header(token: str, **header: Any) -> str:
    """A token with another header, and the signature of before."""
    _, payload, signature = token.split(".")
    return f"{encoded(json.dumps(header).encode())}.{payload}.{signature}"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "Ed25519")],
)
def test_signatures_of_each_kind(key: str, algorithm: str) -> None:
    assert claims_of(signed({"sub": "mia"}, key, algorithm)) == {"sub": "mia"}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_old_name_of_an_algorithm() -> None:
    assert claims_of(signed({"sub": "mia"}, "ed", "EdDSA")) == {"sub": "mia"}


@pytest.mark.parametrize(
    "name", ["none", "None", "HS256", "RS512", "ES256K", "", 5, None, ["RS256"]]
)
def test_other_algorithms_are_refused(name: Any) -> None:
    token = signed({"sub": "mia"})
    assert refused(with_header(token, alg=name, kid="rsa")) in ("algorithm", "form")
    assert refused(with_header(token, alg=name, kid="rsa").rpartition(".")[0] + ".") in (
        "algorithm",
        "form",
    )


def test_a_setting_takes_algorithms_away() -> None:
    assert refused(signed({"sub": "mia"}), ("ES256",)) == "algorithm"


def test_a_hash_with_the_public_key_is_no_signature() -> None:
    key = KEYS["rsa"]
    assert isinstance(key, RSAKey)
    for secret in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        head = encoded(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
        body = f"{head}.{encoded(b'{}')}"
        digest = hmac.digest(secret, body.encode(), hashlib.sha256)
        assert refused(f"{body}.{encoded(digest)}") == "algorithm"


def test_a_key_of_another_kind_is_not_used() -> None:
    assert refused(with_header(signed({}), alg="ES256", kid="rsa")) == "no key"
    assert refused(with_header(signed({}, "ec", "ES256"), alg="RS256", kid="ec")) == "no key"
    assert refused(with_header(signed({}), alg="PS256", kid="rsa")) == "signature"


def test_signatures_of_others_and_changed_tokens() -> None:
    assert refused(signed({"sub": "mia"}, "stolen")) == "signature"
    head, payload, signature = signed({"sub": "mia"}).split(".")
    other = encoded(b'{"sub": "eve"}')
    assert refused(f"{head}.{other}.{signature}") == "signature"
    assert refused(f"{head}.{payload}.") == "signature"
    assert refused(f"{head}.{payload}.!!!") == "signature"


def test_keys_in_the_header_are_not_used() -> None:
    own = RSAKey.generate_key(2048, {"kid": "rsa"})
    public = own.as_dict(private=False)
    token = signed(
        {"sub": "mia"}, "stolen", jwk=public, jku="https://evil.example/", x5u="https://evil/"
    )
    assert refused(token) == "signature"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "ä.b.c",
        "." * 20_000,
        "x" * 20_000 + "..",
        "e30.e30.e30",
    ],
)
def test_what_is_no_token(token: str) -> None:
    assert refused(token) in ("form", "algorithm")


def test_whom_a_token_names_is_read_without_a_look_at_its_signature() -> None:
    head, payload, _ = signed({"sub": "mia"}).split(".")
    assert read_subject(f"{head}.{payload}.", 16_384) == "mia"
    assert read_subject(f"{head}.{payload}.", 20) == ""
    for sub in ("x" * 256, 5, None, ["mia"]):
        assert read_subject(signed({"sub": sub}), 16_384) == ""
    deep = base64.urlsafe_b64encode(b'{"sub":' + b"[" * 3_000).decode().rstrip("=")
    for junk in ("", "..", "a.b", "a.b.c", "ä.b.c", "a.W10.c", "a.!!.c", f"a.{deep}.c"):
        assert read_subject(junk, 16_384) == ""


def test_headers_that_ask_for_more() -> None:
    token = signed({})
    assert refused(with_header(token, alg="RS256", kid="rsa", crit=["exp"], exp=1)) == "crit"
    assert refused(with_header(token, alg="RS256", kid="rsa", b64=False)) in ("crit", "form")
    for kid in (None, 5, "", "x" * 201, ["rsa"], {"a": 1}):
        assert refused(with_header(token, alg="RS256", kid=kid)) == "kid"
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 3_000).decode().rstrip("=")
    assert refused(f"{deep}.e30.e30") in ("form", "algorithm")


def test_a_payload_that_is_no_object() -> None:
    for text in (b"[]", b"5", b"\xff", b"[" * 10_000):
        token = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, text, KEYS["rsa"])
        assert refused(token) in ("claims", "signature")


def test_types_are_told_in_lower_case() -> None:
    assert read_header(signed({}, typ="AT+JWT"), ALGORITHMS, 16_384).type == "at+jwt"
    assert read_header(signed({}), ALGORITHMS, 16_384).type == ""


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_keys_that_are_not_used() -> None:
    good = KEYS["rsa"].as_dict(private=False)
    small = RSAKey.generate_key(1024, {"kid": "small"}).as_dict(private=False)
    listed: list[Any] = [
        small,
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": None},
        {**good, "kid": "x" * 201},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "EC", "kid": "curve", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "off", "crv": "P-256", "x": "AA", "y": "AA"},
        "text",
        None,
        {**good, "alg": "RS256", "use": "sig"},
        # The same name again: the first one counts.
        KEYS["stolen"].as_dict(private=False),
    ]
    ring = read_keys({"keys": listed}, 64)
    assert set(ring.keys) == {("rsa", "RSA")}
    token = signed({"sub": "mia"})
    header = read_header(token, ALGORITHMS, 16_384)
    key = ring.find(header)
    assert key is not None
    assert verify(token, header, key) == {"sub": "mia"}
    assert read_keys({"keys": listed}, 5).keys == {}


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_set_of_keys(document: Any) -> None:
    with pytest.raises(ValueError, match="keys"):
        read_keys(document, 64)
