"""Identities of users: linking, showing and unlinking them."""

import json

from drink_cli.errors import Exit
from tests.cli.conftest import BOB, Drink

ENTRY = ("ldap:house", "0f4c8f2e-6d3a-4a54-9c0e-3a1d3f0b7c11")


def test_an_identity_is_linked_shown_and_unlinked(administrator: Drink) -> None:
    drink = administrator
    said = drink("admin", "identities", "link", "bob", *ENTRY)
    assert said.output == f"bob is {ENTRY[1]} at ldap:house\n"
    assert drink("admin", "identities", "link", "alice", *ENTRY).exit_code == Exit.REFUSED
    (row,) = json.loads(drink("--json", "admin", "identities", "list", "bob").output)
    assert (row["source"], row["subject"]) == ENTRY
    assert (row["admin"], row["last_login"], row["left"]) == (False, None, None)
    assert "ldap:house" in drink("admin", "identities", "list", "bob").output
    said = drink("admin", "identities", "unlink", "bob", *ENTRY)
    assert said.output == f"bob is no longer {ENTRY[1]} at ldap:house\n"
    assert "there are no identities" in drink("admin", "identities", "list", "bob").output
    gone = drink("admin", "identities", "unlink", "bob", *ENTRY)
    assert gone.exit_code == Exit.NOT_FOUND


def test_members_link_nothing(drink: Drink) -> None:
    drink.login(BOB)
    assert drink("admin", "identities", "link", "bob", *ENTRY).exit_code == Exit.FORBIDDEN
    assert drink("admin", "identities", "list", "alice").exit_code == Exit.FORBIDDEN


def test_wrong_usage_is_told(administrator: Drink) -> None:
    assert administrator("admin", "identities", "link", "bob", "x").exit_code == Exit.USAGE
    refused = administrator("admin", "identities", "link", "bob", "a b", "x")
    assert refused.exit_code == Exit.USAGE
