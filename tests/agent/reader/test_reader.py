"""A reader of cards at a pseudo terminal: reads, repeats, floods, unplugging, and junk."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drink_agent.reader import device
from drink_agent.reader.device import Device
from drink_agent.reader.emulator import EmulatedReader
from drink_agent.reader.reader import Reader
from drink_agent.reader.settings import ReaderSettings
from tests.agent.reader.keyboard import typed
from tests.support.tasks import beside

LIMIT_S = 20
CARD, OTHER = "04A2B3C4", "04A2B3C5"


class Rig:
    """A reader at a pseudo terminal, and what it passed on."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.link = folder / "reader"
        self.plugged = EmulatedReader(self.link)
        self.taken: asyncio.Queue[str] = asyncio.Queue()
        self.now = 1_000.0
        settings = {"type": "serial", "port": self.link, "backoff_first_s": 0.01, **how}
        self.reader = Reader(ReaderSettings(**settings), clock=lambda: self.now, random=lambda: 0.0)

    async def is_open(self, *, is_open: bool = True) -> None:
        async with asyncio.timeout(LIMIT_S):
            while (self.reader.describe()["problem"] is None) != is_open:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def next(self) -> str:
        async with asyncio.timeout(LIMIT_S):
            return await self.taken.get()

    async def counts(self, what: str, number: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.reader.describe()[what] != number:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def reading(folder: Path, **how: Any) -> AsyncIterator[Rig]:
    rig = Rig(folder, **how)
    async with beside(rig.reader.run(rig.taken.put_nowait)):
        await rig.is_open()
        yield rig


async def test_each_card_is_passed_on_once(tmp_path: Path) -> None:
    async with reading(tmp_path) as rig:
        for _ in range(3):
            rig.plugged.tap(CARD)
        rig.plugged.tap(OTHER)
        assert [await rig.next(), await rig.next()] == [CARD, OTHER]
        rig.now += 2
        rig.plugged.tap(OTHER)
        assert await rig.next() == OTHER
        assert rig.reader.describe()["repeated"] == 2


async def test_a_card_that_lies_on_the_reader_is_one_read(tmp_path: Path) -> None:
    async with reading(tmp_path) as rig:
        for repeat in range(5):
            rig.plugged.tap(CARD)
            await rig.counts("repeated", repeat)
            rig.now += 0.9
        assert rig.taken.qsize() == 1


async def test_a_flood_is_cut_and_numbers_are_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with reading(tmp_path, reads_burst=3) as rig:
        for number in range(50):
            rig.plugged.tap(f"04A2B3{number:02X}")
        await rig.counts("dropped", 47)
        assert rig.taken.qsize() == 3
        rig.plugged.print(b"\xff\x00junk!\r\n" + b"x" * 5_000 + b"\r\n")
        await rig.counts("no_number", 1)
        rig.now += 1
        rig.plugged.tap("04A2B3FF")
        await rig.counts("read", 4)
    assert "04A2B3" not in caplog.text
    assert "04A2B3" not in str([vars(record) for record in caplog.records])


async def test_a_reader_that_is_unplugged_is_opened_again(tmp_path: Path) -> None:
    async with reading(tmp_path) as rig:
        rig.plugged.unplug()
        await rig.is_open(is_open=False)
        rig.plugged = EmulatedReader(rig.link)
        await rig.is_open()
        rig.plugged.tap(CARD)
        assert await rig.next() == CARD


async def test_what_was_read_before_is_worth_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.plugged.tap(CARD)
    async with beside(rig.reader.run(rig.taken.put_nowait)):
        await rig.is_open()
        rig.plugged.tap(OTHER)
        assert await rig.next() == OTHER


async def test_a_reader_that_is_held_or_none_says_so(tmp_path: Path) -> None:
    async with reading(tmp_path) as rig:
        second = Reader(ReaderSettings(type="serial", port=rig.link))
        async with beside(second.run(rig.taken.put_nowait)):
            async with asyncio.timeout(LIMIT_S):
                while second.describe()["problem"] != "another program holds it":  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
    plain = tmp_path / "file"
    plain.touch()
    for path, kind in ((plain, "serial"), (plain, "hid"), (tmp_path / "nowhere", "serial")):
        with pytest.raises(device.ReaderLostError):
            Device(ReaderSettings(type=kind, port=path))  # type: ignore[arg-type]


async def test_a_fault_of_the_program_does_not_end_it(tmp_path: Path) -> None:
    async with reading(tmp_path) as rig:
        faults = iter([ZeroDivisionError()])

        def take(number: str) -> None:
            for fault in faults:
                raise fault
            rig.taken.put_nowait(number)

        failing = Reader(
            ReaderSettings(type="serial", port=tmp_path / "second", backoff_first_s=0.01)
        )
        second = EmulatedReader(tmp_path / "second")
        async with beside(failing.run(take)):
            async with asyncio.timeout(LIMIT_S):
                while rig.taken.empty():
                    second.tap(CARD)
                    await asyncio.sleep(0.01)
                    second.tap(OTHER)
                    await asyncio.sleep(0.01)


async def test_a_keyboard_wedge_is_read_by_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pseudo terminal stands in for the input device: not every kernel lets one be made."""
    held: list[int] = []
    monkeypatch.setattr(device, "_hold", held.append)
    async with reading(tmp_path, type="hid") as rig:
        for part in (typed("0A")[:33], typed("0A")[33:] + typed("bcdef12\n")):
            rig.plugged.print(part)
        assert await rig.next() == "0Abcdef12"
        assert len(held) == 1
