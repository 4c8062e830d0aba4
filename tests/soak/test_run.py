"""A short soak of the real services; `make soak` runs a long one."""

from pathlib import Path

import pytest

from tests.soak.run import run_soak

SECONDS = 25.0
"""As long as faults happen; starting and settling take as long again."""

PAUSE_S = 6.0
"""Between two faults at one place: everything breaks once and more, and something is sold."""


@pytest.mark.timeout(300)
def test_no_credit_and_no_can_goes_astray_while_everything_breaks(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Invariants 23 and 24, and all of `check`, whatever breaks."""
    report = run_soak(tmp_path, pytestconfig.option.hypothesis_seed, SECONDS, PAUSE_S)
    print(report.table)
    assert report.problems == ()
    assert report.drops
    assert report.faults
