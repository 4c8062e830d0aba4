"""The settings of a reader of cards."""

import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """A reader of cards at the machine's agent; what it reads goes to the machine's kiosks.

    Raises:
        ValueError: A value is invalid. The message begins with the name of the setting.
    """

    type: Literal["none", "serial", "hid"] = "none"
    """Default "none". "serial" is a reader at a serial port that prints a line for each card; "hid"
    is one that types like a keyboard (a Linux input device), which is held so that nothing else
    gets its keys."""
    port: Path | None = None
    """The reader's device; required unless `type` is "none". `/dev/serial/by-id/...` or
    `/dev/input/by-id/...-event-kbd`, which stay the same when it is plugged in again."""
    baudrate: int = 9600
    """Symbols per second of a serial reader. Default 9600, usual for readers."""
    decimal: bool = False
    """Default false. Whether the reader prints numbers of chips as decimal numbers. They are sent
    as 8 or more hexadecimal digits, as other readers print them. Not for readers of barcodes."""
    repeat_s: float = 1.0
    """Default 1 s. A card that is read again within this time of its last line is the same read:
    readers repeat themselves while a card lies on them."""
    reads_burst: int = 5
    """Default 5. Cards that are sent at once; further ones are dropped."""
    read_interval_s: float = 1.0
    """Default 1 s. Time after which one more is sent; faster than people hold cards to a reader."""
    backoff_first_s: float = 1.0
    """Default 1 s. Longest wait before a reader that is not there is opened again; it doubles each
    time."""
    backoff_limit_s: float = 15.0
    """Default 15 s. Longest such wait: a reader works at most so long after it was plugged in."""

    def __post_init__(self) -> None:
        if self.type != "none" and self.port is None:
            raise ValueError("port is required for a reader")
        if not hasattr(termios, f"B{self.baudrate}"):
            raise ValueError(f"baudrate {self.baudrate} is no usual baud rate")
        for name in ("repeat_s", "reads_burst", "read_interval_s", "backoff_first_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.backoff_limit_s < self.backoff_first_s:
            raise ValueError("backoff_limit_s must not be below backoff_first_s")
