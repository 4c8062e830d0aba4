"""The identity of the machine's board: rules, file, and real terminals that are swapped."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import PtyHost
from drink_agent.board.emulator.spec import BoardSpec
from drink_agent.board.identity import AnotherBoardError, Identity, IdentityStore
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Outcome
from drink_agent.tools.board import accept_board
from tests.fakes.sysfs import Sysfs
from tests.support.board_emulated import quick
from tests.support.board_log import LIMIT_S, RunningBoard
from tests.support.logwatch import watching

PORT = os.makedev(188, 0)
OTHER = os.makedev(188, 1)


@pytest.fixture
def identities(tmp_path: Path, sysfs: Sysfs) -> IdentityStore:
    return IdentityStore(tmp_path / "journal.board", sysfs.root)


def remember(identities: IdentityStore, number: int = PORT) -> None:
    identities.check(number)
    identities.remember()


def test_the_first_board_that_answers_is_the_machines(
    identities: IdentityStore, sysfs: Sysfs
) -> None:
    sysfs.plug(PORT, serial="A1")
    assert identities.load() is None
    identities.check(PORT)
    assert identities.load() is None  # nothing has answered yet
    identities.remember()
    known = identities.load()
    assert known is not None
    assert known.adapter is not None
    assert known.adapter.serial == "A1"
    assert stat.S_IMODE(identities.path.stat().st_mode) == 0o600


def test_a_board_that_is_not_on_usb_is_not_remembered(identities: IdentityStore) -> None:
    remember(identities)
    assert identities.load() is None


def test_an_adapter_with_a_serial_number_may_move(identities: IdentityStore, sysfs: Sysfs) -> None:
    sysfs.plug(PORT, serial="A1", socket="1.1")
    remember(identities)
    sysfs.unplug(PORT)
    sysfs.plug(OTHER, serial="A1", socket="1.4")
    remember(identities, OTHER)
    known = identities.load()
    assert known is not None
    assert known.adapter is not None
    assert known.adapter.path.endswith("1.4:1.0")


@pytest.mark.parametrize(
    ("machines", "other"),
    [
        ({"serial": "A1"}, {"serial": "A2"}),
        ({"serial": "A1"}, {"serial": "A1", "vendor": "0403"}),
        ({"serial": "A1"}, {"serial": "A1", "product": "ea60"}),
        ({"serial": "A1"}, {"serial": ""}),
        ({"serial": "A1", "interface": "1.0"}, {"serial": "A1", "interface": "1.1"}),
        ({"socket": "1.1"}, {"socket": "1.2"}),
        ({"serial": "0001", "socket": "1.1"}, {"serial": "0001", "socket": "1.2"}),
    ],
)
def test_fault_65_another_adapter_is_refused_until_a_person_says_so(
    identities: IdentityStore, sysfs: Sysfs, machines: dict[str, str], other: dict[str, str]
) -> None:
    sysfs.plug(PORT, **machines)  # type: ignore[arg-type]
    remember(identities)
    remembered = identities.path.read_bytes()
    sysfs.unplug(PORT)
    sysfs.plug(PORT, **other)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(AnotherBoardError, match="accept-board"):
            identities.check(PORT)
    assert identities.path.read_bytes() == remembered
    sysfs.unplug(PORT)
    sysfs.plug(PORT, **machines)  # type: ignore[arg-type]
    identities.check(PORT)


def test_fault_65_a_serial_number_that_was_not_alone_once_is_not_trusted_again(
    identities: IdentityStore, sysfs: Sysfs
) -> None:
    sysfs.plug(PORT, serial="A1", socket="1.1")
    remember(identities)
    sysfs.plug(OTHER, serial="A1", socket="1.2")
    remember(identities)
    sysfs.unplug(PORT)
    with pytest.raises(AnotherBoardError, match="socket"):
        identities.check(OTHER)
    sysfs.unplug(OTHER)
    sysfs.plug(PORT, serial="A1", socket="1.1")
    remember(identities)
    sysfs.unplug(PORT)
    sysfs.plug(PORT, serial="A1", socket="1.3")
    with pytest.raises(AnotherBoardError, match="socket"):
        identities.check(PORT)


def test_fault_65_a_port_without_usb_is_not_the_machines_adapter(
    identities: IdentityStore, sysfs: Sysfs
) -> None:
    sysfs.plug(PORT, serial="A1")
    remember(identities)
    with pytest.raises(AnotherBoardError, match="not on USB"):
        identities.check(OTHER)


def test_fault_65_a_board_that_logs_in_otherwise_is_refused_until_a_person_says_so(
    identities: IdentityStore,
) -> None:
    identities.check_login(b" machine-d")
    identities.remember()
    assert b"machine-d" not in identities.path.read_bytes()
    identities.check_login(b"machine-d")
    identities.check_login(b"machi0machine-d")  # the power went while it logged in before
    identities.check_login(b"\xff\x80machine")  # noise
    identities.check_refusal()
    with pytest.raises(AnotherBoardError, match="logs in otherwise"):
        identities.check_login(b"machine-s")
    # The board does not log in again, so no later check would find out.
    with pytest.raises(AnotherBoardError, match="accept-board"):
        IdentityStore(identities.path).check_refusal()
    identities.forget()
    identities.check_refusal()
    identities.check_login(b"machine-s")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "adapter": null, "greeting": "", "refused": ""}',
        b'{"version": 1, "adapter": {"vendor": "0403"}, "greeting": "", "refused": ""}',
        b'{"version": 1, "adapter": null, "greeting": "xyz", "refused": ""}',
        b'{"version": 1, "adapter": null, "greeting": "00", "refused": ""}',
    ],
)
def test_fault_65_what_cannot_be_read_lets_no_board_pass(
    identities: IdentityStore, sysfs: Sysfs, content: bytes
) -> None:
    sysfs.plug(PORT, serial="A1")
    identities.path.write_bytes(content)
    for look in (
        identities.check_refusal,
        lambda: identities.check(PORT),
        lambda: identities.check_login(b"d"),
    ):
        with pytest.raises(AnotherBoardError, match="cannot be read"):
            look()


def test_tools_write_nothing(identities: IdentityStore, sysfs: Sysfs) -> None:
    sysfs.plug(PORT, serial="A1")
    tool = IdentityStore(identities.path, sysfs.root, read_only=True)
    remember(tool)
    tool.check_login(b"machine-d")
    assert not identities.path.exists()
    identities.save(Identity(greeting="", refused=""))
    remember(identities)
    tool.check_login(b"machine-s")


def test_what_is_saved_is_what_is_loaded(identities: IdentityStore, sysfs: Sysfs) -> None:
    sysfs.plug(PORT, serial="A1", name="Ünïcode")
    identities.check(PORT)
    identities.check_login(b"machine-d")
    identities.remember()
    known = identities.load()
    assert known is not None
    identities.save(replace(known, refused="why"))
    assert identities.load() == replace(known, refused="why")


class CountingHost(PtyHost):
    """Counts the bytes that reach its board."""

    received_bytes = 0

    def _received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super()._received(data)


class Computer:
    """Two boards on one computer, and one udev name that leads to either of them."""

    def __init__(self, folder: Path, sysfs: Sysfs, boards: list[EmulatedBoard]) -> None:
        self.hosts = [CountingHost(board, folder / f"tty{n}") for n, board in enumerate(boards)]
        self.name = folder / "board"
        self._sysfs = sysfs

    def plug(self, which: int, socket: str) -> None:
        """Links the name to a board whose adapter is at the given USB socket."""
        self._sysfs.plug((self.name.parent / f"tty{which}").stat().st_rdev, socket=socket)
        self.name.unlink(missing_ok=True)
        self.name.symlink_to(f"tty{which}")


@asynccontextmanager
async def computer_with(
    folder: Path, sysfs: Sysfs, *boards: EmulatedBoard
) -> AsyncIterator[Computer]:
    computer = Computer(folder, sysfs, list(boards))
    async with computer.hosts[0], computer.hosts[1]:
        yield computer


async def test_fault_65_after_a_replug_another_machines_board_gets_no_byte(
    tmp_path: Path, sysfs: Sysfs, identities: IdentityStore
) -> None:
    ours, theirs = quick(), quick()
    settings = BoardSettings(url=f"serial://{tmp_path / 'board'}", probe_interval_s=0.1)
    async with computer_with(tmp_path, sysfs, ours, theirs) as computer:
        computer.plug(0, "1.1")
        with watching("drink_agent.board", "board_remembered") as remembered:
            stack = AsyncExitStack()
            running = await stack.enter_async_context(RunningBoard(settings, identities))
            await asyncio.wait_for(remembered.wait(), LIMIT_S)
        async with stack:
            assert (await running.drop("a", 1)).outcome is Outcome.DISPENSED
            computer.plug(1, "1.2")
            with watching("drink_agent.board", "board_refused") as refused:
                computer.hosts[0].lose(LIMIT_S * 10)
                await running.not_ready()
                await asyncio.wait_for(refused.wait(), LIMIT_S)
            running.board.dispense("b", 1)
            ended = await running.ended("b")
            assert (ended.outcome, ended.cause) == (
                Outcome.NOT_DISPENSED,
                Cause.BOARD_UNREACHABLE,
            )
            assert "another board" in str(running.board.problem)
            assert theirs.counts.motor_runs == 0
            assert computer.hosts[1].received_bytes == 0
            assert accept_board(
                settings, IdentityStore(identities.path, sysfs.root), lambda _: None
            )
            assert (await running.drop("c", 1)).outcome is Outcome.DISPENSED
    assert (ours.counts.motor_runs, theirs.counts.motor_runs) == (1, 1)


async def test_fault_65_the_machines_board_comes_back_under_another_name(
    tmp_path: Path, sysfs: Sysfs, identities: IdentityStore
) -> None:
    board = quick()
    settings = BoardSettings(url=f"serial://{tmp_path / 'board'}", probe_interval_s=0.1)
    async with computer_with(tmp_path, sysfs, board, quick()) as computer:
        computer.plug(0, "1.1")
        async with RunningBoard(settings, identities) as running:
            await running.drop("a", 1)
            computer.hosts[0].lose(0.1)
            await running.not_ready()
            assert await computer.hosts[0].wait_until(
                lambda _: (tmp_path / "tty0").exists(), LIMIT_S
            )
            number = (tmp_path / "tty0").stat().st_rdev
            if not (sysfs.root / "dev/char" / f"{os.major(number)}:{os.minor(number)}").exists():
                computer.plug(0, "1.1")
            assert (await running.drop("b", 1)).outcome is Outcome.DISPENSED
    assert board.counts.motor_runs == 2


async def test_fault_65_a_board_that_logs_in_otherwise_is_not_commanded(
    tmp_path: Path, identities: IdentityStore
) -> None:
    theirs = EmulatedBoard(BoardSpec(motor_s=0.05, password="machine-s"))
    identities.check_login(b"machine-d")
    identities.remember()
    async with PtyHost(theirs, tmp_path / "board") as host:
        settings = BoardSettings(url=host.where, probe_interval_s=0.1)
        with watching("drink_agent.board", "board_refused") as refused:
            async with RunningBoard(settings, identities) as running:
                await running.ready()  # it was up, and has said nothing of itself yet
                host.lose(0.05, silently=True)
                await asyncio.wait_for(refused.wait(), LIMIT_S)
                await running.not_ready()
                running.board.dispense("a", 1)
                assert (await running.ended("a")).cause is Cause.BOARD_UNREACHABLE
    assert theirs.counts.motor_runs == 0
