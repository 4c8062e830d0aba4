from pathlib import Path

import pytest

from drink_frontend.domain.cards import CardKey
from drink_frontend.system.card_key import BYTES_MAX, read_card_key


def test_without_a_path_there_is_no_key() -> None:
    assert read_card_key(None) is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_blank_characters_at_the_end_do_not_count(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "card.key"
    path.write_bytes(b"0123456789abcdef" * 2 + end)
    key = read_card_key(path)
    assert key is not None
    assert key.id == CardKey(b"0123456789abcdef" * 2).id


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 31 + b"\n\n", b"x" * (BYTES_MAX + 1)])
def test_a_file_that_is_no_key_is_refused_without_its_content(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "card.key"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"card\.key.* it is no key for cards") as refused:
        read_card_key(path)
    assert "xxx" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"card\.key"):
        read_card_key(tmp_path / "card.key")
