"""Alarms that the frontend raises and closes itself, once each, and by one frontend only."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState
from drink_frontend.domain.conditions import Condition, Marks, of_machine
from drink_frontend.domain.entities import AuditKind, Machine, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.stock import Sensor
from drink_frontend.domain.upkeep import Task
from drink_frontend.storage.verify_process import CheckFailedError
from drink_frontend.system.authority import Authority
from drink_frontend.usecases import alarm_watch
from drink_frontend.usecases.alarm_watch import CONDITION_KINDS, PROBLEMS_SHOWN, AlarmWatch
from drink_frontend.usecases.settings import MonitorSettings
from drink_frontend.usecases.upkeep import Upkeep
from tests.support.bench import FRONTEND, Bench

ME = FrontendInstance(FRONTEND, "here:1", "0.1", 1)
OTHER = FrontendInstance("frontend-2", "there:2", "0.1", 2)
HOUR_S = 3_600


class House:
    """A watch on the bench, with books that are as a test says."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.problems: Sequence[str] | None = ()
        self.checks = 0
        self.me = self.start(ME)

    def start(
        self, peer: FrontendInstance, certificates: Sequence[Path] = (), **changes: object
    ) -> AlarmWatch:
        settings = MonitorSettings.model_validate(
            {"low_stock_mark": 0, "backup_hours": 24} | changes
        )
        return AlarmWatch(
            self.bench.storage,
            self.bench.clock,
            settings,
            peer,
            self.bench.links,
            time_zone="Europe/Berlin",
            certificates=certificates,
            check_books=self.check,
        )

    async def check(self) -> Sequence[str]:
        self.checks += 1
        if self.problems is None:
            raise CheckFailedError("it took too long")
        return self.problems

    async def enter(self, *peers: FrontendInstance) -> None:
        for peer in peers:
            await self.bench.storage.write(lambda tx, peer=peer: tx.frontends.beat(peer))  # type: ignore[misc]

    async def looks(self, seconds: float, *watches: AlarmWatch, step_s: float = 10) -> None:
        """Lets time pass, with looks at intervals."""
        for _ in range(round(seconds / step_s) + 1):
            for watch in watches or (self.me,):
                await watch.look()
            self.bench.clock.pass_s(step_s)

    async def raised(self, *states: AlarmState) -> list[Alarm]:
        found = await self.bench.review.list(states, kinds=CONDITION_KINDS, limit=100)
        return list(reversed(found))

    async def kinds(self) -> list[tuple[str, str]]:
        return [(alarm.kind.value, alarm.subject) for alarm in await self.raised()]

    async def temperature(self, celsius: float) -> None:
        await self.bench.storage.write(lambda tx: tx.machines.set_temperature("d", celsius, 1))


@pytest.fixture
async def house(bench: Bench) -> House:
    made = House(bench)
    await made.enter(ME)
    await Upkeep(bench.storage, bench.clock).backed_up()
    return made


async def test_a_house_that_is_well_writes_nothing(house: House) -> None:
    before = house.bench.storage.stats.units
    await house.looks(HOUR_S)
    assert await house.raised() == []
    assert house.bench.storage.stats.units == before


async def test_a_machine_that_goes_and_comes_back_is_one_alarm_and_one_end(house: House) -> None:
    bench = house.bench
    await bench.reach(Reach.OFFLINE)
    await house.looks(170)
    assert await house.kinds() == []
    await house.looks(30)
    (alarm,) = await house.raised()
    assert (alarm.kind, alarm.subject, alarm.machine) == (
        AlarmKind.MACHINE_OFFLINE,
        "machines/d",
        "d",
    )
    units = bench.storage.stats.units
    await house.looks(HOUR_S)
    assert bench.storage.stats.units == units
    await bench.reach(Reach.READY)
    await house.looks(30)
    assert len(await house.raised()) == 1
    await house.looks(40)
    assert await house.raised() == []
    (closed,) = await house.raised(AlarmState.CLOSED)
    assert (closed.sequence, closed.closed_by, closed.count) == (alarm.sequence, "frontend", 1)
    records = await bench.storage.read(
        lambda tx: tx.audit.list(kinds=[AuditKind.ALARM_CHANGED], limit=5)
    )
    (record,) = records
    assert (record.actor, record.machine) == ("frontend", "d")
    assert (record.facts["from"], record.facts["to"]) == ("OPEN", "CLOSED")


async def test_every_condition_of_a_machine_is_raised_and_closed(house: House) -> None:
    bench = house.bench

    async def change(sensor: Sensor, mark: int, tea: int) -> None:
        await bench.storage.write(
            lambda tx: tx.machines.update_slot("d", 1, 5, sensor=sensor, low_stock_mark=mark)
        )
        root = await bench.account("root")
        await bench.machines.update_slot(root, "d", 2, available=tea)

    await bench.reach(Reach.BOARD_DOWN, "ld")
    await change(Sensor.EMPTY, 3, 0)
    await house.temperature(13)
    await house.looks(1_000)
    assert sorted(await house.kinds()) == [
        ("BOARD_DOWN", "machines/ld"),
        ("SLOT_DISABLED", "machines/d/slots/1"),
        ("SLOT_EMPTY", "machines/d/slots/2"),
        ("SLOT_LOW", "machines/d/slots/1"),
        ("TOO_WARM", "machines/d"),
    ]
    await bench.reach(Reach.READY, "ld")
    await change(Sensor.STOCKED, 1, 4)
    await house.temperature(-3)
    await house.looks(1_000)
    assert await house.kinds() == [("TOO_COLD", "machines/d")]
    await house.temperature(4)
    await house.looks(400)
    assert await house.kinds() == []


async def test_what_an_operator_closes_while_it_lasts_is_raised_again(house: House) -> None:
    await house.bench.reach(Reach.OFFLINE)
    await house.looks(200)
    (alarm,) = await house.raised()
    await house.bench.review.close("operator:x", alarm.sequence)
    await house.looks(100)
    assert await house.raised() == []
    await house.looks(100)
    (again,) = await house.raised()
    assert again.sequence > alarm.sequence


async def test_however_many_machines_there_are_no_drop_waits_until_they_are_judged(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def conditions(machine: Machine, marks: Marks) -> Iterator[Condition]:
        threads.append(threading.current_thread())
        return of_machine(machine, marks)

    monkeypatch.setattr(alarm_watch, "of_machine", conditions)
    await house.bench.reach(Reach.OFFLINE)
    await house.looks(200)
    assert await house.kinds() == [("MACHINE_OFFLINE", "machines/d")]
    assert threads
    assert threading.current_thread() not in threads


async def test_of_two_frontends_the_first_looks_and_the_other_follows_it(house: House) -> None:
    other = house.start(OTHER)
    await house.enter(OTHER)
    await house.bench.reach(Reach.OFFLINE)
    await house.looks(600, other)
    assert await house.raised() == []
    await house.looks(600, house.me, other)
    (alarm,) = await house.raised()
    assert alarm.count == 1
    await house.bench.storage.write(
        lambda tx: [tx.frontends.remove(peer) for peer in tx.frontends.list() if peer.id == ME.id]
    )
    await house.bench.reach(Reach.READY)
    await house.looks(600, house.me)
    assert len(await house.raised()) == 1
    await house.looks(600, other)
    assert await house.raised() == []


async def test_two_that_both_look_raise_and_close_once(house: House) -> None:
    twin = house.start(ME)
    await house.bench.reach(Reach.OFFLINE)
    await house.looks(400, house.me, twin)
    await house.bench.reach(Reach.READY)
    await house.looks(400, house.me, twin)
    (closed,) = await house.raised(*AlarmState)
    assert (closed.count, closed.state) == (1, AlarmState.CLOSED)


@pytest.mark.parametrize("jump_s", [-400 * 86_400, 400 * 86_400])
async def test_a_clock_that_jumps_and_is_set_right_raises_and_closes_nothing(
    house: House, jump_s: float, tmp_path: Path
) -> None:
    watch = house.start(ME, [certificate(house, tmp_path, 60)])
    await house.bench.reach(Reach.OFFLINE)
    await house.looks(200, watch)
    before = await house.kinds()
    house.bench.clock.jump_s(jump_s)
    await house.looks(100, watch)
    house.bench.clock.jump_s(-jump_s)
    await house.looks(100, watch)
    assert await house.kinds() == before == [("MACHINE_OFFLINE", "machines/d")]


def certificate(house: House, folder: Path, days: int) -> Path:
    now = datetime.fromtimestamp(house.bench.clock.now_ms() / 1000, UTC)
    authority = Authority.load(Authority.create("Test", 3_000, now - timedelta(days=1)))
    file = folder / "server.pem"
    file.write_bytes(authority.server(["localhost"], days, now).certificate)
    return file


async def test_each_frontend_tells_of_its_own_certificate(house: House, tmp_path: Path) -> None:
    file = certificate(house, tmp_path, 22)
    other = house.start(OTHER, [file, tmp_path / "missing.pem"])
    await house.enter(OTHER)
    await house.looks(600, house.me, other)
    assert await house.kinds() == []
    house.bench.clock.pass_s(86_400)
    await Upkeep(house.bench.storage, house.bench.clock).backed_up()
    await house.looks(600, house.me, other)
    (alarm,) = await house.raised()
    assert (alarm.kind, alarm.subject) == (AlarmKind.CERTIFICATE_EXPIRES, "frontends/there:2")
    assert (alarm.machine, alarm.facts["file"]) == (None, "server.pem")
    file.unlink()
    await house.looks(600, house.me, other)
    assert len(await house.raised()) == 1
    certificate(house, tmp_path, 90)
    await house.looks(600, house.me, other)
    assert await house.kinds() == []


async def test_an_agents_disk_is_told_by_the_frontend_that_has_its_link(house: House) -> None:
    other, free = house.start(OTHER), house.bench.links.free
    await house.enter(OTHER)
    free |= {"d": 0.05, "ld": 0.5}
    await house.looks(400, other)
    (alarm,) = await house.raised()
    assert (alarm.kind, alarm.subject) == (AlarmKind.AGENT_DISK, "machines/d")
    assert alarm.facts == {"free_percent": 5.0, "mark": 5}
    free["d"] = 0.06
    await house.looks(400, other)
    del free["d"]
    await house.looks(400, other)
    assert len(await house.raised()) == 1
    free["d"] = 0.08
    await house.looks(400, other)
    assert await house.raised() == []


async def test_backups_that_are_too_old(house: House) -> None:
    house.bench.clock.pass_s(25 * HOUR_S)
    await house.looks(400)
    assert await house.kinds() == [("BACKUP_OLD", "house")]
    await Upkeep(house.bench.storage, house.bench.clock).backed_up()
    await house.looks(400)
    assert await house.kinds() == []
    off = house.start(ME, backup_hours=0)
    house.bench.clock.pass_s(1_000 * HOUR_S)
    await house.looks(400, off)
    assert await house.kinds() == []


async def at_hour(house: House, hour: int) -> None:
    """Moves the clock to that hour of the next day, in Berlin in winter."""
    clock = house.bench.clock
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    then = (now + timedelta(days=1)).replace(hour=hour - 1, minute=30)
    clock.pass_s((then - now).total_seconds())


async def test_the_books_are_checked_once_a_day_in_their_hour(house: House) -> None:
    await at_hour(house, 3)
    await house.me.check_books()
    assert house.checks == 0
    house.problems = [f"1: account {number} is wrong" for number in range(30)]
    await at_hour(house, 4)
    for _ in range(3):
        await house.me.check_books()
    assert house.checks == 1
    await house.looks(10)
    (alarm,) = [each for each in await house.raised() if each.kind is AlarmKind.BOOKS_UNSOUND]
    assert len(alarm.facts["problems"]) == PROBLEMS_SHOWN
    assert alarm.facts["problems"][0] == "1: account 0 is wrong"

    # A check that fails changes nothing, and is not repeated at once.
    house.problems = None
    await at_hour(house, 4)
    for _ in range(3):
        await house.me.check_books()
    assert house.checks == 2
    await house.looks(10)
    assert ("BOOKS_UNSOUND", "house") in await house.kinds()

    house.problems = ()
    await at_hour(house, 4)
    await house.me.check_books()
    await house.looks(10)
    assert ("BOOKS_UNSOUND", "house") not in await house.kinds()
    done = (await house.bench.storage.read(lambda tx: tx.upkeep.all()))[Task.BOOKS]
    assert (done.done_ms, done.problems) == (house.bench.clock.now_ms() - 20_000, 0)


async def test_another_frontend_or_no_hour_checks_no_books(house: House) -> None:
    other, off = house.start(OTHER), house.start(ME, books_hour=-1)
    await house.enter(OTHER)
    for hour in range(1, 24):
        await at_hour(house, hour)
        await other.check_books()
        await off.check_books()
    assert house.checks == 0


async def test_a_database_that_does_not_answer_is_asked_again(house: House) -> None:
    watch = house.start(ME, interval_s=0.01, offline_raise_s=0)
    await house.bench.reach(Reach.OFFLINE)
    house.bench.storage.error = StorageUnavailableError("the database does not answer")
    house.bench.storage.reads = 0
    running = asyncio.create_task(watch.run())
    try:
        with house.bench.storage.changes.events() as commits:
            # The first look fails before it waits for anything.
            await asyncio.sleep(0)
            assert house.bench.storage.reads == 1
            house.bench.storage.error = None
            async with asyncio.timeout(20):
                await commits.changed()
        assert await house.kinds() == [("MACHINE_OFFLINE", "machines/d")]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_marks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="below"):
        MonitorSettings(too_warm_celsius=3, too_cold_celsius=2.5)
