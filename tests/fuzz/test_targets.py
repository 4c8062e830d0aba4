"""Every target bears its corpus, and whatever else comes to mind in a short time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"

FILE_BYTES_MAX = 4096
"""Of a file in the corpus; a larger one teaches nothing that a small one could not."""


def words(name: str) -> st.SearchStrategy[bytes]:
    """Bytes that are often near what the target understands: its corpus in pieces, and junk."""
    known = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    pieces = [piece for data in known for piece in (data, *data.split(b"\n"), *data.split(b" "))]
    junk = st.binary(max_size=24)
    return st.lists(st.one_of(st.sampled_from(pieces), junk), max_size=8).map(b"".join)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_bears_its_corpus(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files
    for path in files:
        data = path.read_bytes()
        assert len(data) <= FILE_BYTES_MAX
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_bears_anything(name: str) -> None:
    @given(words(name))
    def bears(data: bytes) -> None:
        TARGETS[name](data)

    bears()


def test_there_is_no_corpus_without_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
