"""Logins at a real 389 Directory Server; `test_ldap.py` has more of what any server does."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.identities import Person, Presence
from drink_frontend.domain.sign_in_errors import DirectoryUnavailableError, NotMemberError
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.directory.ldap import LdapDirectory
from tests.support.directory import CARD, GROUPS, PEOPLE, password_of, person_dn
from tests.support.directory_389 import DirectoryServer389

LANE = ("new", "192.0.2.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryServer389]:
    with DirectoryServer389(tmp_path_factory.mktemp("ds")) as server:
        yield server


async def log_in(
    server: DirectoryServer389, name: str, password: str | None = None, **changes: Any
) -> Person | None:
    settings = server.settings(limit_s=30, connect_limit_s=20, **changes)
    with contextlib.closing(LdapDirectory(settings, SystemClock())) as directory:
        wanted = password_of(name) if password is None else password
        return await directory.log_in(name, wanted, LANE)


@pytest.mark.parametrize("changes", [{}, {"bind_dn": f"uid={{login}},{PEOPLE}"}])
async def test_people_log_in(server: DirectoryServer389, changes: dict[str, Any]) -> None:
    member = await log_in(server, "MEMBER", password_of("member"), **changes)
    assert member is not None
    assert (member.name, member.display_name) == ("member", "Member Person")
    assert member.cards == [(CardKind.CHIP, CARD)]
    assert not member.is_administrator
    boss = await log_in(server, "boss", **changes)
    assert boss is not None
    assert boss.is_administrator
    assert member.subject != boss.subject
    assert await log_in(server, "nested", **changes) is not None
    with pytest.raises(NotMemberError):
        await log_in(server, "stranger", **changes)


async def test_an_encrypted_connection_from_the_start(server: DirectoryServer389) -> None:
    url = f"ldaps://localhost:{server.tls_port}"
    assert await log_in(server, "member", url=url) is not None
    # The certificate is for that name only.
    with pytest.raises(DirectoryUnavailableError):
        await log_in(server, "member", url=f"ldaps://127.0.0.1:{server.tls_port}")


@pytest.mark.parametrize("changes", [{}, {"bind_dn": f"uid={{login}},{PEOPLE}"}])
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("member", "wrong"),
        ("member", ""),
        ("nobody", "x"),
        ("*", password_of("member")),
        ("member)(uid=*", password_of("member")),
        ("member,ou=people", password_of("member")),
    ],
)
async def test_wrong_names_and_passwords_are_wrong(
    server: DirectoryServer389, name: str, password: str, changes: dict[str, Any]
) -> None:
    assert await log_in(server, name, password, **changes) is None


async def test_a_locked_person_is_refused(server: DirectoryServer389) -> None:
    change = f"dn: {person_dn('busy')}\nchangetype: modify\n{{}}: nsAccountLock"
    server.modify(change.format("add") + "\nnsAccountLock: true")
    assert await log_in(server, "busy", member_group=None) is None
    server.modify(change.format("delete"))
    assert await log_in(server, "busy", member_group=None) is not None


async def test_who_is_still_there(server: DirectoryServer389) -> None:
    people = [await log_in(server, name, member_group=None) for name in ("boss", "stranger")]
    subjects = [person.subject for person in people if person is not None]
    with contextlib.closing(LdapDirectory(server.settings(), SystemClock())) as directory:
        found = await directory.present([*subjects, "0f4c8f2e-6d3a4a54-9c0e3a1d-3f0b7c11"])
    assert [found[each] for each in subjects] == [Presence(True, True), Presence(False, False)]
    assert len(found) == 2


async def test_a_group_that_is_not_there_and_a_frozen_server_are_no_wrong_password(
    server: DirectoryServer389,
) -> None:
    with pytest.raises(DirectoryUnavailableError):
        await log_in(server, "member", member_group=f"cn=nothing,{GROUPS}")
    settings = server.settings(limit_s=2, connect_limit_s=1)
    opened = contextlib.closing(LdapDirectory(settings, SystemClock()))
    with opened as directory, server.frozen(), pytest.raises(DirectoryUnavailableError):
        await directory.log_in("member", password_of("member"), LANE)
