import asyncio
import os
import shutil
import socket
import stat
import time
from pathlib import Path

import pytest

from drink_agent.runtime.system import (
    SystemdNotifier,
    boot_id,
    boot_time_s,
    disk_space,
    memory_bytes,
    serve_status,
    socket_of,
)
from drink_agent.tools.reports import read_status
from tests.support.logwatch import watching


@pytest.mark.parametrize("abstract", [False, True])
def test_the_supervisor_hears_how_it_goes(tmp_path: Path, abstract: bool) -> None:
    name = f"@drink-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + name[1:] if abstract else name)
        supervisor.settimeout(5)
        notifier = SystemdNotifier(name)
        notifier.ready()
        notifier.alive()
        notifier.stopping()
        heard = [supervisor.recv(100) for _ in range(3)]
        notifier.close()
    assert heard == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = SystemdNotifier.from_environment()
    notifier.ready()
    notifier.close()


def test_a_supervisor_that_has_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        notifier = SystemdNotifier(str(tmp_path / "notify"))
    notifier.alive()
    notifier.close()


def test_the_clock_counts_from_boot_and_does_not_go_back() -> None:
    first, second = boot_time_s(), boot_time_s()
    assert 0 < first <= second
    assert first >= time.monotonic() - 1


def test_the_boot_id_stays_the_same() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36


def test_the_space_is_that_of_the_folder_s_disk(tmp_path: Path) -> None:
    space = disk_space(tmp_path)
    assert space.total == shutil.disk_usage(tmp_path).total
    assert 0 < space.free <= space.total


def test_the_memory_is_that_of_this_process() -> None:
    assert 1 << 20 < memory_bytes() < 1 << 40


async def test_each_connection_gets_the_present_status(tmp_path: Path) -> None:
    path = socket_of(tmp_path / "journal")
    count = 0

    def describe() -> dict[str, object]:
        nonlocal count
        count += 1
        return {"count": count}

    async with serve_status(path, describe):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(read_status, path) == {"count": 1}
        assert await asyncio.to_thread(read_status, path) == {"count": 2}
    assert not path.exists()


async def test_a_socket_left_by_a_killed_agent_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal.sock"
    abandoned = await asyncio.start_unix_server(lambda *_: None, path)
    abandoned.close()
    async with serve_status(path, lambda: {"alive": True}):
        assert await asyncio.to_thread(read_status, path) == {"alive": True}


async def test_without_a_socket_the_agent_works_all_the_same(tmp_path: Path) -> None:
    with watching("drink_agent.status", "status_unavailable") as said:
        async with serve_status(tmp_path / ("x" * 200), dict):
            assert said.is_set()
