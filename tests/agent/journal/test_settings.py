import pytest

from drink_agent.journal.settings import JournalSettings


@pytest.mark.parametrize("name", ["compact_bytes", "evidence_drops", "min_free_bytes"])
def test_limits_are_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        JournalSettings(**{name: -1})  # type: ignore[arg-type]
