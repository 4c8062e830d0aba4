"""The benchmark's command."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.sizes import Sizes
from benchmarks.table import Row


async def _fails(_folder: Path, _sizes: Sizes) -> list[Row]:
    raise OSError("no room")


async def _measures(_folder: Path, _sizes: Sizes) -> list[Row]:
    return [Row("a row", 1.0, "ms")]


def test_a_group_that_fails_is_named_and_the_others_rows_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MEASURES", {"drops": _fails, "links": _measures})
    page = tmp_path / "page.md"
    monkeypatch.setattr(command, "PAGE", page)
    kept = tmp_path / "kept.json"
    arguments = ["benchmarks", "drops", "links", "--page", f"--data={tmp_path}", f"--json={kept}"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match="failed: drops; the results are without them"):
        command.main()
    assert [row["what"] for row in json.loads(kept.read_text())["rows"]] == ["a row"]
    assert "no room" in capsys.readouterr().err
    assert not page.exists()
