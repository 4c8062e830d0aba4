import errno
import multiprocessing
import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from drink_agent.domain.evidence import Cause, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import survivors
from drink_agent.journal import file as journal_file
from drink_agent.journal.file import (
    Journal,
    JournalDamagedError,
    JournalError,
    JournalFailedError,
    JournalLockedError,
    JournalSettings,
    journal_lock,
    read,
)
from drink_agent.journal.format import encode_frame

RECORDS: list[Record] = [
    Accepted("a", 1, 10_000, 5, "boot"),
    Commanded("a", 1, Sensor.STOCKED),
    Result("a", 1, Cause.BOARD_ACK, Evidence()),
    Acked("a", 1),
    Accepted("b", 2, 10_000, 6, "boot"),
]
pick = partial(survivors, remembered_drops=10, evidence_drops=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal"


def write(journal: Journal, records: Sequence[Record] = RECORDS) -> None:
    for record in records:
        journal.append(Entry(journal.last_sequence + 1, record))


@contextmanager
def opened(path: Path, records: Sequence[Record] = ()) -> Iterator[Journal]:
    """A journal to which these records were written."""
    journal, _ = Journal.open(path)
    try:
        write(journal, records)
        journal.sync()
        yield journal
    finally:
        journal.close()


def records_in(path: Path) -> list[Record]:
    journal, entries = Journal.open(path)
    journal.close()
    return [entry.record for entry in entries]


def test_a_new_journal_is_empty_private_and_complete(path: Path) -> None:
    journal, entries = Journal.open(path)
    assert entries == ()
    assert journal.journal_id
    assert (journal.last_sequence, journal.durable_sequence) == (0, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["journal", "journal.lock"]
    journal.close()


def test_synced_entries_are_read_back_under_the_same_id(path: Path) -> None:
    journal, _ = Journal.open(path)
    write(journal)
    assert journal.dirty
    assert journal.durable_sequence == 0
    journal.sync()
    assert not journal.dirty
    assert journal.durable_sequence == journal.last_sequence == 5
    assert journal.size_bytes == path.stat().st_size
    journal.close()

    again, entries = Journal.open(path)
    assert [entry.record for entry in entries] == RECORDS
    assert again.journal_id == journal.journal_id
    assert again.durable_sequence == 5
    again.close()


def test_unsynced_entries_are_lost(path: Path) -> None:
    with opened(path, RECORDS[:1]) as journal:
        write(journal, RECORDS[1:])
    assert records_in(path) == RECORDS[:1]


def test_one_sync_writes_all_appended_entries_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = Journal.open(path)
    syncs: list[int] = []
    real = os.fdatasync

    def count(file: int) -> None:
        syncs.append(file)
        real(file)

    monkeypatch.setattr(os, "fdatasync", count)
    write(journal)
    journal.sync()
    journal.sync()
    assert len(syncs) == 1
    journal.close()


def test_fault_32_the_next_start_writes_again_what_a_failed_sync_left_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of this test stores only bytes that a successful sync follows."""
    with opened(path, RECORDS[:1]) as journal, monkeypatch.context() as failing_disk:
        on_disk = path.read_bytes()
        write(journal, RECORDS[1:2])
        failing_disk.setattr(os, "fdatasync", failing(errno.EIO))
        with pytest.raises(JournalFailedError):
            journal.sync()
    again: list[tuple[int, bytes]] = []
    real = os.pwrite

    def keep(descriptor: int, data: bytes, offset: int) -> int:
        again.append((offset, bytes(data)))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", keep)
    Journal.open(path)[0].close()
    assert again == [(len(on_disk), path.read_bytes()[len(on_disk) :])]
    assert records_in(path) == RECORDS[:2]


def test_fault_25_a_name_that_a_killed_agent_had_not_synced_is_synced_by_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal.open(path)[0].close()
    synced: list[str] = []
    real = os.fsync

    def keep(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", keep)
    Journal.open(path)[0].close()
    assert str(path.parent) in synced


def test_numbers_must_follow_each_other(path: Path) -> None:
    with opened(path) as journal, pytest.raises(AssertionError):
        journal.append(Entry(2, RECORDS[0]))


def test_fault_31_a_second_agent_is_refused_also_after_a_compaction(path: Path) -> None:
    with opened(path) as journal:
        with pytest.raises(JournalLockedError):
            Journal.open(path)
        journal.compact(pick)
        with pytest.raises(JournalLockedError):
            Journal.open(path)
    Journal.open(path)[0].close()


def test_fault_33_a_torn_tail_is_cut_off_and_writing_goes_on(path: Path) -> None:
    with opened(path, RECORDS[:1]) as journal:
        sound = path.stat().st_size
        write(journal, RECORDS[1:2])
        journal.sync()
    os.truncate(path, path.stat().st_size - 7)

    again, entries = Journal.open(path)
    assert [entry.record for entry in entries] == RECORDS[:1]
    assert again.torn_bytes > 0
    assert path.stat().st_size == again.size_bytes == sound
    again.close()
    with opened(path, RECORDS[1:2]):
        pass
    assert records_in(path) == RECORDS[:2]


def test_fault_34_a_damaged_body_stops_the_agent_and_is_left_as_it_is(path: Path) -> None:
    """Invariant 20: damage is never repaired by a guess."""
    with opened(path, RECORDS[:2]):
        pass
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    with pytest.raises(JournalDamagedError) as caught:
        Journal.open(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == data


def test_a_file_larger_than_any_journal_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal.open(path)[0].close()
    monkeypatch.setattr(journal_file, "JOURNAL_BYTES_MAX", 10)
    with pytest.raises(JournalDamagedError):
        Journal.open(path)


def test_fault_37_a_wiped_journal_has_a_new_id(path: Path) -> None:
    journal, _ = Journal.open(path)
    journal.close()
    path.unlink()
    again, _ = Journal.open(path)
    again.close()
    assert again.journal_id != journal.journal_id


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_fault_32_after_a_failed_sync_the_journal_accepts_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    journal, _ = Journal.open(path)
    write(journal, RECORDS[:1])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(JournalFailedError) as caught:
            journal.sync()
    assert caught.value.errno == number
    assert journal.durable_sequence == 0
    with pytest.raises(AssertionError):
        journal.sync()
    with pytest.raises(AssertionError):
        journal.compact(pick)
    journal.close()
    assert records_in(path) in ([], RECORDS[:1])


def test_fault_35_a_disk_that_fills_up_in_the_middle_of_a_write_tears_only_the_tail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    frame = encode_frame([Entry(1, RECORDS[0]).to_dict()])
    for room in range(0, len(frame), 7):
        path.unlink(missing_ok=True)
        journal, _ = Journal.open(path)
        left = room

        def fill(file: int, data: memoryview) -> int:
            nonlocal left
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = real(file, data[: min(left, 5)])
            left -= written
            return written

        write(journal, RECORDS[:1])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fill)
            with pytest.raises(JournalFailedError):
                journal.sync()
        journal.close()
        again, entries = Journal.open(path)
        assert (entries, again.torn_bytes) == ((), room)
        again.close()


def test_compaction_keeps_id_numbers_and_what_counts(path: Path) -> None:
    with opened(path, RECORDS) as journal:
        before = path.stat().st_size
        assert journal.compact(pick)
        assert path.stat().st_size == journal.size_bytes == journal.compacted_bytes < before
        write(journal, [Commanded("b", 2, Sensor.EMPTY)])
        journal.sync()
    again, entries = Journal.open(path)
    assert again.journal_id == journal.journal_id
    assert [entry.sequence for entry in entries] == [3, 4, 5, 6]
    again.close()


def test_fault_35_compaction_without_room_leaves_the_journal_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path, RECORDS[:4]) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(errno.ENOSPC))
            assert journal.compact(pick) is False
        write(journal, RECORDS[4:])
        journal.sync()
    assert records_in(path) == RECORDS
    assert not path.with_name("journal.new").exists()


def test_fault_32_compaction_on_a_failing_disk_stops_the_agent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path, RECORDS) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(JournalFailedError):
            journal.compact(pick)
    assert records_in(path) == RECORDS


def _compact_and_die(path: Path, call: str, count: int) -> None:
    """Kills this process at the count-th system call of a compaction."""
    journal, _ = Journal.open(path)
    real = getattr(os, call)
    left = count

    def die(*arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)

    setattr(os, call, die)
    journal.compact(pick)
    os._exit(0)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "close"])
def test_fault_25_a_kill_during_compaction_loses_nothing(path: Path, call: str) -> None:
    with opened(path, RECORDS):
        pass
    expected = [entry.record for entry in pick(read(path).entries)]
    context = multiprocessing.get_context("spawn")
    for count in range(10):
        process = context.Process(target=_compact_and_die, args=(path, call, count))
        process.start()
        process.join(30)
        code = process.exitcode
        entries = read(path).entries
        assert [entry.record for entry in pick(entries)] == expected
        again, _ = Journal.open(path)
        assert again.last_sequence == 5
        again.close()
        if code == 0:
            assert count > 0
            return
        assert code == -signal.SIGKILL
    raise AssertionError("the process never got to its end")


def test_reading_does_not_lock_or_change_the_journal(path: Path) -> None:
    with opened(path, RECORDS):
        assert [entry.record for entry in read(path).entries] == RECORDS


def test_an_unwritable_folder_is_a_typed_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(JournalError):
        Journal.open(blocked / "journal")


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Names, bytes, owners and times of all files in a folder."""
    return {
        each.name: (each.read_bytes(), each.stat().st_uid, each.stat().st_mtime_ns)
        for each in folder.iterdir()
    }


def test_the_lock_keeps_agents_away_and_writes_nothing(path: Path) -> None:
    Journal.open(path)[0].close()
    before = contents(path.parent)
    with journal_lock(path):
        with pytest.raises(JournalLockedError):
            Journal.open(path)
        assert contents(path.parent) == before
    Journal.open(path)[0].close()


def test_the_lock_of_a_running_agent_is_an_error(path: Path) -> None:
    with opened(path), pytest.raises(JournalLockedError), journal_lock(path):
        pass
    with journal_lock(path):
        pass


@pytest.mark.parametrize("name", ["journal", "missing/journal", "missing/folder/journal"])
def test_without_a_journal_the_lock_makes_no_file(tmp_path: Path, name: str) -> None:
    with journal_lock(tmp_path / name):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_locking_a_damaged_journal_is_an_error(path: Path) -> None:
    Journal.open(path)[0].close()
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(JournalDamagedError), journal_lock(path):
        pass
    with pytest.raises(JournalDamagedError):  # and the lock is free again
        Journal.open(path)


def test_locking_an_unreadable_journal_is_an_error(path: Path) -> None:
    Journal.open(path)[0].close()
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalFailedError), journal_lock(path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_a_journal_made_by_root_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 61184, 61184)
    path = folder / "journal"
    journal, _ = Journal.open(path)
    journal.compact(list)
    journal.close()
    assert {(each.stat().st_uid, each.stat().st_gid) for each in folder.iterdir()} == {
        (61184, 61184)
    }


PATH = Path("/var/lib/x/journal")


def test_every_error_names_the_file() -> None:
    damaged = JournalDamagedError(PATH, 117, "a reason")
    failed = JournalFailedError(PATH, OSError(28, "No space left on device"))
    errors: list[JournalError] = [damaged, failed, JournalLockedError(PATH)]
    assert all(str(PATH) in str(error) for error in errors)
    assert (damaged.offset, damaged.reason) == (117, "a reason")
    assert failed.errno == 28


def test_a_refusal_names_the_user() -> None:
    assert f"user {os.geteuid()}" in str(JournalFailedError(PATH, PermissionError(13, "no")))
    assert "user" not in str(JournalFailedError(PATH, OSError(28, "No space left on device")))


@pytest.mark.parametrize("name", ["compact_bytes", "evidence_drops", "min_free_bytes"])
def test_limits_are_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        JournalSettings(**{name: -1})  # type: ignore[arg-type]
