"""The clock that a time to live is counted on."""

import time
from pathlib import Path


def boot_time_s() -> float:
    """Returns the seconds since the host booted.

    Unlike the wall clock it is never set, unlike the monotonic clock it counts while the host
    sleeps, and unlike both it means the same to the agent's next run.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Returns the kernel's id of this boot, the same for every process until the next one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
