"""Signatures of a provider's tokens, verified by joserfc with algorithms that settings fix."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from joserfc import jwk, jws
from joserfc.errors import JoseError

from drink_frontend.domain.id_tokens import TEXT_MAX, TokenRefusedError

log = structlog.get_logger(__name__)

KID_MAX = 200
"""Characters of the longest name of a key."""

RSA_BITS_MIN, RSA_BITS_MAX = 2_048, 8_192
"""Sizes of RSA keys that are used: shorter ones are weak, longer ones take long to verify with."""

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""Type of the key of an algorithm, by its first two letters."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a token says about its signature.

    Attributes:
        algorithm: One of those that are allowed.
        key_id: The key.
        type: The kind of token, in lower case; empty if it does not say.
    """

    algorithm: str
    key_id: str
    type: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The public keys of a provider.

    Attributes:
        keys: By name and type.
    """

    keys: Mapping[tuple[str, str], jwk.Key] = field(default_factory=dict, repr=False)

    def find(self, header: Header) -> jwk.Key | None:
        """The key that a header names, if it fits the algorithm; None if there is none."""
        return self.keys.get((header.key_id, KEY_TYPES[header.algorithm[:2]]))


class _Registry(jws.JWSRegistry):
    """Takes the allowed algorithms and no other, and does not warn of those that were renamed."""

    max_header_length = 4_096

    def get_alg(self, name: str) -> Any:
        """The algorithm of a name, if it is allowed."""
        if self.allowed is None or name not in self.allowed:
            raise TokenRefusedError("algorithm")
        return self.algorithms[name]


def read_header(token: str, algorithms: Collection[str], bytes_max: int) -> Header:
    """The header of a token, without a look at its signature.

    Args:
        token: In compact form.
        algorithms: Those that are allowed.
        bytes_max: Bytes of the longest token that is looked at.

    Raises:
        TokenRefusedError: it is no token, or its header asks for something that is not allowed.
    """
    if len(token) > bytes_max or token.count(".") != 2 or not token.isascii():
        raise TokenRefusedError("form")
    try:
        header = jws.extract_compact(token.encode(), registry=_Registry()).protected
    except (JoseError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise TokenRefusedError("form") from None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise TokenRefusedError("algorithm")
    if "crit" in header or "b64" in header:
        raise TokenRefusedError("crit")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= KID_MAX:
        raise TokenRefusedError("kid")
    return Header(algorithm, key_id, kind.lower() if isinstance(kind, str) else "?")


def read_subject(token: str, bytes_max: int) -> str:
    """Whom a token claims to be about, which nobody has verified; empty if it is no such token.

    Args:
        token: In compact form.
        bytes_max: Bytes of the longest token that is looked at.
    """
    if len(token) > bytes_max or token.count(".") != 2 or not token.isascii():
        return ""
    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) and len(subject) <= TEXT_MAX else ""


def verify(token: str, header: Header, key: jwk.Key) -> Mapping[str, Any]:
    """The claims of a token whose signature is right.

    Args:
        token: In compact form.
        header: What `read_header` returned.
        key: The key that the header names.

    Raises:
        TokenRefusedError: the signature is wrong, or the token has no claims.
    """
    try:
        signed = jws.deserialize_compact(
            token,
            key,
            registry=_Registry(algorithms=[header.algorithm], strict_check_header=False),
        )
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, RecursionError, TypeError):
        raise TokenRefusedError("signature") from None
    if not isinstance(claims, dict):
        raise TokenRefusedError("claims")
    return claims


def read_keys(document: Mapping[str, Any], keys_max: int) -> KeyRing:
    """The keys of a JWK Set that verify signatures; others, and those of bad form, are left out.

    Args:
        document: The set.
        keys_max: Most keys that are looked at.

    Raises:
        ValueError: it is no JWK Set.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("no list `keys`")  # noqa: TRY004 - the content of a document
    found: dict[tuple[str, str], jwk.Key] = {}
    for each in listed[:keys_max]:
        key_id = each.get("kid") if isinstance(each, dict) else None
        if not isinstance(key_id, str) or not 1 <= len(key_id) <= KID_MAX:
            continue
        if each.get("use", "sig") != "sig" or each.get("kty") not in KEY_TYPES.values():
            continue
        key = _read_key(each)
        if key is not None:
            found.setdefault((key_id, each["kty"]), key)
    return KeyRing(found)


def _read_key(text: Mapping[str, Any]) -> jwk.Key | None:
    # Without what is private: a provider that publishes it has lost that key anyway.
    public = {name: text[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in text}
    try:
        key = jwk.import_key(public)
        bits = key.public_key.key_size if isinstance(key, jwk.RSAKey) else RSA_BITS_MIN
    except (JoseError, ValueError, TypeError, KeyError, OverflowError, AttributeError):
        log.warning("provider_key_unusable", key=str(text.get("kid"))[:KID_MAX])
        return None
    return key if RSA_BITS_MIN <= bits <= RSA_BITS_MAX else None
