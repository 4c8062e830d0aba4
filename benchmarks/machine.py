"""What the machine is that a run was made on."""

import os
import platform
import statistics
import time
from pathlib import Path

import grpc

SYNCS = 200
"""Syncs that are timed: enough for a median, half a second on a slow disk of servers."""


def describe(folder: Path) -> dict[str, str]:
    """What decides the numbers of a run.

    Args:
        folder: Where the databases and journals are.
    """
    sync_ms = sync_latencies_ms(folder)
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    return {
        "CPU": f"{len(os.sched_getaffinity(0))} cores, {_cpu_model()}",
        "kernel": platform.release(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "grpcio": grpc.__version__,
        "disk": f"{_filesystem(folder)}; a write of 4 KiB and its fdatasync take"
        f" {statistics.median(sync_ms):.2f} ms, p99 {sorted(sync_ms)[-len(sync_ms) // 100]:.2f} ms",
        "load before": load,
    }


def sync_latencies_ms(folder: Path, count: int = SYNCS) -> list[float]:
    """Milliseconds of each of so many appends of 4 KiB with an fdatasync."""
    path = folder / "sync.probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return taken


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    """Kind and device of the file system that a folder is on."""
    best, found = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        device, point, kind, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, found = point, f"{kind} on {device}"
    return found
