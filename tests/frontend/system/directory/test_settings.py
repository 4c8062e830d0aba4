"""What settings of a directory are taken."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drink_frontend.system.directory import settings as module
from drink_frontend.system.directory.settings import LdapSettings

FULL: dict[str, Any] = {"url": "ldaps://ldap.example.org", "user_base": "ou=people"}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if python-ldap were installed, whether it is or not."""
    monkeypatch.setattr(module, "find_spec", lambda _: find_spec("socket"))


def test_no_directory_needs_nothing() -> None:
    assert LdapSettings().url is None


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("changes", "encrypted"),
    [
        ({}, True),
        ({"url": "ldap://ldap.example.org:1389"}, True),
        ({"url": "ldap://127.0.0.1", "start_tls": False}, False),
        ({"url": "ldap://[::1]:1389", "start_tls": False}, False),
        ({"url": "ldap://localhost", "start_tls": False}, False),
        ({"url": "ldap://ldap.example.org", "start_tls": False, "plain": True}, False),
        ({"url": "ldaps://127.0.0.1", "start_tls": False}, True),
    ],
)
def test_connections_are_encrypted_or_nobody_can_listen(
    changes: dict[str, Any], encrypted: bool
) -> None:
    assert LdapSettings(**{**FULL, **changes}).is_encrypted is encrypted


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "ldap://ldap.example.org", "start_tls": False}, "start_tls"),
        ({"url": "http://ldap.example.org"}, "url"),
        ({"url": "ldap://"}, "url"),
        ({"url": "ldap://ldap.example.org/dc=org"}, "url"),
        ({"user_base": ""}, "user_base"),
        ({"user_filter": "(uid=alice)"}, "user_filter"),
        ({"bind_dn": "uid=alice"}, "bind_dn"),
        ({"service_dn": "uid=drink"}, "service_password_file"),
        ({"service_password_file": Path("x")}, "service_dn"),
        ({"name": "My House"}, "name"),
        ({"id_attribute": "a)(b"}, "id_attribute"),
        ({"group_mode": "guess"}, "group_mode"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LdapSettings(**{**FULL, **changes})


def test_a_missing_library_is_told_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"drink-frontend\[ldap\]"):
        LdapSettings(**FULL)


@pytest.mark.usefixtures("library")
def test_the_source_has_the_name() -> None:
    assert LdapSettings(**FULL, name="house").source == "ldap:house"
