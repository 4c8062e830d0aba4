"""`drink drop`, killed at every step; then `--resume`: one can at most, and the truth about it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.cli.conftest import ALICE, BOB, Drink
from tests.support.ports import with_own_ports

ROOT = Path(__file__).parents[3]

FEW = 5
"""Of so many points one is killed at in every run; all in slow ones."""

Kill = Callable[..., tuple[int, str]]


PLAN = Plan(
    machines=(MachinePlan("d", "D", (SlotPlan(1, "Coke", 50, 900), SlotPlan(2, "Dew", 45, 900))),),
    users=(UserPlan(ALICE.name, ALICE.password, 90_000), BOB),
    motor_s=0.05,
    frontend={"accounts": "transfers_burst = 1\ntransfers_per_s = 0.001"},
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A system with a can for every point."""
    with LocalSystem(tmp_path_factory.mktemp("system"), with_own_ports(PLAN)) as system:
        system.set_up()
        yield system


@pytest.fixture
def killed(alice: Drink, tmp_path: Path) -> Iterator[Kill]:
    """Runs `drink` until a point; its exit code, and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.killed"],
        cwd=ROOT,
        env=os.environ.copy(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:

        def run(point: int, *arguments: str, signal: int = signal.SIGKILL) -> tuple[int, str]:
            assert server.stdin is not None
            assert server.stdout is not None
            output = tmp_path / "output"
            request = {
                "point": point, "signal": signal, "arguments": arguments, "output": str(output),
            }  # fmt: skip
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            return code, output.read_text(encoding="utf-8")

        yield run
        assert server.stdin is not None
        server.stdin.close()


def facts(drink: Drink, system: LocalSystem) -> tuple[int, int]:
    """Cans that have fallen, and Alice's credits."""
    cans = sum(system.boards["d"].counts()["dispensed"].values())
    return cans, json.loads(drink("--json", "balance").stdout)["posted"]


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=(pytest.mark.slow, pytest.mark.timeout(600))), FEW]
)
@pytest.mark.parametrize("kind", ["drop", "resume"])
def test_killed_at_any_step_it_drops_one_can_and_tells_the_truth(
    alice: Drink, system: LocalSystem, killed: Kill, kind: str, step: int
) -> None:
    points = bought = 0
    for point in count(0, step):
        if kind == "resume":
            alice("drop", "d/2", "--no-wait")
        cans, owned = facts(alice, system)
        words = ("--resume",) if kind == "resume" else ("d/1",)

        code, told = killed(point, "drop", *words)

        resumed = alice("drop", "--resume")
        more, paid = facts(alice, system)
        told += resumed.output
        fell = "fell. You paid" in told
        at = f"point {point}: {told}"
        if kind == "drop":
            assert (more - cans, owned - paid) == ((1, 50) if fell else (0, 0)), at
        assert fell or kind == "drop", at
        if not fell:
            # Either it was never asked for, or it is kept, and can be given up for good.
            assert "nothing was bought so far" in told or "the end of every drop was seen" in told
            assert resumed.exit_code in {0, Exit.PENDING}
            alice("drop", "--resume", "--forget")
        assert "the end of every drop was seen" in alice("drop", "--resume").output
        bought += fell
        points += 1
        if code != -signal.SIGKILL:
            assert code == 0, at
            break
    assert points * step > 40
    assert bought
