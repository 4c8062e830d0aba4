"""Reads an agent's journal for the checker, with a parser of its own.

A frame is `LLLLLLLL CCCCCCCC payload` and a line feed: length and CRC-32 of the payload in
hexadecimal, the payload JSON. The first is the header, every other one a list of records.
"""

import json
import zlib
from typing import Any

_HEAD = 18


def records(content: bytes) -> list[dict[str, Any]]:
    """The records of every whole frame from the start, oldest first."""
    found: list[dict[str, Any]] = []
    for payload in _payloads(content)[1:]:
        found += payload
    return found


def header(content: bytes) -> dict[str, Any]:
    """The journal's header; empty without a journal."""
    payloads = _payloads(content)
    return payloads[0] if payloads else {}


def whole_bytes(content: bytes) -> int:
    """Length of its whole frames in bytes; what follows is a torn frame."""
    return _frames(content)[1]


def _payloads(content: bytes) -> list[Any]:
    return _frames(content)[0]


def _frames(content: bytes) -> tuple[list[Any], int]:
    """Payloads of the whole frames, and where the frames end."""
    payloads = []
    at = 0
    while len(content) >= at + _HEAD:
        try:
            length, checksum = int(content[at : at + 8], 16), int(content[at + 9 : at + 17], 16)
        except ValueError:
            break
        payload = content[at + _HEAD : at + _HEAD + length]
        end = at + _HEAD + length
        if zlib.crc32(payload) != checksum or content[end : end + 1] != b"\n":
            break
        payloads.append(json.loads(payload))
        at = end + 1
    return payloads, at


def at_board(content: bytes) -> dict[str, Any] | None:
    """The COMMANDED record of the drop that has no result yet."""
    open_command: dict[str, Any] | None = None
    for record in records(content):
        if record["kind"] == "commanded":
            open_command = record
        elif open_command is not None and record["drop"] == open_command["drop"]:
            open_command = None
    return open_command


def awaits_answer(content: bytes) -> bool:
    """Whether the outcome of the last motor command is unknown."""
    unknown: list[str] = []
    for record in records(content):
        if record["kind"] == "commanded":
            unknown.append(record["drop"])
        elif record["kind"] == "result" and record["drop"] in unknown[-1:]:
            if record["cause"] in ("BOARD_UNREACHABLE", "EXPIRED"):
                unknown.pop()
            elif record["outcome"] != "UNKNOWN":
                unknown.clear()
    return bool(unknown)


def unacknowledged(content: bytes) -> list[str]:
    """Drops whose last record is neither an acknowledgement nor missing."""
    last = {record["drop"]: record["kind"] for record in records(content)}
    return [drop for drop, kind in last.items() if kind != "acked"]
