"""Limits for one process, as compose.yaml gives them: cgroups where they can be made."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MEMORY_MAX = 256 << 20
"""Bytes of memory that the frontend may use; `mem_limit` of compose.yaml."""

PIDS_MAX = 128
"""Processes and threads that it may have; `pids_limit` of compose.yaml."""

FILES_MAX = 1024
"""Files that it may have open unless the command line says otherwise; what systemd gives a service
that asks for no more."""

DATA_MAX = 4 * MEMORY_MAX
"""Bytes of private memory that it may reserve where no cgroup can be made. A process reserves more
than it uses, stacks of threads above all, so this limit only ends what grows without end."""

ROOT = Path("/sys/fs/cgroup")

REMOVE_LIMIT_S = 5.0
"""Seconds until the kernel lets a cgroup be removed whose processes have ended."""


@dataclass(frozen=True)
class Confinement:
    """The limits of a process that is started with `prefix` before its command.

    Attributes:
        prefix: The command that puts itself under the limits, and then becomes the next one.
        kind: What enforces them, for people.
        events: Files of the kernel that count the processes killed for want of memory.
    """

    prefix: Sequence[str]
    kind: str
    events: Sequence[Path] = field(default=())

    def killed(self) -> int:
        """Processes that the kernel has killed because they had no memory left."""
        count = 0
        for file in self.events:
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                count += int(value) if name == "oom_kill" else 0
        return count


@contextmanager
def confined(files_max: int = FILES_MAX) -> Iterator[Confinement]:
    """Limits for one process and its restarts; they are gone afterwards.

    Args:
        files_max: Files that the process may have open.
    """
    name = f"drink-siege-{os.getpid()}-{secrets.token_hex(4)}"
    made: list[Path] = []
    try:
        if (version := _make(name, made)) is None:
            kind = f"RLIMIT_DATA of {DATA_MAX >> 20} MB, as no cgroup can be made here"
            yield Confinement(_prefix((), files_max, DATA_MAX), kind)
            return
        events = [made[0] / ("memory.events" if version == 2 else "memory.oom_control")]
        kind = f"cgroup v{version}: memory {MEMORY_MAX >> 20} MB, {PIDS_MAX} threads"
        yield Confinement(_prefix(made, files_max), kind, events)
    finally:
        for folder in made:
            _remove(folder)


def _prefix(groups: Sequence[Path], files_max: int, data_max: int | None = None) -> list[str]:
    steps = [f"echo $$ > {group}/cgroup.procs" for group in groups]
    steps.append(f"ulimit -n {files_max}")
    if data_max is not None:
        steps.append(f"ulimit -d {data_max >> 10}")
    return ["sh", "-ec", "; ".join([*steps, 'exec "$@"']), "sh"]


def _make(name: str, made: list[Path]) -> int | None:
    """Makes the cgroups, adds them to `made`, and returns their version; None if it may not."""
    for memory, pids in ((ROOT / "memory", ROOT / "pids"),):
        if (memory / "memory.limit_in_bytes").exists():
            with contextlib.suppress(OSError):
                _make_one(memory / name, {"memory.limit_in_bytes": MEMORY_MAX}, made)
                if pids.is_dir():
                    _make_one(pids / name, {"pids.max": PIDS_MAX}, made)
                return 1
    for parent in _parents():
        with contextlib.suppress(OSError):
            # The kernel refuses that to a group which has processes of its own, except the root.
            (parent / "cgroup.subtree_control").write_text("+memory +pids")
            limits = {"memory.max": MEMORY_MAX, "memory.swap.max": 0, "pids.max": PIDS_MAX}
            _make_one(parent / name, limits, made)
            return 2
    return None


def _parents() -> Iterator[Path]:
    """Groups of cgroup v2 in which this process may perhaps make others."""
    own = ROOT
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            own = ROOT / line.removeprefix("0::").strip("/")
    for group in (own, own.parent, ROOT):
        controllers = group / "cgroup.controllers"
        if controllers.exists() and "memory" in controllers.read_text().split():
            yield group


def _make_one(folder: Path, limits: dict[str, int], made: list[Path]) -> None:
    folder.mkdir()
    made.append(folder)
    for file, value in limits.items():
        # Kernels without swap accounting have no limit of it.
        if (folder / file).exists():
            (folder / file).write_text(str(value))


def _remove(folder: Path) -> None:
    until = time.monotonic() + REMOVE_LIMIT_S
    while time.monotonic() < until:
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
