"""What people have to say."""

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.usecases.notes import Notes
from tests.support.bench import Bench


async def test_words_are_kept_with_who_said_them_and_when(bench: Bench) -> None:
    await Notes(bench.storage, bench.clock).add("alice", "slot 3 rattles")

    [record] = await bench.audit(AuditKind.NOTE)
    assert (record.actor, record.at_ms) == ("alice", bench.clock.now_ms())
    assert record.facts == {"words": "slot 3 rattles"}


@pytest.mark.parametrize("words", ["x" * 201, "two\nlines", "\x00"])
async def test_what_is_no_line_is_refused_and_not_kept(bench: Bench, words: str) -> None:
    with pytest.raises(FieldInvalidError):
        await Notes(bench.storage, bench.clock).add("alice", words)
    assert await bench.audit(AuditKind.NOTE) == []
