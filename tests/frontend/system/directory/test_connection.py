"""One connection to a real OpenLDAP server: what its answers mean."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from drink_frontend.system.directory.connection import Connection, DirectoryFailedError, Entry
from drink_frontend.system.directory.settings import LdapSettings
from tests.support.directory import (
    MEMBERS,
    PEOPLE,
    SilentServer,
    Slapd,
    password_of,
    person_dn,
)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


def opened(settings: LdapSettings, limit_s: float = 30) -> AbstractContextManager[Connection]:
    """A connection that is closed in the end."""
    return contextlib.closing(Connection(settings, limit_s))


@pytest.fixture
def connection(slapd: Slapd) -> Iterator[Connection]:
    with opened(slapd.settings()) as connection:
        yield connection


def test_a_person_is_bound_with_the_right_password_only(connection: Connection) -> None:
    for dn, password in (
        (person_dn("member"), "wrong"),
        (person_dn("member"), ""),
        ("", password_of("member")),
        (person_dn("nobody"), "x"),
        ("no DN at all", "x"),
    ):
        assert not connection.bind_person(dn, password)
    assert connection.bind_person(person_dn("member"), password_of("member"))


def test_entries_come_up_to_a_number(connection: Connection) -> None:
    connection.bind_service()
    found, all_there = connection.search(PEOPLE, "(uid=*)", ["uid"], 3)
    assert (len(found), all_there) == (3, False)
    found, all_there = connection.search(PEOPLE, "(uid=member)", ["UID", "mail"], 3)
    assert ([each.dn for each in found], all_there) == ([person_dn("member")], True)
    assert found[0].texts("uid") == ["member"]
    assert found[0].texts("mail") == []
    found, _ = connection.search(PEOPLE, "(uid=member)", (), 3)
    assert found[0].values == {}
    gone = person_dn("gone")
    assert connection.search(gone, "(uid=*)", (), 3, below=False) == ([], True)
    with pytest.raises(DirectoryFailedError, match="NO_SUCH_OBJECT"):
        connection.search("ou=nothing,dc=example,dc=org", "(uid=*)", (), 3)


def test_values_are_compared(connection: Connection) -> None:
    connection.bind_service()
    assert connection.has_value(MEMBERS, "member", person_dn("member"))
    assert not connection.has_value(MEMBERS, "member", person_dn("stranger"))
    assert not connection.has_value(MEMBERS, "mail", "member")
    with pytest.raises(DirectoryFailedError, match="NO_SUCH_OBJECT"):
        connection.has_value("cn=none,dc=example,dc=org", "member", PEOPLE)


def test_a_service_that_is_refused_is_a_failure(slapd: Slapd, tmp_path: Path) -> None:
    wrong, empty = tmp_path / "wrong", tmp_path / "empty"
    wrong.write_text("wrong\n")
    empty.write_text("")
    for file, cause in ((wrong, "INVALID_CREDENTIALS"), (empty, "SERVICE_PASSWORD")):
        settings = slapd.settings(service_password_file=file)
        with opened(settings) as connection, pytest.raises(DirectoryFailedError, match=cause):
            connection.bind_service()


def test_nothing_is_asked_after_its_time(slapd: Slapd) -> None:
    late = opened(slapd.settings(start_tls=False), 0)
    with late as connection, pytest.raises(DirectoryFailedError, match="TIMEOUT"):
        connection.bind_person(person_dn("member"), password_of("member"))


def test_a_server_that_never_answers_is_a_failure(slapd: Slapd) -> None:
    with SilentServer() as server:
        settings = slapd.settings(
            url=f"ldap://127.0.0.1:{server.port}", start_tls=False, connect_limit_s=0.1
        )
        with opened(settings) as connection, pytest.raises(DirectoryFailedError, match="TIMEOUT"):
            connection.bind_person(person_dn("member"), "x")


def test_descriptors_are_given_back(slapd: Slapd) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def once() -> None:
        with opened(slapd.settings(start_tls=False)) as connection:
            connection.bind_service()

    once()
    before = count()
    for _ in range(5):
        once()
    assert count() == before


def test_what_is_no_text_is_shown() -> None:
    assert Entry("x", {"a": [b"\xff"]}).texts("A") == ["\ufffd"]
