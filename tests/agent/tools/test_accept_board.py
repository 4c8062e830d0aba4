import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink_agent.board.identity import AnotherBoardError, BoardMemory, Identity
from drink_agent.board.settings import BoardSettings
from drink_agent.tools.accept_board import accept_board
from tests.fakes.sysfs import Sysfs


@pytest.fixture
def port() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def memory(tmp_path: Path, sysfs: Sysfs) -> BoardMemory:
    return BoardMemory(tmp_path / "board", sysfs.root)


def accept(url: str, memory: BoardMemory) -> tuple[bool, str]:
    lines: list[str] = []
    settings = BoardSettings(url=url, password="p")
    return accept_board(settings, memory, lines.append), "\n".join(lines)


def test_fault_65_the_adapter_that_is_there_replaces_the_one_before(
    port: str, sysfs: Sysfs, memory: BoardMemory
) -> None:
    number = Path(port).stat().st_rdev
    sysfs.plug(number, serial="A1")
    memory.check(number)
    memory.keep()
    sysfs.unplug(number)
    sysfs.plug(number, serial="A2")
    with pytest.raises(AnotherBoardError):
        memory.check(number)
    done, told = accept(f"serial://{port}", memory)
    assert done
    assert told.index("A1") < told.index("A2")
    memory.check(number)


def test_a_port_that_is_not_there_changes_nothing(tmp_path: Path, memory: BoardMemory) -> None:
    memory.save(Identity(greeting=""))
    before = memory.path.read_bytes()
    done, told = accept(f"serial://{tmp_path / 'nothing'}", memory)
    assert not done
    assert "plug the machine's board in first" in told
    assert memory.path.read_bytes() == before


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "listen://127.0.0.1:0"])
def test_a_board_that_is_on_no_usb_port_is_forgotten(memory: BoardMemory, url: str) -> None:
    memory.greeted(b"machine-d")
    memory.keep()
    with pytest.raises(AnotherBoardError):
        memory.greeted(b"machine-s")
    done, told = accept(url, memory)
    assert done
    assert "the next board that answers" in told
    memory.admit()
    assert memory.load() is None


def test_a_damaged_memory_is_replaced(port: str, sysfs: Sysfs, memory: BoardMemory) -> None:
    sysfs.plug(Path(port).stat().st_rdev, serial="A1")
    memory.path.write_text("{")
    done, told = accept(f"serial://{port}", memory)
    assert done
    assert "cannot be read" in told
    known = memory.load()
    assert known is not None
    assert known.adapter is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_what_root_accepts_can_be_read_by_the_service(
    tmp_path: Path, port: str, sysfs: Sysfs
) -> None:
    sysfs.plug(Path(port).stat().st_rdev, serial="A1")
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 61184, 61184)
    memory = BoardMemory(state / "board", sysfs.root)
    assert accept(f"serial://{port}", memory)[0]
    assert memory.path.stat().st_uid == 61184
