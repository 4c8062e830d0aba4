from pathlib import Path

import pytest

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import PtyHost
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Fault
from drink_agent.board.settings import BoardSettings
from drink_agent.tools import check_board as tool
from drink_agent.tools.check_board import check_board


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "SENSOR_WAIT_S", 0.1)


@pytest.mark.parametrize(
    ("slot", "fault", "sound", "runs"),
    [(None, None, True, 0), (2, None, True, 1), (2, Fault.REFUSE, False, 0)],
)
async def test_the_board_is_asked_and_drops_only_if_told_to(
    tmp_path: Path, slot: int | None, fault: Fault | None, sound: bool, runs: int
) -> None:
    board = EmulatedBoard(BoardSpec(motor_s=0.05))
    board.arm(ArmedFault(fault), 2)
    lines: list[str] = []
    async with PtyHost(board, tmp_path / "board") as host:
        settings = BoardSettings(url=host.where)
        assert await check_board(settings, lines.append, slot=slot) is sound
    assert board.counts.motor_runs == runs
    assert board.violations == []
    told = "\n".join(lines)
    assert "slot 1: STOCKED" in told
    assert ("running the motor of slot 2" in told) is (slot is not None)


async def test_a_board_that_does_not_answer(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = BoardSettings(url=f"serial://{tmp_path / 'nothing'}")
    assert not await check_board(settings, lines.append, ready_limit_s=0.1)
    assert "did not answer" in lines[-1]
