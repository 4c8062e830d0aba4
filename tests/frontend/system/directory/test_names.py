"""Texts in requests to a directory."""

import pytest

from drink_frontend.system.directory.names import id_in_filter, id_of, in_dn, in_filter, same_dn

GUID = bytes(range(16))
GUID_TEXT = "03020100-0504-0706-0809-0a0b0c0d0e0f"


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("alice", "alice"),
        ("*", "\\2a"),
        ("a)(uid=*", "a\\29\\28uid=\\2a"),
        ("\\", "\\5c"),
        ("\0", "\\00"),
        ("ä", "\\c3\\a4"),
        (b"\xff\x00", "\\ff\\00"),
        ("cn=a,ou=b", "cn=a,ou=b"),
    ],
)
def test_a_value_in_a_filter(value: str | bytes, escaped: str) -> None:
    assert in_filter(value) == escaped


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("alice", "alice"),
        ("a,ou=b", "a\\2cou\\3db"),
        ("a+b", "a\\2bb"),
        (" a", "\\20a"),
        ("#a", "\\23a"),
        ('"<>;\\', "\\22\\3c\\3e\\3b\\5c"),
        ("ä\0", "\\c3\\a4\\00"),
    ],
)
def test_a_value_in_a_dn(value: str, escaped: str) -> None:
    assert in_dn(value) == escaped


def test_dns_are_the_same_in_any_case_and_with_blanks() -> None:
    assert same_dn("CN=Members, ou = Groups,dc=org") == same_dn("cn=members,ou=groups,DC=Org")
    assert same_dn("cn=a\\,b,dc=org") != same_dn("cn=a,b,dc=org")
    assert same_dn("cn=a=b,dc=org") != same_dn("cn=a,dc=org")
    assert same_dn("") == ""


def test_ids_are_texts_and_find_their_entries_again() -> None:
    assert id_of("entryUUID", GUID_TEXT.encode()) == GUID_TEXT
    assert id_of("objectGUID", GUID) == GUID_TEXT
    assert id_in_filter("ObjectGuid", GUID_TEXT) == "".join(f"\\{byte:02x}" for byte in GUID)
    assert id_in_filter("objectGUID", "*") == "\\2a"
    assert id_in_filter("entryUUID", GUID_TEXT) == GUID_TEXT
    assert id_in_filter("entryUUID", "*") == "\\2a"
    assert id_of("entryUUID", b"\xff") == "\ufffd"
