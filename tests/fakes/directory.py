"""A directory that a test fills; implements the frontend's `domain.ports.Directory`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drink_frontend.domain.identities import Person, Presence
from drink_frontend.domain.sign_in_errors import DirectoryUnavailableError, NotMemberError


class FakeDirectory:
    """People by their names in lower case, with passwords.

    Attributes:
        people: Who is there.
        members: Ids of those who may log in.
        is_away: Whether it answers nothing.
        hangs: Not set while logins wait for an answer.
        asked: The names that were asked for.
    """

    def __init__(self, *, creates_accounts: bool = True) -> None:
        self.source = "ldap:house"
        self.creates_accounts = creates_accounts
        self.people: dict[str, tuple[Person, str]] = {}
        self.members: set[str] = set()
        self.is_away = False
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.asked: list[str] = []

    def add(self, name: str, password: str, *, administrator: bool = False) -> Person:
        """Adds a member."""
        person = Person(self.source, f"uuid-{name.lower()}", name, is_administrator=administrator)
        self.people[name.lower()] = (person, password)
        self.members.add(person.subject)
        return person

    def promote(self, name: str, *, administrator: bool) -> None:
        """Changes whether somebody administers."""
        person, password = self.people[name.lower()]
        self.people[name.lower()] = (replace(person, is_administrator=administrator), password)

    async def log_in(self, name: str, password: str, lane: tuple[str, str]) -> Person | None:
        del lane
        self.asked.append(name)
        await self.hangs.wait()
        if self.is_away:
            raise DirectoryUnavailableError("the directory cannot be asked now")
        person, right = self.people.get(name.lower(), (None, ""))
        if person is None or password != right:
            return None
        if person.subject not in self.members:
            raise NotMemberError("not in the group of members")
        return person

    async def present(self, subjects: Sequence[str]) -> Mapping[str, Presence]:
        if self.is_away:
            raise DirectoryUnavailableError("the directory cannot be asked now")
        return {
            person.subject: Presence(person.subject in self.members, person.is_administrator)
            for person, _ in self.people.values()
            if person.subject in subjects
        }
