"""Settings of OpenID Connect."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

PROVIDERS_MAX = 8
"""Most providers: each is a button on the login page."""

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
]  # fmt: skip
"""Algorithms that a setting may name: signatures only, with keys that the provider alone has."""

Text = Annotated[str, StringConstraints(max_length=200)]


class ProviderSettings(BaseModel):
    """One OpenID provider, with which people sign in."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(default="", pattern=r"^[a-z0-9-]{1,32}$", validate_default=True)
    """Names the provider in addresses of the page and in `drink login --provider`: 1 to 32
    characters of [a-z0-9-]. Required."""

    display_name: Text = ""
    """What people call the provider, on the button of the login page; default its name."""

    issuer: Text = ""
    """The provider's issuer, exactly as its discovery document and its tokens write it. Accounts
    are bound to it: who signs in with another issuer is somebody else. Required."""

    client_id: Text = ""
    """The client that the page is at the provider; empty: the page does not offer it."""

    device_client_id: Text = ""
    """The public client that `drink login --provider` is at the provider, with the device
    authorization grant; empty: `drink` does not offer it."""

    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "PS256", "ES256", "EdDSA"))
    """Algorithms with which the provider may sign; default RS256, PS256, ES256 and EdDSA.
    A token's own header never chooses another one."""

    scopes: Text = "openid profile"
    """Scopes that are asked for, with a blank between two; default `openid profile`."""

    name_claim: Text = "preferred_username"
    """Claim with the name of an account that is made; default `preferred_username`. Who signs in
    again is found by issuer and `sub`, never by this name."""

    display_name_claim: Text = "name"
    """Claim with what people are called; default `name`."""

    groups_claim: Text = "groups"
    """Claim with a list of groups; default `groups`. Dots lead into objects, as in
    `realm_access.roles`."""

    cards_claim: Text = ""
    """Claim with the numbers of somebody's cards, a text or a list; empty: cards do not come from
    the provider."""

    member_group: Text = ""
    """Group whose members may sign in; empty: everybody whom the provider lets in."""

    admin_group: Text = ""
    """Group whose members are administrators, as long as they are in it; empty: administrators
    are made by administrators only."""

    create_accounts: bool = False
    """Whether somebody who signs in for the first time gets an account; default no: an
    administrator links the identity to an account."""

    userinfo: bool = False
    """Whether claims are read from the provider's userinfo endpoint as well, for providers whose ID
    tokens do not have them; default no."""

    token_ttl_s: int = Field(default=86_400, ge=60, le=31_536_000)
    """Seconds that a login with this provider is good for; default 86,400, a day: whoever has left
    the provider cannot sign in anew."""

    access_tokens: Literal["no", "jwt", "introspection"] = "no"
    """Whether REST takes access tokens of the provider, for clients of the kindred HTTP server;
    default `no`. `jwt` verifies them here (RFC 9068), `introspection` asks the provider
    (RFC 7662)."""

    access_clients: tuple[Text, ...] = ()
    """Clients at the provider whose access tokens are taken; default none. Whoever gets a token for
    another client, of which the provider may have thousands, cannot spend credits with it."""

    access_audiences: tuple[Text, ...] = ()
    """Audiences of which an access token must have one; default none, so that no token is taken
    until this has a value."""

    access_ttl_s: int = Field(default=300, ge=10, le=3_600)
    """Seconds for which an access token that was verified is not verified again; default 300. One
    that the provider revokes is good for as long."""

    introspection_client_id: Text = ""
    """The client as which the frontend asks about access tokens."""

    introspection_secret_file: Path | None = None
    """File with that client's secret."""

    @property
    def label(self) -> str:
        """What people call the provider."""
        return self.display_name or self.name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.issuer:
            raise ValueError("issuer is missing")
        if self.access_tokens != "no" and not (self.access_clients and self.access_audiences):
            raise ValueError("access_tokens needs access_clients and access_audiences")
        if self.access_tokens == "introspection" and not (
            self.introspection_client_id and self.introspection_secret_file
        ):
            raise ValueError(
                "introspection needs introspection_client_id and introspection_secret_file"
            )
        return self


class OidcSettings(BaseModel):
    """OpenID Connect."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ca_file: Path | None = None
    """PEM file of the authority of the providers' certificates; default none: those that the
    system trusts."""

    allow_plain_loopback: bool = False
    """Whether providers on loopback may be talked to without TLS; default no. It is for tests."""

    fetch_limit_s: float = Field(default=5, gt=0, le=60)
    """Seconds that an answer of a provider may take as a whole; default 5."""

    document_bytes_max: int = Field(default=262_144, ge=4_096, le=4_194_304)
    """Bytes of the largest document taken from a provider; default 262,144. Sets of keys have some
    5,000."""

    keys_max: int = Field(default=64, ge=1, le=1_000)
    """Keys of one provider, the first ones of its set; default 64."""

    refresh_s: float = Field(default=3_600, ge=10, le=604_800)
    """Seconds after which discovery document and keys are read anew; default 3,600."""

    refresh_min_s: float = Field(default=10, ge=1, le=3_600)
    """Least seconds between two reads from one provider; default 10. A token with a key that is not
    known causes a read, and many such tokens still only one."""

    keep_s: float = Field(default=86_400, ge=60, le=2_592_000)
    """Seconds for which keys are good while the provider does not answer; default 86,400, a day."""

    token_bytes_max: int = Field(default=16_384, ge=1_024, le=60_000)
    """Bytes of the longest token that is looked at; default 16,384."""

    leeway_s: int = Field(default=30, ge=0, le=300)
    """Seconds by which clocks may differ from that of a provider; default 30."""

    age_max_s: int = Field(default=600, ge=30, le=86_400)
    """Seconds after its issue in which an ID token logs in; default 600, the time that somebody may
    take on the way back. Each logs in once."""

    providers: tuple[ProviderSettings, ...] = ()
    """The providers."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(self.providers) > PROVIDERS_MAX:
            raise ValueError(f"there are more than {PROVIDERS_MAX} providers")
        for what in ("name", "issuer"):
            if len({getattr(each, what) for each in self.providers}) < len(self.providers):
                raise ValueError(f"two providers have the same {what}")
        for each in self.providers:
            if not is_private(each.issuer, allow_plain_loopback=self.allow_plain_loopback):
                raise ValueError(f"the issuer of {each.name} must be a plain https address")
        return self


def is_private(url: str, *, allow_plain_loopback: bool) -> bool:
    """Whether nobody on the way can read or change what an address answers.

    Args:
        url: The address.
        allow_plain_loopback: Whether `http` to this computer will do.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    del port
    if not host or parts.username is not None or parts.fragment or not url.isprintable():
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and allow_plain_loopback and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
