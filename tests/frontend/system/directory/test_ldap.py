"""Logins at a real OpenLDAP server: who is let in, and what is never taken for a wrong password."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.identities import Person, Presence
from drink_frontend.domain.sign_in_errors import DirectoryUnavailableError, NotMemberError
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.directory.ldap import LdapDirectory
from tests.support import directory as data
from tests.support.certificates import Certificates
from tests.support.directory import (
    ADMINS,
    CARD,
    GROUPS,
    MEMBERS,
    PEOPLE,
    SilentServer,
    Slapd,
    password_of,
    person_dn,
)

LANE = ("new", "192.0.2.1")
MANY = 10_000


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """The house, and Busy in 10,000 groups, none of which is a wanted one."""
    many = "".join(data.group(f"g{number}", person_dn("busy")) for number in range(MANY))
    elsewhere = data.entry(
        f"cn=elsewhere,{PEOPLE}",
        "referral extensibleObject",
        cn="elsewhere",
        ref="ldap://127.0.0.1:1/ou=people,dc=example,dc=com",
    )
    folder = tmp_path_factory.mktemp("slapd")
    with Slapd(folder, data.house() + elsewhere + many, options="sizelimit unlimited") as server:
        yield server


class Directory:
    """Asks with settings that a test changes; closes what it opened."""

    def __init__(self, slapd: Slapd) -> None:
        self.slapd = slapd
        self.opened: list[LdapDirectory] = []

    def open(self, **changes: Any) -> LdapDirectory:
        directory = LdapDirectory(self.slapd.settings(**changes), SystemClock())
        self.opened.append(directory)
        return directory

    async def log_in(self, name: str, password: str | None = None, **changes: Any) -> Person | None:
        wanted = password_of(name) if password is None else password
        return await self.open(**changes).log_in(name, wanted, LANE)

    async def subject(self, name: str) -> str:
        person = await self.log_in(name, member_group=None)
        assert person is not None
        return person.subject


@pytest.fixture
async def directory(slapd: Slapd) -> AsyncIterator[Directory]:
    opened = Directory(slapd)
    yield opened
    for each in opened.opened:
        each.close()


@pytest.mark.parametrize("changes", [{}, {"bind_dn": f"uid={{login}},{PEOPLE}"}])
async def test_a_member_logs_in(directory: Directory, changes: dict[str, Any]) -> None:
    person = await directory.log_in("member", **changes)
    assert person is not None
    assert (person.source, person.name, person.display_name) == (
        "ldap:house",
        "member",
        "Member Person",
    )
    assert len(person.subject) == 36
    assert not person.is_administrator
    assert person.cards == [(CardKind.CHIP, CARD)]


async def test_a_login_needs_no_service_where_the_person_may_search(directory: Directory) -> None:
    person = await directory.log_in(
        "boss",
        bind_dn=f"uid={{login}},{PEOPLE}",
        service_dn=None,
        service_password_file=None,
    )
    assert person is not None
    assert person.is_administrator


async def test_an_encrypted_connection_from_the_start(directory: Directory) -> None:
    url = f"ldaps://127.0.0.1:{directory.slapd.tls_port}"
    assert await directory.log_in("member", url=url) is not None


async def test_who_administers_is_in_the_group(directory: Directory) -> None:
    person = await directory.log_in("boss")
    assert person is not None
    assert person.is_administrator
    nobody = await directory.log_in("boss", administrator_group=None)
    assert nobody is not None
    assert not nobody.is_administrator


async def test_the_spelling_is_the_directorys(directory: Directory) -> None:
    person = await directory.log_in("MEMBER", password_of("member"))
    assert person is not None
    assert person.name == "member"


async def test_a_stranger_is_told_from_a_wrong_password(directory: Directory) -> None:
    with pytest.raises(NotMemberError):
        await directory.log_in("stranger")
    assert await directory.log_in("stranger", "wrong") is None
    assert await directory.log_in("stranger", member_group=None) is not None


@pytest.mark.parametrize("changes", [{}, {"bind_dn": f"uid={{login}},{PEOPLE}"}])
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("member", "wrong"),
        ("nobody", "wrong"),
        ("member", ""),
        ("", "x"),
        ("member", "\0"),
        ("*", password_of("member")),
        ("member)(uid=*", password_of("member")),
        ("mem*", password_of("member")),
        ("member\\2a", password_of("member")),
        ("member,ou=people", password_of("member")),
        ("member+cn=member", password_of("member")),
        ("x)(|(uid=member", password_of("member")),
        ("uid=member", password_of("member")),
        ("ä\u202e\n", password_of("member")),
    ],
)
async def test_wrong_names_and_passwords_are_wrong(
    directory: Directory, name: str, password: str, changes: dict[str, Any]
) -> None:
    assert await directory.log_in(name, password, **changes) is None


async def test_groups_in_a_ring_are_followed_once(directory: Directory) -> None:
    assert await directory.log_in("nested") is not None
    with pytest.raises(NotMemberError):
        await directory.log_in("nested", group_depth=1)
    with pytest.raises(NotMemberError):
        await directory.log_in("nested", group_depth=0)
    inner = await directory.log_in("nested", member_group=f"cn=inner,{GROUPS}", group_depth=0)
    assert inner is not None


async def test_ten_thousand_groups_are_looked_at_up_to_the_limit(directory: Directory) -> None:
    # In none of them: with room for all the answer is no, without it there is none.
    with pytest.raises(NotMemberError):
        await directory.log_in("busy", groups_max=MANY + 10, limit_s=60, connect_limit_s=30)
    with pytest.raises(DirectoryUnavailableError):
        await directory.log_in("busy")
    # A wanted group that names the person is found however many others there are.
    last = await directory.log_in("busy", member_group=f"cn=g{MANY - 1},{GROUPS}")
    assert last is not None
    assert not last.is_administrator
    found = await directory.open().present([await directory.subject("busy")])
    assert list(found.values()) == [Presence(None, None)]
    # One person's groups are no outage.
    opened = directory.open()
    for _ in range(4):
        with pytest.raises(DirectoryUnavailableError):
            await opened.log_in("busy", password_of("busy"), LANE)
    assert await opened.log_in("member", password_of("member"), LANE) is not None


async def test_references_to_other_servers_are_not_followed(directory: Directory) -> None:
    # A search below the base passes the reference, and a base that is one is no answer.
    assert await directory.log_in("member") is not None
    with pytest.raises(DirectoryUnavailableError):
        await directory.log_in("member", user_base=f"cn=elsewhere,{PEOPLE}")


@pytest.mark.parametrize(
    "changes",
    [
        {"service_dn": person_dn("nobody")},
        {"member_group": f"cn=nothing,{GROUPS}"},
        {"user_base": f"ou=nothing,{data.SUFFIX}"},
        {"group_base": f"ou=nothing,{data.SUFFIX}"},
        {"id_attribute": "telexNumber"},
        {"user_filter": "(|(uid={login})(uid=boss))"},
        {"user_filter": "(uid={login}"},
    ],
)
async def test_a_wrong_setting_is_no_wrong_password(
    directory: Directory, changes: dict[str, Any]
) -> None:
    with pytest.raises(DirectoryUnavailableError):
        await directory.log_in("member", **changes)


async def test_a_password_file_that_is_not_there_is_no_wrong_password(
    directory: Directory, tmp_path: Any
) -> None:
    with pytest.raises(DirectoryUnavailableError):
        await directory.log_in("member", service_password_file=tmp_path / "none")


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
async def test_certificates_that_do_not_fit_are_refused(
    directory: Directory, tmp_path: Any, scheme: str
) -> None:
    port = directory.slapd.tls_port if scheme == "ldaps" else directory.slapd.port
    other = Certificates(tmp_path / "other", "Others").ca
    with pytest.raises(DirectoryUnavailableError):
        await directory.log_in("member", url=f"{scheme}://127.0.0.1:{port}", ca_file=other)


async def test_a_certificate_of_another_name_is_refused(
    directory: Directory, tmp_path: Any
) -> None:
    with Slapd(tmp_path / "other", names=("ldap.example.org",)) as other:
        for url in (f"ldap://127.0.0.1:{other.port}", f"ldaps://127.0.0.1:{other.tls_port}"):
            with pytest.raises(DirectoryUnavailableError):
                await directory.log_in("member", url=url, ca_file=other.ca)


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
async def test_a_server_that_never_answers_costs_bounded_time(
    directory: Directory, scheme: str
) -> None:
    with SilentServer() as server:
        opened = directory.open(
            url=f"{scheme}://127.0.0.1:{server.port}", connect_limit_s=0.3, limit_s=1
        )
        begun = time.monotonic()
        for _ in range(3):
            with pytest.raises(DirectoryUnavailableError):
                await opened.log_in("member", password_of("member"), LANE)
        # The limit of each, with room for a machine that is overloaded.
        assert time.monotonic() - begun < 30
        # After so many failures it is not asked at all.
        begun = time.monotonic()
        with pytest.raises(DirectoryUnavailableError):
            await opened.log_in("member", password_of("member"), LANE)
        # Its threads come free: the executor ends.
        await asyncio.wait_for(asyncio.to_thread(opened._executor.shutdown), 30)


async def test_a_frozen_or_killed_directory_is_no_wrong_password(
    directory: Directory, slapd: Slapd
) -> None:
    opened = directory.open(connect_limit_s=0.5, limit_s=1, pause_s=0.2, failures_max=2)
    with slapd.frozen():
        answers = await asyncio.gather(
            *(opened.log_in("member", password_of("member"), LANE) for _ in range(12)),
            return_exceptions=True,
        )
        assert {type(each) for each in answers} == {DirectoryUnavailableError}
    slapd.stop()
    try:
        with pytest.raises(DirectoryUnavailableError):
            await opened.log_in("member", password_of("member"), LANE)
    finally:
        slapd.start()
    async with asyncio.timeout(30):
        while await is_refused(opened):  # noqa: ASYNC110  nobody tells when it is back
            await asyncio.sleep(0.1)


async def is_refused(opened: LdapDirectory) -> bool:
    try:
        return await opened.log_in("member", password_of("member"), LANE) is None
    except DirectoryUnavailableError:
        return True


async def test_who_waits_for_others_in_vain_does_not_say_that_the_directory_is_away(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = directory.open(threads=1, limit_s=1)
    slow, log_in = threading.Event(), LdapDirectory._log_in

    def brake(self: LdapDirectory, name: str, password: str) -> tuple[Person, bool] | None:
        if name == "guesser":
            slow.wait(60)
        return log_in(self, name, password)

    monkeypatch.setattr(LdapDirectory, "_log_in", brake)
    guesses = [opened.log_in("guesser", "guess", LANE) for _ in range(20)]
    found = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(each) for each in found} == {DirectoryUnavailableError}
    slow.set()
    opened._settings = opened._settings.model_copy(update={"limit_s": 30})
    assert await opened.log_in("member", password_of("member"), ("new", "192.0.2.2"))


async def test_who_is_still_there(directory: Directory) -> None:
    opened = directory.open()
    names = ("member", "boss", "stranger", "nested")
    subjects = [await directory.subject(name) for name in names]
    found = await opened.present([*subjects, "0f4c8f2e-6d3a-4a54-9c0e-3a1d3f0b7c11", "*"])
    assert [found.get(each) for each in subjects] == [
        Presence(True, False),
        Presence(True, True),
        Presence(False, False),
        Presence(True, False),
    ]
    assert len(found) == len(names)


async def test_a_frontend_that_ends_waits_for_no_long_look(directory: Directory) -> None:
    subjects = [await directory.subject(name) for name in ("member", "boss")]
    opened = directory.open()
    opened.close()
    with pytest.raises(DirectoryUnavailableError, match="CLOSED"):
        await opened.present(subjects)


async def test_who_is_there_is_not_known_of_a_directory_that_is_away(
    directory: Directory,
) -> None:
    with SilentServer() as server:
        opened = directory.open(url=f"ldap://127.0.0.1:{server.port}", connect_limit_s=0.2)
        with pytest.raises(DirectoryUnavailableError):
            await opened.present(["x"])
    with pytest.raises(DirectoryUnavailableError):
        await directory.open(member_group=f"cn=nothing,{GROUPS}").present(
            [await directory.subject("member")]
        )


def test_the_groups_are_the_ones_of_the_data() -> None:
    assert {MEMBERS, ADMINS} <= {
        line.removeprefix("dn: ") for line in data.house().splitlines() if line.startswith("dn: ")
    }
