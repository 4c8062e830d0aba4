"""Runs the frontend with its threads named for the system, so that the CPU of each can be read.

python -m benchmarks.named_threads --config=FILE serve
"""

import ctypes
import sys
import threading
from types import FrameType

from drink_frontend.start import main

_PR_SET_NAME = 15
_LIBC = ctypes.CDLL(None)


def name_thread(_frame: FrameType, _event: str, _argument: object) -> None:
    """Called once on each new thread, as its profiler."""
    sys.setprofile(None)
    _LIBC.prctl(_PR_SET_NAME, threading.current_thread().name.encode())


if __name__ == "__main__":
    threading.setprofile(name_thread)
    main()
