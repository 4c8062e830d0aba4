"""Logins with an OpenID provider as plain values. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProviderLogin:
    """A login with an ID token, kept so that the token logs in once and the provider can end it.

    Attributes:
        assertion: SHA-256 of the ID token in hexadecimal digits.
        issuer: The provider's issuer.
        subject: The person there.
        session: The provider's session, its claim `sid`; None if it did not name one.
        token: Digest of the bearer token that was given for it; None as long as there is none.
        expires_ms: When neither of the two tokens is good any more.
    """

    assertion: str
    issuer: str
    subject: str
    session: str | None
    token: str | None = field(repr=False)
    expires_ms: int
