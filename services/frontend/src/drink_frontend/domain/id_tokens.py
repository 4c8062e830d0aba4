"""What the claims of a provider's tokens must say. Pure: signatures are verified elsewhere.

ID tokens: OpenID Connect Core 1.0, section 3.1.3.7. Logout tokens: OpenID Connect Back-Channel
Logout 1.0, section 2.6. Access tokens: RFC 9068 section 4, RFC 7662 section 2.2.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drink_frontend.domain.errors import DrinkError

TEXT_MAX = 255
"""Characters of the longest text that is taken from a claim."""

_VISIBLE = re.compile(r"[!-~]{1,255}")
"""Subjects, sessions and ids of tokens: OpenID Connect limits `sub` to 255 of ASCII."""

GROUPS_MAX = 10_000
"""Groups of one person that are looked at."""

CARDS_MAX = 20
"""Cards of one person that are taken from a token, as many as an account may have."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
"""The event that makes a token a logout token."""

Claims = Mapping[str, Any]


class ProviderUnavailableError(DrinkError):
    """The OpenID provider does not answer as it should, so that nobody can tell who signs in."""

    reason = "PROVIDER_UNAVAILABLE"
    code = "UNAVAILABLE"
    retry_after_s = 10


class ProviderNotFoundError(DrinkError):
    """There is no such OpenID provider, or it is not set up for what is asked."""

    reason = "PROVIDER_NOT_FOUND"
    code = "NOT_FOUND"


class TokenRefusedError(Exception):
    """A token of a provider is not acceptable; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a provider's tokens must say.

    Attributes:
        issuer: The provider's issuer.
        client_ids: Clients of which the audience must be one.
        now_s: The time, in seconds since the epoch.
        leeway_s: Seconds by which the clocks may differ.
        age_max_s: Seconds after its issue in which a token is taken.
    """

    issuer: str
    client_ids: Collection[str]
    now_s: int
    leeway_s: int
    age_max_s: int


def check_id_token(claims: Claims, expected: Expected, nonce: str) -> None:
    """Checks all claims of an ID token that do not depend on who it is about.

    Args:
        claims: Of a token whose signature is right.
        expected: What they must say.
        nonce: What was sent when the login began; empty where none was sent.

    Raises:
        TokenRefusedError: one of them is missing or wrong.
    """
    _check_issuer(claims, expected)
    audience = _audience(claims)
    if not expected.client_ids or not set(audience) <= set(expected.client_ids):
        # Also when there are others beside ours: they could have let the token leak.
        raise TokenRefusedError("audience")
    party = claims.get("azp")
    is_needed = party is not None or len(audience) > 1
    if is_needed and not (isinstance(party, str) and party in expected.client_ids):
        raise TokenRefusedError("azp")
    if (claims.get("nonce") or "") != nonce:
        raise TokenRefusedError("nonce")
    if "events" in claims:
        raise TokenRefusedError("it is a logout token")
    _check_times(claims, expected)
    _text(claims, "sub")


def check_logout_token(claims: Claims, expected: Expected) -> tuple[str | None, str | None]:
    """Checks a logout token.

    Returns:
        The subject and the session that it ends, of which one may be None.

    Raises:
        TokenRefusedError: a claim is missing or wrong.
    """
    _check_issuer(claims, expected)
    if not set(_audience(claims)) & set(expected.client_ids):
        raise TokenRefusedError("audience")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise TokenRefusedError("events")
    if "nonce" in claims:
        raise TokenRefusedError("nonce")
    _check_times(claims, expected)
    _text(claims, "jti")
    subject = _text(claims, "sub") if "sub" in claims else None
    session = _text(claims, "sid") if "sid" in claims else None
    if subject is None and session is None:
        raise TokenRefusedError("sub and sid")
    return subject, session


def check_access_token(
    claims: Claims, expected: Expected, *, clients: Collection[str], audiences: Collection[str]
) -> None:
    """Checks the claims of an access token, or the answer of an introspection.

    Raises:
        TokenRefusedError: a claim is missing or wrong.
    """
    _check_issuer(claims, expected)
    if not set(_audience(claims)) & set(audiences):
        raise TokenRefusedError("audience")
    # Keycloak writes azp in place of client_id.
    client = claims.get("client_id", claims.get("azp"))
    if not isinstance(client, str) or client not in clients:
        raise TokenRefusedError("client_id")
    if any(name in claims for name in ("nonce", "at_hash", "c_hash", "events")):
        raise TokenRefusedError("it is no access token")
    _check_window(claims, expected)
    _text(claims, "sub")


def _check_issuer(claims: Claims, expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefusedError("issuer")


def _audience(claims: Claims) -> Sequence[str]:
    audience = claims.get("aud")
    found = [audience] if isinstance(audience, str) else audience
    if not isinstance(found, list) or not found or not all(isinstance(a, str) for a in found):
        raise TokenRefusedError("audience")
    return found


def _check_times(claims: Claims, expected: Expected) -> None:
    """Checks times of a token that is used right after its issue."""
    issued_s = _seconds(claims, "iat")
    if issued_s + expected.age_max_s + expected.leeway_s < expected.now_s:
        raise TokenRefusedError("iat: too old")
    _check_window(claims, expected)


def _check_window(claims: Claims, expected: Expected) -> None:
    if _seconds(claims, "exp") + expected.leeway_s <= expected.now_s:
        raise TokenRefusedError("exp")
    for name in ("iat", "nbf"):
        if name in claims and _seconds(claims, name) - expected.leeway_s > expected.now_s:
            raise TokenRefusedError(f"{name}: in the future")


def _seconds(claims: Claims, name: str) -> float:
    value = claims.get(name)
    # A bool is an int to Python; NaN compares with nothing.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TokenRefusedError(name)
    return value


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise TokenRefusedError(name)
    return value


def text_claim(claims: Claims, path: str) -> str:
    """A claim that is a text; empty if it is missing, no text, or too long."""
    value = _claim(claims, path)
    fits = isinstance(value, str) and len(value) <= TEXT_MAX and value.isprintable()
    return value.strip() if fits else ""


def texts_claim(claims: Claims, path: str, count_max: int) -> Sequence[str]:
    """A claim that is a text or a list of texts; of others in the list nothing is said."""
    value = _claim(claims, path)
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list):
        return ()
    return [each for each in found[:count_max] if isinstance(each, str)]


def _claim(claims: Claims, path: str) -> Any:
    """A claim by its name, or by the names of objects on the way to it with dots between."""
    if not path or path in claims:
        return claims.get(path)
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found
