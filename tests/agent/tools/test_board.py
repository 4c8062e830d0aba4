import asyncio
import os
import pty
import socket
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import PtyHost
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Fault
from drink_agent.board.identity import AnotherBoardError, Identity, IdentityStore
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import parse_url
from drink_agent.tools import board as tool
from drink_agent.tools.board import accept_board, check_board
from tests.fakes.sysfs import Sysfs

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "SENSOR_WAIT_S", 0.1)


@pytest.mark.parametrize(
    ("slot", "fault", "sound", "runs"),
    [(None, None, True, 0), (2, None, True, 1), (2, Fault.REFUSE, False, 0)],
)
async def test_the_board_drops_only_on_request(
    tmp_path: Path, slot: int | None, fault: Fault | None, sound: bool, runs: int
) -> None:
    board = EmulatedBoard(BoardSpec(motor_s=0.05))
    board.arm(ArmedFault(fault), 2)
    lines: list[str] = []
    async with PtyHost(board, tmp_path / "board") as host:
        settings = BoardSettings(url=host.where)
        assert await check_board(settings, lines.append, slot=slot) is sound
    assert board.counts.motor_runs == runs
    assert board.violations == []
    told = "\n".join(lines)
    assert "slot 1: STOCKED" in told
    assert ("running the motor of slot 2" in told) is (slot is not None)


async def ask(settings: BoardSettings, limit_s: float | None = None) -> str:
    """Runs a check that must fail; returns the printed lines, of which none is repeated."""
    lines: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        assert not await check_board(settings, lines.append, ready_limit_s=limit_s)
    assert len(lines) == len(set(lines))
    return "\n".join(lines)


async def test_a_device_that_is_not_there_ends_it_at_once(tmp_path: Path) -> None:
    told = await ask(BoardSettings(url=f"serial://{tmp_path / 'nothing'}"))
    assert "No such file or directory" in told
    assert "look at its plug" in told
    assert "mend that and try again" in told


async def test_fault_46_the_program_that_holds_the_port_is_named(
    tmp_path: Path,
) -> None:
    async with PtyHost(EmulatedBoard(BoardSpec()), tmp_path / "board") as host:
        path = parse_url(host.where).path
        with serial.Serial(path, exclusive=True):
            told = await ask(BoardSettings(url=host.where))
    assert "another program holds the port" in told
    assert f"({os.getpid()})" in told


async def test_a_file_that_is_no_serial_port_is_reported() -> None:
    told = await ask(BoardSettings(url="serial:///dev/null"))
    assert "/dev/null: is no serial port" in told
    assert "look at the name in board.url" in told


@pytest.mark.parametrize("scheme", ["tcp", "rfc2217"])
async def test_a_refused_connection_is_explained(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    told = await ask(BoardSettings(url=f"{scheme}://127.0.0.1:{port}"))
    assert "Connection refused" in told
    assert "Errno" not in told
    assert "nothing listens on the port" in told


async def test_a_refused_connection_to_several_addresses_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    real = socket.getaddrinfo
    several = [*real("127.0.0.1", port, type=socket.SOCK_STREAM)]
    several += real("127.0.0.2", port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: several)
    told = await ask(BoardSettings(url=f"tcp://board.example:{port}"))
    assert f"port {port}: Connection refused" in told
    assert "nothing listens on the port" in told


async def test_a_port_in_use_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"listen://127.0.0.1:{taken.getsockname()[1]}"
        told = await ask(BoardSettings(url=url, password="p"))
    assert "another program listens on the port" in told


async def test_a_silent_board_is_reported() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        told = await ask(BoardSettings(url=f"serial://{os.ttyname(slave)}"), 0.3)
    finally:
        os.close(master)
        os.close(slave)
    assert "waiting for an answer" in told
    assert "did not answer within 0.3 s" in told
    assert "9600 baud" in told


async def test_a_wrong_password_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    settings = BoardSettings(url=f"listen://127.0.0.1:{port}", password="right")

    async def dial() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.write(b"0wrong\n")
            await writer.drain()
            writer.close()
            return

    dialling = asyncio.create_task(dial())
    told = await ask(settings, 2)
    await dialling
    assert "turned away 127.0.0.1: wrong password" in told
    assert "right" not in told.replace("the right password", "")


async def test_a_wrong_password_on_an_own_connection_ends_the_check(tmp_path: Path) -> None:
    board = EmulatedBoard(BoardSpec(motor_s=0.05, password="theirs"))
    async with PtyHost(board, tmp_path / "board") as host:
        asking = asyncio.create_task(
            ask(BoardSettings(url=host.where, password="ours", probe_interval_s=0.1), LIMIT_S)
        )
        while not asking.done():  # until its login comes while the port is open
            host.lose(0.05, silently=True)
            await asyncio.wait([asking], timeout=0.3)
        told = await asking
    assert "logged in with a wrong password" in told
    assert "board.password_file" in told
    assert "ours" not in told


async def test_fault_65_another_board_is_reported_and_not_used(tmp_path: Path) -> None:
    board = EmulatedBoard(BoardSpec(motor_s=0.05))
    sysfs = Sysfs(tmp_path / "sys")
    async with PtyHost(board, tmp_path / "board") as host:
        number = (tmp_path / "board").stat().st_rdev
        sysfs.plug(number, serial="A1")
        identities = IdentityStore(tmp_path / "journal.board", sysfs.root)
        identities.check(number)
        identities.remember()
        lines: list[str] = []
        tool = IdentityStore(identities.path, sysfs.root, read_only=True)
        settings = BoardSettings(url=host.where)
        assert await check_board(settings, lines.append, identities=tool)
        assert "serial number A1" in lines[0]
        sysfs.unplug(number)
        sysfs.plug(number, serial="A2")
        lines.clear()
        assert not await check_board(settings, lines.append, identities=tool, slot=1)
    assert "serial number A2" in lines[0]
    assert any("another board" in line and "accept-board" in line for line in lines)
    assert board.counts.motor_runs == 0


@pytest.fixture
def port() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def identities(tmp_path: Path, sysfs: Sysfs) -> IdentityStore:
    return IdentityStore(tmp_path / "board", sysfs.root)


def accept(url: str, identities: IdentityStore) -> tuple[bool, str]:
    lines: list[str] = []
    settings = BoardSettings(url=url, password="p")
    return accept_board(settings, identities, lines.append), "\n".join(lines)


def test_fault_65_the_connected_adapter_replaces_the_previous_one(
    port: str, sysfs: Sysfs, identities: IdentityStore
) -> None:
    number = Path(port).stat().st_rdev
    sysfs.plug(number, serial="A1")
    identities.check(number)
    identities.remember()
    sysfs.unplug(number)
    sysfs.plug(number, serial="A2")
    with pytest.raises(AnotherBoardError):
        identities.check(number)
    done, told = accept(f"serial://{port}", identities)
    assert done
    assert told.index("A1") < told.index("A2")
    identities.check(number)


def test_a_missing_port_changes_nothing(tmp_path: Path, identities: IdentityStore) -> None:
    identities.save(Identity(greeting=""))
    before = identities.path.read_bytes()
    done, told = accept(f"serial://{tmp_path / 'nothing'}", identities)
    assert not done
    assert "plug the machine's board in first" in told
    assert identities.path.read_bytes() == before


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "listen://127.0.0.1:0"])
def test_a_board_that_is_on_no_usb_port_is_forgotten(identities: IdentityStore, url: str) -> None:
    identities.check_login(b"machine-d")
    identities.remember()
    with pytest.raises(AnotherBoardError):
        identities.check_login(b"machine-s")
    done, told = accept(url, identities)
    assert done
    assert "the next board that answers" in told
    identities.check_refusal()
    assert identities.load() is None


def test_a_damaged_memory_is_replaced(port: str, sysfs: Sysfs, identities: IdentityStore) -> None:
    sysfs.plug(Path(port).stat().st_rdev, serial="A1")
    identities.path.write_text("{")
    done, told = accept(f"serial://{port}", identities)
    assert done
    assert "cannot be read" in told
    known = identities.load()
    assert known is not None
    assert known.adapter is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_the_service_can_read_what_root_accepted(tmp_path: Path, port: str, sysfs: Sysfs) -> None:
    sysfs.plug(Path(port).stat().st_rdev, serial="A1")
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 61184, 61184)
    identities = IdentityStore(state / "board", sysfs.root)
    assert accept(f"serial://{port}", identities)[0]
    assert identities.path.stat().st_uid == 61184
