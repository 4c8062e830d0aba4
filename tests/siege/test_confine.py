"""The limits of the besieged frontend are real."""

import subprocess
import sys

import pytest

from tests.siege.confine import MEMORY_MAX, confined

EAT = f"b = bytearray({4 * MEMORY_MAX + (64 << 20)}); b[::4096] = b[::4096]; print(len(b))"
"""More than any of the limits allows."""


def test_a_process_that_takes_too_much_memory_is_ended() -> None:
    with confined() as limits:
        eaten = subprocess.run(
            [*limits.prefix, sys.executable, "-c", EAT], capture_output=True, check=False
        )
        assert eaten.returncode
        assert b"MemoryError" in eaten.stderr or limits.killed() == 1


def test_a_process_may_open_only_so_many_files() -> None:
    ask = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    with confined(64) as limits:
        told = subprocess.check_output([*limits.prefix, sys.executable, "-c", ask])
    assert told.split() == [b"64", b"64"]


def test_its_groups_are_gone_afterwards() -> None:
    with confined() as limits:
        groups = [events.parent for events in limits.events]
        subprocess.run([*limits.prefix, "true"], check=True)
        if not groups:
            pytest.skip(limits.kind)
        assert all(group.is_dir() for group in groups)
    assert not any(group.exists() for group in groups)
