"""Logins at an LDAP directory, on threads of their own, each within a limit of time."""

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.identities import Person, Presence
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.sign_in_errors import DirectoryUnavailableError, NotMemberError
from drink_frontend.system.directory.breaker import Breaker
from drink_frontend.system.directory.connection import (
    OUTAGES,
    Connection,
    DirectoryFailedError,
    Entry,
)
from drink_frontend.system.directory.groups import attributes_for, groups_in
from drink_frontend.system.directory.names import id_in_filter, id_of, in_dn, in_filter
from drink_frontend.system.directory.settings import LdapSettings
from drink_frontend.system.fairness import FairTurns, Lane

log = structlog.get_logger(__name__)

CARDS_MAX = 20
"""Most numbers of cards that are read of one person: as many as an account may have."""

SUBJECTS_AT_ONCE = 50
"""Persons that one request asks for."""

CHECK_LIMIT_S = 600.0
"""Seconds that looking for all persons may take; each answer has its own limit."""


class LdapDirectory:
    """Implements `domain.ports.Directory` with python-ldap.

    Args:
        settings: Where the directory is; with `url`.
        clock: Time.
    """

    def __init__(self, settings: LdapSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="directory")
        self._turns = FairTurns(settings.threads, settings.waiting_max)
        self._breaker = Breaker(settings.failures_max, settings.pause_s)
        self._is_closed = threading.Event()
        self.source = settings.source
        self.creates_accounts = settings.create_accounts

    async def log_in(self, name: str, password: str, lane: Lane) -> Person | None:
        """Whom the directory knows by a name and password; None if they are wrong.

        Args:
            name: The name.
            password: The password.
            lane: Group of this call: waiting groups are served in turn.

        Raises:
            NotMemberError: they are right, but the person may not log in here.
            DirectoryUnavailableError: the directory did not say.
            RateLimitedError: too many wait already.
        """
        # A bind with an empty password succeeds without proving anything (RFC 4513, 5.1.2).
        if not name or not password or "\0" in password:
            return None
        if not self._breaker.lets_through(self._clock.monotonic()):
            raise DirectoryUnavailableError("the directory cannot be asked now")
        asked: float | None = None
        try:
            async with asyncio.timeout(self._settings.limit_s), self._turns.turn(lane):
                asked = self._clock.monotonic()
                found = await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._log_in, name, password
                )
        except TimeoutError:
            # Who has waited for the turns of others says nothing of the directory.
            if asked is not None and self._is_overdue(asked):
                self._failed("TIMEOUT", "no answer in time")
            raise DirectoryUnavailableError("the directory does not answer") from None
        except DirectoryFailedError as error:
            if error.cause in OUTAGES:
                self._failed(error.cause, error.detail)
            else:
                # The directory works, and the trouble is one person's or one setting's.
                self._breaker.worked()
                log.warning("directory_login_failed", cause=error.cause, detail=error.detail)
            raise DirectoryUnavailableError("the directory cannot be asked now") from None
        self._breaker.worked()
        if found is None:
            return None
        person, is_member = found
        if not is_member:
            raise NotMemberError("the account at the directory is not in the group of members")
        return person

    async def present(self, subjects: Sequence[str]) -> Mapping[str, Presence]:
        """Which persons are in the directory, and may log in and administer.

        Args:
            subjects: Their ids.

        Returns:
            Those that were found.

        Raises:
            DirectoryUnavailableError: the directory did not say it of all.
        """
        try:
            return await asyncio.to_thread(self._present, subjects)
        except DirectoryFailedError as error:
            log.warning("directory_check_failed", cause=error.cause, detail=error.detail)
            raise DirectoryUnavailableError(f"the directory cannot be asked: {error}") from None

    def close(self) -> None:
        """Ends the threads; what they wait for is limited."""
        self._is_closed.set()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _is_overdue(self, asked: float) -> bool:
        """Whether what was asked then has taken longer than one answer may take."""
        limit_s = min(self._settings.connect_limit_s, self._settings.limit_s)
        return self._clock.monotonic() - asked >= limit_s

    def _failed(self, cause: str, detail: str) -> None:
        log.warning("directory_failed", cause=cause, detail=detail)
        if self._breaker.failed(self._clock.monotonic()):
            log.error("directory_away", pause_s=self._settings.pause_s)

    def _log_in(self, name: str, password: str) -> tuple[Person, bool] | None:
        """Runs on a thread; the person, and whether it is a member."""
        settings = self._settings
        with contextlib.closing(Connection(settings, settings.limit_s)) as connection:
            if settings.bind_dn is not None:
                person_dn = _filled(settings.bind_dn, name)
                if not connection.bind_person(person_dn, password):
                    return None
                if settings.service_dn is not None:
                    connection.bind_service()
                entry = self._entry(connection, name)
                if entry is None:
                    raise DirectoryFailedError("NO_ENTRY", "who logged in is not found")
            else:
                connection.bind_service()
                entry = self._entry(connection, name)
                if entry is None or not connection.bind_person(entry.dn, password):
                    return None
                if settings.service_dn is not None:
                    connection.bind_service()
            return self._person(connection, entry, name)

    def _entry(self, connection: Connection, name: str) -> Entry | None:
        """The only entry of a name."""
        settings = self._settings
        condition = settings.user_filter.replace("{login}", in_filter(name))
        found, _ = connection.search(settings.user_base, condition, self._attributes(), 2)
        if len(found) > 1:
            raise DirectoryFailedError("AMBIGUOUS", "user_filter finds several entries")
        return found[0] if found else None

    def _attributes(self) -> Sequence[str]:
        settings = self._settings
        wanted = [settings.id_attribute, settings.name_attribute, settings.display_name_attribute]
        if settings.card_attribute is not None:
            wanted.append(settings.card_attribute)
        return [*wanted, *attributes_for(settings)]

    def _person(self, connection: Connection, entry: Entry, name: str) -> tuple[Person, bool]:
        settings = self._settings
        ids = entry.values.get(settings.id_attribute.lower(), ())
        if len(ids) != 1:
            raise DirectoryFailedError("NO_ID", f"an entry has no {settings.id_attribute}")
        names = entry.texts(settings.name_attribute)
        spelled = [each for each in names if each.casefold() == name.casefold()] or names or [name]
        presence = self._presence(connection, entry)
        cards = None
        if settings.card_attribute is not None:
            kind = CardKind.CHIP if settings.card_kind == "chip" else CardKind.BARCODE
            numbers = entry.texts(settings.card_attribute)[:CARDS_MAX]
            cards = [(kind, number.strip()) for number in numbers]
        person = Person(
            source=self.source,
            subject=id_of(settings.id_attribute, ids[0]),
            name=spelled[0],
            display_name=next(iter(entry.texts(settings.display_name_attribute)), ""),
            is_administrator=bool(presence.is_administrator),
            cards=cards,
        )
        if presence.is_member is None:
            raise DirectoryFailedError("TOO_MANY_GROUPS", f"more than {settings.groups_max}")
        return person, presence.is_member

    def _presence(self, connection: Connection, entry: Entry) -> Presence:
        settings = self._settings
        member, administrator = settings.member_group, settings.administrator_group
        wanted = [group for group in (member, administrator) if group is not None]
        inside, is_certain = groups_in(connection, settings, entry, wanted)
        if not is_certain:
            log.warning("directory_groups_left_out", groups_max=settings.groups_max)
        is_member = member is None or member in inside or (None if not is_certain else False)
        is_administrator = administrator in inside or (None if not is_certain else False)
        return Presence(is_member, is_administrator)

    def _present(self, subjects: Sequence[str]) -> Mapping[str, Presence]:
        """Runs on a thread."""
        settings, found = self._settings, dict[str, Presence]()
        attribute = settings.id_attribute
        with contextlib.closing(Connection(settings, CHECK_LIMIT_S)) as connection:
            connection.bind_service()
            for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
                each = subjects[start : start + SUBJECTS_AT_ONCE]
                terms = "".join(f"({attribute}={id_in_filter(attribute, one)})" for one in each)
                entries, all_there = connection.search(
                    settings.user_base, f"(|{terms})", self._attributes(), len(each)
                )
                if not all_there:
                    raise DirectoryFailedError("INCOMPLETE", "the answer left out entries")
                for entry in entries:
                    if self._is_closed.is_set():
                        # The process that ends waits for this thread.
                        raise DirectoryFailedError("CLOSED", "the frontend ends")
                    for value in entry.values.get(attribute.lower(), ())[:1]:
                        found[id_of(attribute, value)] = self._presence(connection, entry)
        return found


def _filled(template: str, name: str) -> str:
    """A DN, or a name with a domain, with somebody's name in it."""
    return template.replace("{login}", in_dn(name) if "=" in template else name)
