import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from drink_agent.runtime.system import SystemdNotifier, boot_id, boot_time_s, free_bytes


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


def test_the_free_space_is_that_of_the_folder_s_disk(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path) <= shutil.disk_usage(tmp_path).total
