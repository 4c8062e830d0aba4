"""Notices between frontends: what they say, and what is done while none can come."""

import asyncio

import pytest

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.postgres_listener import NOTE_BYTES_MAX, Listener, note, read_note
from drink_frontend.storage.settings import StorageSettings

LIMIT_S = 20


def test_a_notice_names_what_changed() -> None:
    touched = ChangeSet(dict.fromkeys(("2", "1")), {"d"}, {"alice": None})
    assert read_note(note("me", touched), "you") == (True, touched)


def test_ones_own_notice_is_no_news() -> None:
    assert read_note(note("me", ChangeSet({"1": None})), "me") == (False, None)


def test_what_is_too_long_names_nothing() -> None:
    text = note("me", ChangeSet({f"{number:026d}": None for number in range(400)}))
    assert len(text) <= NOTE_BYTES_MAX
    assert read_note(text, "you") == (True, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"drops": []}', '{"by": "x", "drops": 1}'])
def test_what_cannot_be_read_may_be_anything(text: str) -> None:
    assert read_note(text, "me") == (True, None)


async def test_while_nothing_can_be_heard_everybody_looks() -> None:
    heard: list[ChangeSet | None] = []
    enough = asyncio.Event()

    def on_heard(touched: ChangeSet | None) -> None:
        heard.append(touched)
        if len(heard) == 5:
            enough.set()

    nowhere = StorageSettings(url="postgresql://127.0.0.1:1/drink", look_elsewhere_ms=10)
    tried = asyncio.Event()
    listener = Listener(nowhere, "me", on_heard, tried)
    task = asyncio.create_task(listener.run())
    async with asyncio.timeout(LIMIT_S):
        await tried.wait()
        await enough.wait()
    task.cancel()
    await asyncio.wait([task])
    assert set(heard) == {None}
