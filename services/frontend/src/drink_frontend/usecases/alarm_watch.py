"""Raises and closes the alarms of conditions: machines, slots, certificates, books and backups.

Every frontend looks at its own certificates and at the disks of the agents linked to it; at all
else only the one that started first, of those that the database knows. That two look for a moment
does no harm: a unit of work raises an alarm only if it is not raised, and closes it only if it is
open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import structlog

from drink_frontend.domain.alarms import (
    HOUSE,
    Alarm,
    AlarmKind,
    frontend_subject,
    machine_subject,
)
from drink_frontend.domain.conditions import (
    Condition,
    Hysteresis,
    Key,
    Marks,
    Patience,
    Verdict,
    beyond,
    of_machine,
)
from drink_frontend.domain.durations import DAY_MS, HOUR_MS
from drink_frontend.domain.entities import Machine
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.limits import PAGE_MAX
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.upkeep import Done, Task
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify_process import CheckFailedError
from drink_frontend.system.calendar import Calendar
from drink_frontend.system.certificate_end import certificate_end_ms
from drink_frontend.usecases.alarms import close_for_frontend
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.notifications import Notifications
from drink_frontend.usecases.settings import MonitorSettings

log = structlog.get_logger(__name__)

EXPIRY_LOOKS = 60
"""Looks between two removals of old notifications."""

STEP_LOOKS = 3
"""Most intervals that one look counts; a process that stood still has not seen the others."""

DISK_DIFFERENCE = 2.0
"""Percent of a disk above the mark at which its alarm is over."""

CHANGES_MAX = 200
"""Most alarms that one unit of work raises or closes; the rest follows in further ones."""

PROBLEMS_SHOWN = 10
"""Problems of the books that the alarm shows; `admin verify` prints all."""

RETRY_S = 60.0
"""Seconds until the next look after an error that nobody expects."""

CheckBooks = Callable[[], Awaitable[Sequence[str]]]
"""Finds the problems of the books, or raises CheckFailedError."""


@dataclass(frozen=True, slots=True)
class View:
    """What one look reads.

    Attributes:
        leads: Whether this frontend is the one that started first.
        raised: The alarms of all conditions that are not closed, by kind and subject.
        machines: All machines.
        done: What was done to the database.
    """

    leads: bool
    raised: Mapping[Key, Alarm]
    machines: Sequence[Machine]
    done: Mapping[Task, Done]


class AlarmWatch:
    """Looks at all that has an alarm of its own, and raises and closes these alarms.

    Args:
        storage: The database.
        clock: Time.
        settings: Marks and seconds.
        me: This frontend.
        links: The links to this frontend.
        time_zone: Of the hour of the check of the books.
        certificates: Files of the certificates with which this frontend serves.
        check_books: Finds the problems of the books.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        settings: MonitorSettings,
        me: FrontendInstance,
        links: Links,
        *,
        time_zone: str,
        certificates: Sequence[Path],
        check_books: CheckBooks,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._me = me
        self._links = links
        self._looks = 0
        self._notifications = Notifications(storage, clock)
        self._subject = frontend_subject(me.name)
        self._calendar = Calendar(time_zone)
        self._certificates = certificates
        self._check_books = check_books
        self._marks = Marks(
            settings.low_stock_mark,
            settings.low_stock_difference,
            settings.too_warm_celsius,
            settings.too_cold_celsius,
            settings.temperature_difference,
        )
        self._hysteresis = Hysteresis(_patience(settings), STEP_LOOKS * settings.interval_s)

    async def run(self) -> None:
        """Looks at intervals until cancelled. No error of it disturbs the sales."""
        books = asyncio.create_task(self._run_books(), name="check of the books")
        try:
            while True:
                await self._attempt(self.look)
        finally:
            books.cancel()

    async def _run_books(self) -> None:
        while True:
            await self._attempt(self.check_books)

    async def _attempt(self, what: Callable[[], Awaitable[None]]) -> None:
        pause_s = self._settings.interval_s
        try:
            await what()
        except StorageUnavailableError:
            log.warning("monitor_postponed")
        except Exception:
            log.exception("monitor_failed")
            pause_s = max(pause_s, RETRY_S)
        await asyncio.sleep(pause_s)

    async def look(self) -> None:
        """Looks once, and stores what changes.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        view = await self._storage.read(self._view)
        ends = await asyncio.to_thread(self._certificate_ends)
        conditions = [*self._own(ends), *self._disks()]
        mine = {each.key for each in conditions} & view.raised.keys()
        if view.leads:
            mine |= {key for key in view.raised if key[0] not in _OWN_KINDS}
            if self._looks % EXPIRY_LOOKS == 0:
                await self._notifications.expire()
            self._looks += 1
        # Of ten thousand machines it takes a second, for which nothing waits.
        verdict = await asyncio.to_thread(self._judge, view, conditions, mine)
        await self._store(verdict, view.raised)

    def _judge(self, view: View, own: Iterable[Condition], mine: Iterable[Key]) -> Verdict:
        shared = self._shared(view) if view.leads else ()
        return self._hysteresis.look(chain(own, shared), mine, self._clock.monotonic())

    def _view(self, tx: Transaction) -> View:
        leads = tx.frontends.leads(self._me.id)
        raised: dict[Key, Alarm] = {}
        before = None
        while page := tx.alarms.list(kinds=CONDITION_KINDS, before=before, limit=PAGE_MAX):
            raised |= {(alarm.kind, alarm.subject): alarm for alarm in page}
            before = page[-1].sequence
        machines = tx.machines.list() if leads else ()
        return View(leads, raised, machines, tx.upkeep.all())

    def _certificate_ends(self) -> Sequence[tuple[Path, int | None]]:
        ends: list[tuple[Path, int | None]] = []
        for path in self._certificates:
            try:
                ends.append((path, certificate_end_ms(path)))
            except (OSError, ValueError):
                # While it is being replaced; the listener keeps the one that it has.
                ends.append((path, None))
        return ends

    def _own(self, ends: Iterable[tuple[Path, int | None]]) -> Iterable[Condition]:
        known = [(end, path) for path, end in ends if end is not None]
        if not known:
            # Without a certificate there is nothing to tell; one that cannot be read may be good.
            holds = None if self._certificates else False
            yield Condition(AlarmKind.CERTIFICATE_EXPIRES, self._subject, holds)
            return
        end_ms, path = min(known)
        left_days = (end_ms - self._clock.now_ms()) / DAY_MS
        yield Condition(
            AlarmKind.CERTIFICATE_EXPIRES,
            self._subject,
            left_days <= self._settings.certificate_days,
            facts={"file": path.name, "ends_ms": end_ms},
        )

    def _disks(self) -> Iterable[Condition]:
        mark = self._settings.disk_free_percent
        for machine, share in self._links.disks().items():
            percent = share * 100
            yield Condition(
                AlarmKind.AGENT_DISK,
                machine_subject(machine),
                beyond(-percent, -mark, -mark - DISK_DIFFERENCE),
                machine,
                {"free_percent": round(percent, 1), "mark": mark},
            )

    def _shared(self, view: View) -> Iterable[Condition]:
        for machine in view.machines:
            yield from of_machine(machine, self._marks)
        books = view.done.get(Task.BOOKS)
        if books is not None:
            yield Condition(AlarmKind.BOOKS_UNSOUND, HOUSE, books.problems > 0, facts=books.facts)
        if self._settings.backup_hours:
            backup = view.done.get(Task.BACKUP)
            # Without any backup the time runs from the start of this frontend.
            since_ms = self._me.started_ms if backup is None else backup.done_ms
            age_ms = self._clock.now_ms() - since_ms
            holds = age_ms > self._settings.backup_hours * HOUR_MS
            last = None if backup is None else backup.done_ms
            yield Condition(AlarmKind.BACKUP_OLD, HOUSE, holds, facts={"last_ms": last})

    async def _store(self, verdict: Verdict, raised: Mapping[Key, Alarm]) -> None:
        """Raises and closes alarms; nothing is written if nothing changes."""
        for begin in range(0, len(verdict.raised), CHANGES_MAX):
            part = verdict.raised[begin : begin + CHANGES_MAX]
            await self._storage.write(partial(_raise, part, self._clock.now_ms()))
        for begin in range(0, len(verdict.cleared), CHANGES_MAX):
            gone = [raised[key] for key in verdict.cleared[begin : begin + CHANGES_MAX]]
            await self._storage.write(partial(_close, gone, self._clock.now_ms()))
        for condition in verdict.raised:
            log.warning("alarm_raised", kind=condition.kind, subject=condition.subject)
        for kind, subject in verdict.cleared:
            log.info("alarm_closed", kind=kind, subject=subject)

    async def check_books(self) -> None:
        """Checks the books, if it is the hour for it and they were not checked in it.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        now_ms = self._clock.now_ms()
        day, hour = self._calendar.day_and_hour(now_ms)
        if hour != self._settings.books_hour:
            return
        leads, last = await self._storage.read(
            lambda tx: (tx.frontends.leads(self._me.id), tx.upkeep.all().get(Task.BOOKS))
        )
        if not leads:
            return
        if last is not None and self._calendar.day_and_hour(last.done_ms) == (day, hour):
            return
        try:
            problems = await self._check_books()
        except CheckFailedError as error:
            log.warning("books_not_checked", error=str(error))
            facts = {} if last is None else last.facts
            # What was known before stays, and the next attempt is tomorrow's.
            done = Done(Task.BOOKS, now_ms, 0 if last is None else last.problems, facts)
        else:
            log.info("books_checked", problems=len(problems))
            shown = {"problems": [each[:200] for each in problems[:PROBLEMS_SHOWN]]}
            done = Done(Task.BOOKS, now_ms, len(problems), shown if problems else {})
        await self._storage.write(lambda tx: tx.upkeep.keep(done))


CONDITION_KINDS = (
    AlarmKind.MACHINE_OFFLINE,
    AlarmKind.BOARD_DOWN,
    AlarmKind.SLOT_LOW,
    AlarmKind.SLOT_EMPTY,
    AlarmKind.SLOT_DISABLED,
    AlarmKind.TOO_WARM,
    AlarmKind.TOO_COLD,
    AlarmKind.AGENT_DISK,
    AlarmKind.CERTIFICATE_EXPIRES,
    AlarmKind.BOOKS_UNSOUND,
    AlarmKind.BACKUP_OLD,
)
"""The kinds that are raised and closed here."""

_OWN_KINDS = frozenset({AlarmKind.CERTIFICATE_EXPIRES, AlarmKind.AGENT_DISK})
"""Those that each frontend raises and closes about itself and the agents linked to it."""


def _patience(settings: MonitorSettings) -> Mapping[AlarmKind, Patience]:
    stock = Patience(settings.stock_raise_s, settings.stock_clear_s)
    age = Patience(settings.age_wait_s, settings.age_wait_s)
    temperature = Patience(settings.temperature_raise_s, settings.temperature_clear_s)
    return {
        AlarmKind.MACHINE_OFFLINE: Patience(settings.offline_raise_s, settings.offline_clear_s),
        AlarmKind.BOARD_DOWN: Patience(settings.board_raise_s, settings.board_clear_s),
        AlarmKind.SLOT_LOW: stock,
        AlarmKind.SLOT_EMPTY: stock,
        AlarmKind.SLOT_DISABLED: Patience(settings.sensor_raise_s, settings.sensor_clear_s),
        AlarmKind.TOO_WARM: temperature,
        AlarmKind.TOO_COLD: temperature,
        AlarmKind.AGENT_DISK: Patience(settings.disk_wait_s, settings.disk_wait_s),
        AlarmKind.CERTIFICATE_EXPIRES: age,
        AlarmKind.BACKUP_OLD: age,
    }


def _raise(conditions: Iterable[Condition], now_ms: int, tx: Transaction) -> None:
    for each in conditions:
        if tx.alarms.open_one(each.kind, each.subject) is not None:
            continue
        facts = dict(each.facts)
        tx.alarms.add(Alarm(each.kind, each.subject, each.machine, now_ms, now_ms, 1, facts))


def _close(alarms: Iterable[Alarm], now_ms: int, tx: Transaction) -> None:
    for alarm in alarms:
        before = tx.alarms.get(alarm.sequence)
        if before is not None and before.closed_ms is None:
            close_for_frontend(tx, before, now_ms)
