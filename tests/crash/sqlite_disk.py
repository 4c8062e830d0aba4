"""SQLite's own writes and syncs: where they can be cut short, and what a power cut leaves of them.

SQLite writes through a table of functions that its host may exchange (https://sqlite.org/vfs.html).
Here the ones that write, truncate and sync are wrapped; everything else is SQLite's own.
"""

import _sqlite3
import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p
from typing import Any

OK = 0

_OPEN = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_READ = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_WRITE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)
_SIZE = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_int64))


class _Methods(Structure):
    """sqlite3_io_methods."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", _READ),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("size", _SIZE),
        # Locks, control, shared memory and mappings, as they are.
        ("others", c_void_p * 12),
    )


class _File(Structure):
    """The beginning of every sqlite3_file."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """The beginning of sqlite3_vfs."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("application", c_void_p),
        ("open", _OPEN),
    )


Hook = Callable[[str, Callable[[], None]], None]
"""Told the path of a file that is about to be written, and how to write half of it only."""


class SqliteDisk:
    """Stands between SQLite and its files, in this process.

    Args:
        on_write: Told before each write, and how to do half of it.
        on_sync: Told the path of a file before and, with True, after it is synced.
        remember: Whether to be able to lose what is not synced.
    """

    def __init__(
        self, on_write: Hook, on_sync: Callable[[str, bool], None], *, remember: bool
    ) -> None:
        self._on_write, self._on_sync, self._remember = on_write, on_sync, remember
        self._paths: dict[int, str] = {}
        self._undo: list[tuple[str, Callable[[], None]]] = []
        self._real: dict[int, _Methods] = {}
        self._tables: dict[int, _Methods] = {}
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        # A copy: the structure's own field is about to change.
        self._open = _OPEN(ctypes.cast(vfs.open, c_void_p).value or 0)
        self._kept: list[Any] = [_OPEN(self._wrapped_open)]
        vfs.open = self._kept[0]

    def lose_unsynced(self) -> None:
        """The power is gone: every file is what it was when it was last synced."""
        for _, undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def _wrapped_open(
        self, vfs: int, name: int | None, file: int, flags: int, out_flags: int | None
    ) -> int:
        # The name is handed on as it came: SQLite keeps parameters behind its end.
        result: int = self._open(vfs, name, file, flags, out_flags)
        opened = _File.from_address(file)
        if result == OK and name and opened.methods:
            self._paths[file] = ctypes.string_at(name).decode()
            opened.methods = ctypes.pointer(self._table(opened.methods.contents))
        return result

    def _table(self, real: _Methods) -> _Methods:
        """The methods of a file, some of them wrapped; one table for all files of a kind."""
        key = ctypes.addressof(real)
        if key not in self._tables:
            table = _Methods()
            ctypes.pointer(table)[0] = real
            table.write = _WRITE(self._wrapped_write)
            table.truncate = _TRUNCATE(self._wrapped_truncate)
            table.sync = _SYNC(self._wrapped_sync)
            self._kept += [table.write, table.truncate, table.sync]
            self._tables[key] = table
            self._real[ctypes.addressof(table)] = real
        return self._tables[key]

    def _methods(self, file: int) -> _Methods:
        return self._real[ctypes.addressof(_File.from_address(file).methods.contents)]

    def _wrapped_write(self, file: int, data: int, amount: int, offset: int) -> int:
        methods = self._methods(file)
        self._will_change(file, offset, amount)

        def half() -> None:
            methods.write(file, data, amount // 2, offset)

        self._on_write(self._paths[file], half)
        return int(methods.write(file, data, amount, offset))

    def _wrapped_truncate(self, file: int, length: int) -> int:
        self._will_change(file, length, max(0, self._length(file) - length))
        return int(self._methods(file).truncate(file, length))

    def _wrapped_sync(self, file: int, flags: int) -> int:
        path = self._paths[file]
        self._on_sync(path, False)
        result = int(self._methods(file).sync(file, flags))
        if result == OK:
            self._undo = [(of, undo) for of, undo in self._undo if of != path]
        self._on_sync(path, True)
        return result

    def _length(self, file: int) -> int:
        length = c_int64()
        self._methods(file).size(file, byref(length))
        return length.value

    def _will_change(self, file: int, offset: int, amount: int) -> None:
        """Keeps what a write is about to replace."""
        if not self._remember:
            return
        methods, length = self._methods(file), self._length(file)
        kept = ctypes.create_string_buffer(max(0, min(amount, length - offset)))
        if len(kept):
            methods.read(file, kept, len(kept), offset)

        def undo() -> None:
            if len(kept):
                methods.write(file, kept, len(kept), offset)
            methods.truncate(file, length)

        self._undo.append((self._paths[file], undo))
