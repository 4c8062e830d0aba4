"""The kill points of the agent: each step that leaves something on disk, board or link.

Nothing of the agent is changed; its real methods and system calls are wrapped.

| point | is |
| --- | --- |
| `before-append-R`, `after-append-R` | around the journal taking a record, still in memory |
| `before-write-R`, `during-write-R` | before and halfway through the record's bytes |
| `before-sync-R`, `after-sync-R` | written and not synced; synced |
| `before-write-board`, `during-write-board-N`, `after-write-board` | around the motor command; N \
of its bytes written |
| `before-send-M`, `after-send-M` | around a message to the frontend |
| `before-open`, `before-replay`, `during-replay`, `after-replay` | around reading the journal |
| `...-create`, `...-repair`, `...-compact` | each system call of making the journal, of cutting \
off its torn tail, and of compacting it |

R is the furthest record of what is written together: `commanded` stands for ACCEPTED and COMMANDED.
"""

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import drink_agent.app
import drink_agent.cli  # what the fork_server imports ahead
from drink.v1.machine_link_service_pb2 import ConnectRequest
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result
from drink_agent.domain.recovery import JournalState, replay
from drink_agent.journal.file import Journal
from drink_agent.link.stream import LinkStream
from tests.crash.journal_disk import JournalDisk
from tests.crash.kill_switch import KillSwitch, replace

FURTHEST = (Commanded.KIND, Result.KIND, Acked.KIND, Accepted.KIND)
"""Of records that are written together, the first of these names the write."""

COMMAND_BYTES = (1, 2)
"""Bytes of a motor command after which a write can break off: its opcode, its slot."""


def install(kill_switch: KillSwitch) -> None:
    """Wraps the agent of this process."""
    calls = _SystemCalls(kill_switch)
    _wrap_journal(kill_switch, calls)
    _wrap_replay(kill_switch)
    _wrap_link(kill_switch)


class _SystemCalls:
    """The journal's and the board's writes, syncs and renames."""

    def __init__(self, kill_switch: KillSwitch) -> None:
        self._kill_switch = kill_switch
        self._doing = threading.local()
        self._disk = JournalDisk()
        if kill_switch.unsynced_is_lost:
            kill_switch.before_kill(self._disk.lose_unsynced)
        self._write, self._rename = os.write, os.rename
        self._truncate = os.ftruncate
        replace(os, "write", self._wrapped_write)
        replace(os, "ftruncate", self._wrapped_truncate)
        replace(os, "fsync", self._wrapped_sync(os.fsync))
        replace(os, "fdatasync", self._wrapped_sync(os.fdatasync))
        replace(os, "rename", self._wrapped_rename)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Names what this thread's system calls are made for."""
        earlier = self._what
        self._doing.what = what
        try:
            yield
        finally:
            self._doing.what = earlier

    @property
    def _what(self) -> str:
        return str(getattr(self._doing, "what", ""))

    def _wrapped_write(self, descriptor: int, data: Any) -> int:
        if self._what:
            return self._write_journal(descriptor, data)
        if data[:1] == b"3" and os.isatty(descriptor):
            return self._write_board(descriptor, data)
        return self._write(descriptor, data)

    def _write_journal(self, descriptor: int, data: Any) -> int:
        self._kill_switch.reach(f"before-write-{self._what}")
        self._disk.will_write(descriptor)
        if self._kill_switch.is_due(f"during-write-{self._what}"):
            self._write(descriptor, data[: len(data) // 2])
            self._kill_switch.kill()
        return self._write(descriptor, data)

    def _write_board(self, descriptor: int, data: bytes) -> int:
        self._kill_switch.reach("before-write-board")
        for count in COMMAND_BYTES:
            if self._kill_switch.is_due(f"during-write-board-{count}"):
                self._write(descriptor, data[:count])
                self._kill_switch.kill()
        written = self._write(descriptor, data)
        self._kill_switch.reach("after-write-board")
        return written

    def _wrapped_truncate(self, descriptor: int, length: int) -> None:
        if self._what:
            self._kill_switch.reach(f"before-truncate-{self._what}")
            self._disk.will_truncate(descriptor, length)
        self._truncate(descriptor, length)

    def _wrapped_sync(self, sync: Callable[[int], None]) -> Callable[[Any], None]:
        def wrapped(descriptor: int) -> None:
            if not self._what:
                sync(descriptor)
                return
            step = self._what
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
                step = f"{step}-folder"
            self._kill_switch.reach(f"before-sync-{step}")
            sync(descriptor)
            self._disk.synced(descriptor)
            self._kill_switch.reach(f"after-sync-{step}")

        return wrapped

    def _wrapped_rename(self, source: Path, target: Path) -> None:
        if self._what:
            self._kill_switch.reach(f"before-rename-{self._what}")
            self._disk.will_rename(source, target)
        self._rename(source, target)


def _wrap_journal(kill_switch: KillSwitch, calls: _SystemCalls) -> None:
    append, sync, compact, open_journal = (
        Journal.append,
        Journal.sync,
        Journal.compact,
        Journal.open.__func__,  # type: ignore[attr-defined]
    )

    def wrapped_append(journal: Journal, entry: Entry) -> None:
        kill_switch.reach(f"before-append-{entry.record.KIND}")
        append(journal, entry)
        kill_switch.reach(f"after-append-{entry.record.KIND}")

    def wrapped_sync(journal: Journal) -> None:
        kinds = {entry.record.KIND for entry in journal._pending}
        if not kinds:
            sync(journal)
            return
        with calls.doing(next(kind for kind in FURTHEST if kind in kinds)):
            sync(journal)

    def wrapped_compact(
        journal: Journal, survivors: Callable[[Sequence[Entry]], list[Entry]]
    ) -> bool:
        kill_switch.reach("before-compact")
        with calls.doing("compact"):
            done = compact(journal, survivors)
        kill_switch.reach("after-compact")
        return done

    def wrapped_open(
        cls: type[Journal], path: Path, *more: Any
    ) -> tuple[Journal, tuple[Entry, ...]]:
        kill_switch.reach("before-open")
        with calls.doing("repair" if path.exists() else "create"):
            opened: tuple[Journal, tuple[Entry, ...]] = open_journal(cls, path, *more)
        kill_switch.reach("after-open")
        return opened

    replace(Journal, "append", wrapped_append)
    replace(Journal, "sync", wrapped_sync)
    replace(Journal, "compact", wrapped_compact)
    replace(Journal, "open", classmethod(wrapped_open))
    defaults = drink_agent.app.build.__kwdefaults__
    assert defaults is not None
    assert defaults["open_journal"].__func__ is open_journal
    defaults["open_journal"] = Journal.open


def _wrap_replay(kill_switch: KillSwitch) -> None:
    apply = JournalState.apply
    replaying = threading.Event()

    def wrapped_replay(*arguments: Any) -> JournalState:
        kill_switch.reach("before-replay")
        replaying.set()
        state = replay(*arguments)
        replaying.clear()
        kill_switch.reach("after-replay")
        return state

    def wrapped_apply(state: JournalState, entry: Entry) -> None:
        apply(state, entry)
        if replaying.is_set():
            kill_switch.reach("during-replay")

    replace(drink_agent.app, "replay", wrapped_replay)
    replace(JournalState, "apply", wrapped_apply)


def _wrap_link(kill_switch: KillSwitch) -> None:
    messages = LinkStream.messages

    async def wrapped(stream: LinkStream) -> AsyncIterator[ConnectRequest]:
        async for message in messages(stream):
            kind = str(message.WhichOneof("message")).replace("_", "-")
            kill_switch.reach(f"before-send-{kind}")
            yield message
            # It is asked for the next one once the network has taken this one.
            kill_switch.reach(f"after-send-{kind}")

    replace(LinkStream, "messages", wrapped)
