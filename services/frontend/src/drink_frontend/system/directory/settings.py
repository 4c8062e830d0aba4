"""Settings of logins at an LDAP directory."""

from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

LIBRARY = "ldap"
"""The module of python-ldap."""


class LdapSettings(BaseModel):
    """Logins at an LDAP directory, with the passwords that it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    url: str | None = None
    """`ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`, which becomes encrypted by StartTLS; unset:
    no directory is asked. The host is the name in the directory's certificate."""

    name: str = Field(default="directory", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    """What the directory is called in identities, which are of the source `ldap:NAME`; default
    `directory`. With another name nobody's account is found any more."""

    ca_file: Path | None = None
    """Certificates of the authorities that the directory's certificate is checked with; unset:
    those of the system."""

    start_tls: bool = True
    """Whether a connection to an `ldap://` address becomes encrypted before anything is sent;
    default true. Without it only a loopback address is taken."""

    plain: bool = False
    """Whether passwords may go over the network without encryption, where `start_tls` is false;
    default false."""

    bind_dn: str | None = None
    """The DN with which a person's login is tried, with `{login}` for the name, such as
    `uid={login},ou=people,dc=example,dc=org`; with `{login}@example.org` Active Directory is asked.
    Unset: the person's entry is searched first, by `user_filter`."""

    service_dn: str | None = None
    """The DN of an account that may search people and groups; unset: logins search as the person
    who logs in if `bind_dn` is set, and anonymously otherwise, and leavers are not looked for."""

    service_password_file: Path | None = None
    """File whose first line is the password of `service_dn`; read at each use."""

    user_base: str = ""
    """The DN below which people are, such as `ou=people,dc=example,dc=org`."""

    user_filter: str = "(uid={login})"
    """Filter that finds one person, with `{login}` for the name; default `(uid={login})`. Active
    Directory: `(sAMAccountName={login})`."""

    id_attribute: str = Field(default="entryUUID", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    """Attribute that names a person for ever, even under another name; default `entryUUID`.
    FreeIPA: `ipaUniqueID`, 389 Directory Server: `nsUniqueId`, Active Directory: `objectGUID`."""

    name_attribute: str = Field(default="uid", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    """Attribute whose spelling a new account's name has; default `uid`. Active Directory:
    `sAMAccountName`."""

    display_name_attribute: str = Field(default="displayName", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    """Attribute with what to call a person, for new accounts; default `displayName`."""

    card_attribute: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    """Attribute with the numbers of a person's cards; unset: cards are not taken from the
    directory. At each login the account's cards from the directory become those of the attribute;
    cards that were added here stay. It needs `accounts.card_key_file`."""

    card_kind: Literal["chip", "barcode"] = "chip"
    """What these numbers are: `chip` or `barcode`; default `chip`."""

    create_accounts: bool = False
    """Whether who logs in for the first time gets an account, under the directory's spelling;
    default false: an administrator links each person. An account of that name that exists is never
    taken for the person's."""

    member_group: str | None = None
    """DN of the group whose members may log in; unset: everybody whom `user_filter` finds."""

    administrator_group: str | None = None
    """DN of the group whose members administer, as long as they are in it; unset: nobody does by
    the directory. Who administers by a decision here stays an administrator."""

    group_mode: Literal["search", "memberof", "matching_rule"] = "search"
    """How groups are found; default `search`: groups that name the person, and groups that name
    those, are searched below `group_base`. `memberof`: the attribute of that name at the person,
    which FreeIPA fills with nested groups too. `matching_rule`: Active Directory searches nested
    groups itself."""

    group_base: str | None = None
    """The DN below which groups are; unset: `user_base`. For `search`."""

    group_attribute: str = Field(default="member", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    """Attribute of a group with the DNs of its members; default `member`. `uniqueMember` is
    another. `memberUid` has names in place of DNs; such groups are not nested. For `search`."""

    group_depth: int = Field(default=5, ge=0, le=20)
    """How deep groups may be nested; default 5, 0 for not at all. For `search`."""

    groups_max: int = Field(default=1_000, ge=1, le=100_000)
    """Most groups that are looked at for one login; default 1,000. Who is in more is let in only by
    being named in `member_group` itself, and administers only by `administrator_group` itself;
    anybody else among them is told that the directory cannot be asked. For `search`."""

    connect_limit_s: float = Field(default=3, gt=0, le=30)
    """Seconds that a connection, its encryption and each answer may take; default 3."""

    limit_s: float = Field(default=6, gt=0, le=60)
    """Seconds that a login may take at the directory in all, waiting for its turn included; default
    6. Above it the login is refused with DIRECTORY_UNAVAILABLE."""

    threads: int = Field(default=4, ge=1, le=64)
    """Logins at the directory at a time; default 4. Others wait for their turn. Each is a thread of
    its own, so that a directory that hangs stops nothing else."""

    waiting_max: int = Field(default=64, ge=1, le=10_000)
    """Most logins that are at the directory or wait for their turn; default 64. Above it logins are
    refused with RATE_LIMITED."""

    failures_max: int = Field(default=3, ge=1, le=100)
    """Failures of the directory one after another after which it is not asked for `pause_s`;
    default 3. Logins are then refused at once with DIRECTORY_UNAVAILABLE."""

    pause_s: float = Field(default=10, gt=0, le=600)
    """Seconds until one login tries the directory again; default 10."""

    check_hours: float = Field(default=24, ge=0, le=8_760)
    """Hours between two looks who of the linked persons is still at the directory and in
    `member_group`; default 24, 0 for never. Who is not is closed. It needs `service_dn`."""

    check_first_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds from the start to the first look; default 60, because a directory may start together
    with the frontend, and takes its time."""

    check_retry_s: float = Field(default=600, gt=0, le=86_400)
    """Seconds until the next look after one that failed; default 600. After three that failed one
    after another, half an hour, DIRECTORY_AWAY is raised. Of several frontends the one that started
    first looks; the others see as often whether it is still there."""

    check_share_max: float = Field(default=0.2, ge=0, le=1)
    """Largest share of the linked accounts that one look closes; default 0.2, and one account in
    any case. If more are missing, or all, nobody is closed and DIRECTORY_SHRUNK is raised."""

    @property
    def looks_for_leavers(self) -> bool:
        """Whether it is looked who has left."""
        return self.url is not None and self.service_dn is not None and self.check_hours > 0

    @property
    def source(self) -> str:
        """The source of the directory's identities."""
        return f"ldap:{self.name}"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url is None:
            return self
        if find_spec(LIBRARY) is None:
            raise ValueError(
                "the directory needs python-ldap: install drink-frontend[ldap], and for it the"
                " packages libldap2-dev, libsasl2-dev, gcc and python3-dev"
            )
        parts = urlsplit(self.url)
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("url: must be ldaps://HOST[:PORT] or ldap://HOST[:PORT]")
        for key, value in (("user_filter", self.user_filter), ("bind_dn", self.bind_dn)):
            if value is not None and "{login}" not in value:
                raise ValueError(f"{key}: must have {{login}} where the name belongs")
        if not self.user_base:
            raise ValueError("user_base: is missing")
        if not (self.is_encrypted or self.plain or _is_loopback(parts.hostname)):
            raise ValueError("start_tls: passwords would be sent readable; plain = true allows it")
        if (self.service_dn is None) != (self.service_password_file is None):
            raise ValueError("service_dn and service_password_file: give both or neither")
        return self

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is encrypted before anything is sent."""
        return self.start_tls or urlsplit(self.url or "").scheme == "ldaps"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
