"""An agent's disk: what was synced survives everything, what was not is lost, torn or kept.

A process that is killed leaves what it wrote in the system's memory. A power cut leaves of each
file what was synced and, of what was appended since, whole sectors or nothing; of the folder the
names that were synced or those since. A sync that fails leaves the pages clean and the disk without
them, as Linux does.
"""

import errno
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from drink_agent.journal.disk import Disk
from drink_agent.runtime.system import DiskSpace
from tests.simulation.world import Process, World

SECTOR_BYTES = 512


@dataclass
class DiskTrouble:
    """What befalls a disk; drawn once per world.

    Attributes:
        latency_s: Mean time of a sync.
        stall: Chance, per sync, that it takes much longer.
        stall_s: Longest of these.
        fails: Chance, per sync, that it fails.
        full: Chance, per write, that the disk is full for a while.
        kill: Chance, per write and per sync, that the process dies at it.
        power: Chance, per write and per sync, that the host loses power at it.
    """

    latency_s: float = 0.002
    stall: float = 0.0
    stall_s: float = 5.0
    fails: float = 0.0
    full: float = 0.0
    kill: float = 0.0
    power: float = 0.0


@dataclass
class _File:
    """One file: its content for a reader, and how much of it is durable."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    clean_to: int = 0
    """Length that the kernel will not write again: synced, or given up after a failure."""


class SimulatedDisk:
    """The disk of one host.

    Args:
        world: The world.
        name: Of the host.
        trouble: What befalls it.
    """

    def __init__(self, world: World, name: str, trouble: DiskTrouble) -> None:
        self.world, self.name, self.trouble = world, name, trouble
        self.rng = world.stream(f"disk of {name}")
        self.full_until = -1.0
        self.files: dict[Path, _File] = {}
        self._named: dict[Path, _File] = {}
        self._locks: dict[Path, Process] = {}

    def latency_s(self, rng: random.Random) -> float:
        """How long the next call takes."""
        if rng.random() < self.trouble.stall:
            seconds = rng.uniform(0, self.trouble.stall_s)
            self.world.fault("disk.stall", self.name, 60 + seconds)
            return seconds
        return rng.expovariate(1 / self.trouble.latency_s)

    def space(self) -> DiskSpace:
        return DiskSpace(0 if self.world.now < self.full_until else 1 << 30, 1 << 31)

    def lose_power(self) -> None:
        """Loses or keeps unsynced data at random."""
        if self.rng.random() < 0.5:
            self.files = dict(self._named)
        for file in self.files.values():
            self._tear(file)
        self._named = dict(self.files)

    def content(self, path: Path) -> bytes:
        """The durable content of a sound disk."""
        file = self._named.get(path)
        return b"" if file is None else bytes(file.durable)

    def put(self, path: Path, content: bytes | None) -> None:
        """Replaces or removes a file that no process has open."""
        if content is None:
            self.files.pop(path, None)
        else:
            self.files[path] = _File(bytearray(content), bytearray(content), len(content))
        self._named = dict(self.files)

    def _tear(self, file: _File) -> None:
        """How much of an append under way is on the disk."""
        if len(file.durable) < len(file.seen):
            rest = file.seen[len(file.durable) :]
            match self.rng.randrange(4):
                case 0:
                    rest = rest[: self.rng.randint(0, len(rest))]
                case 1:
                    self._lose_sectors(rest, len(file.durable))
                case 2:
                    rest = bytearray()
            file.durable += rest
        file.seen = bytearray(file.durable)
        file.clean_to = len(file.seen)

    def _lose_sectors(self, rest: bytearray, offset: int) -> None:
        edges = range(SECTOR_BYTES - offset % SECTOR_BYTES, len(rest), SECTOR_BYTES)
        bounds = [0, *edges, len(rest)]
        for start, end in itertools.pairwise(bounds):
            if self.rng.random() < 0.5:
                rest[start:end] = bytes(end - start)


class MountedDisk(Disk):
    """A disk as one process uses it.

    Args:
        disk: The host's.
        process: Who uses it.
        lose_power: Ends the host's power.
    """

    def __init__(
        self, disk: SimulatedDisk, process: Process, lose_power: Callable[[], None]
    ) -> None:
        self._disk, self._process = disk, process
        self._lose_power = lose_power
        self._open: dict[int, Path] = {}
        self._files: dict[int, _File] = {}
        self._next = 3

    def make_folder(self, path: Path) -> None: ...

    def lock(self, path: Path) -> int:
        holder = self._disk._locks.get(path)
        if holder is not None and holder.alive:
            raise BlockingIOError(errno.EAGAIN, "locked")
        self._disk._locks[path] = self._process
        return self._descriptor(path, _File())

    def exists(self, path: Path) -> bool:
        return path in self._disk.files

    def size(self, path: Path) -> int:
        return len(self._file(path).seen)

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).seen)

    def create(self, path: Path) -> int:
        self._fate("create")
        file = self._disk.files[path] = _File()
        return self._descriptor(path, file)

    def append_to(self, path: Path) -> int:
        return self._descriptor(path, self._file(path))

    def write(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write_some(descriptor, rest) :]

    def _write_some(self, descriptor: int, data: memoryview) -> int:
        self._fate("write")
        trouble, rng = self._disk.trouble, self._disk.rng
        if rng.random() < trouble.full:
            self._disk.world.fault("agent.disk_full", self._disk.name, 180)
            self._disk.full_until = self._disk.world.now + rng.uniform(1, 60)
        if self._disk.space().free == 0:
            taken = rng.randrange(len(data))
            self._files[descriptor].seen += data[:taken]
            if taken == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return taken
        taken = len(data) if rng.random() < 0.9 else rng.randint(1, len(data))
        self._files[descriptor].seen += data[:taken]
        return taken

    def truncate(self, descriptor: int, length: int) -> None:
        self._fate("truncate")
        file = self._files[descriptor]
        # It is journalled by the file system: at worst undone by a power cut, which its caller
        # then repeats. Here it is carried out at once, since what follows syncs it.
        del file.seen[length:]
        del file.durable[length:]
        file.clean_to = min(file.clean_to, length)

    def sync_data(self, descriptor: int) -> None:
        self._fate("sync")
        file, disk = self._files[descriptor], self._disk
        if len(file.seen) > file.clean_to and disk.rng.random() < disk.trouble.fails:
            disk.world.fault("agent.sync_fails", disk.name, 60)
            file.clean_to = len(file.seen)
            raise OSError(errno.EIO, "Input/output error")
        if len(file.seen) > file.clean_to:
            # What a failed sync gave up on is not written now either.
            hole = file.clean_to - len(file.durable)
            file.durable += bytes(hole) + file.seen[file.clean_to :]
            file.clean_to = len(file.seen)
        self._fate("synced")

    def sync(self, descriptor: int) -> None:
        self.sync_data(descriptor)

    def write_again(self, path: Path, offset: int) -> None:
        self._fate("write again")
        file, disk = self._file(path), self._disk
        if disk.rng.random() < disk.trouble.fails:
            disk.world.fault("agent.sync_fails", disk.name, 60)
            raise OSError(errno.EIO, "Input/output error")
        assert file.seen[: min(offset, len(file.durable))] == file.durable[:offset]
        file.durable[offset:] = file.seen[offset:]
        file.clean_to = len(file.seen)
        self._fate("written again")

    def sync_folder(self, path: Path) -> None:
        self._fate("sync folder")
        self._disk._named = dict(self._disk.files)

    def rename(self, source: Path, target: Path) -> None:
        self._fate("rename")
        self._disk.files[target] = self._disk.files.pop(source)

    def remove(self, path: Path) -> None:
        self._disk.files.pop(path, None)

    def close(self, descriptor: int) -> None:
        path = self._open.pop(descriptor)
        del self._files[descriptor]
        if self._disk._locks.get(path) is self._process:
            del self._disk._locks[path]

    def _descriptor(self, path: Path, file: _File) -> int:
        self._next += 1
        self._open[self._next] = path
        self._files[self._next] = file
        return self._next

    def _file(self, path: Path) -> _File:
        file = self._disk.files.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return file

    def _fate(self, what: str) -> None:
        """A point at which the process or the power may end."""
        self._process.check_alive()
        disk = self._disk
        chance = disk.rng.random()
        if chance < disk.trouble.kill:
            disk.world.fault("agent.kill", disk.name, 60, f"at {what}")
            self._process.kill()
        elif chance < disk.trouble.kill + disk.trouble.power:
            disk.world.fault("agent.power", disk.name, 60, f"at {what}")
            self._lose_power()
        self._process.check_alive()
