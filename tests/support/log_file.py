"""A file that a service logs to."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_S = 30


class LogFile:
    """A log's output, read after all of it was written.

    Args:
        path: Of the file, or a terminal.
        begin: Sets logging up for a descriptor, with the arguments of `set_up`.
    """

    def __init__(self, path: Path, begin: Callable[..., Any]) -> None:
        self._path = path
        self._begin = begin
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._output: Any = None

    def set_up(self, *arguments: object, **settings: object) -> None:
        self._output = self._begin(self._descriptor, *arguments, **settings)

    def read(self) -> str:
        assert self._output.flush(LIMIT_S)
        return self._path.read_text(encoding="utf-8")

    def close(self) -> None:
        if self._output is not None:
            self._output.close(LIMIT_S)
        os.close(self._descriptor)
