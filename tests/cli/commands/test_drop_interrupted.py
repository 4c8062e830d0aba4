"""`drink` whose login ends, or that gets Ctrl-C, at any step of a purchase."""

import json
import os
import pty
import signal
import subprocess
from itertools import count

import pytest

from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from scripts.processes import BIN, wait_until
from tests.cli.commands.test_drop_killed import Kill, facts, killed, system
from tests.cli.conftest import ALICE, BOB, Drink

__all__ = ["killed", "system"]

FEW = 6
"""Of so many points Ctrl-C comes at one in every run; at all in slow ones."""


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=(pytest.mark.slow, pytest.mark.timeout(600))), FEW]
)
def test_ctrl_c_at_any_step_loses_nothing(
    alice: Drink, system: LocalSystem, killed: Kill, step: int
) -> None:
    for point in count(0, step):
        cans, owned = facts(alice, system)

        code, told = killed(point, "drop", "d/1", signal=signal.SIGINT)

        at = f"point {point}: {code} {told}"
        assert "Traceback" not in told, at
        assert code in {0, Exit.INTERRUPTED}, at
        told += alice("drop", "--resume", "--forget").output
        more, paid = facts(alice, system)
        assert (more - cans, owned - paid) == ((1, 50) if "fell. You paid" in told else (0, 0)), at
        if code == 0 and point > 40:
            return


@pytest.fixture
def other(alice: Drink) -> Drink:
    """Another login of Alice's, which may end the first."""
    alice.login(ALICE, "--profile", "other")
    return alice


def test_a_login_that_ends_in_mid_drop_is_told_and_the_drop_goes_on(
    other: Drink, system: LocalSystem
) -> None:
    cans, _ = facts(other, system)
    with subprocess.Popen(
        [BIN / "drink", "drop", "d/1", "--delay", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as drink:
        assert drink.stdout is not None
        assert "scheduled" in drink.stdout.readline()
        assert other("--profile", "other", "tokens", "revoke", "--others").exit_code == 0
        _, told = drink.communicate(timeout=30)

    assert drink.returncode == Exit.LOGIN
    assert "the login is no longer good" in told
    assert "goes on: `drink drop --resume` tells its end" in told
    assert other("drop", "--resume").exit_code == Exit.LOGIN
    other.login(ALICE)
    assert "fell. You paid 50 credits." in other("drop", "--resume").output
    assert facts(other, system)[0] == cans + 1


def test_ctrl_c_twice_leaves_the_drop_as_it_is(alice: Drink, system: LocalSystem) -> None:
    keyboard, terminal = pty.openpty()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [BIN / "drink", "drop", "d/1", "--delay", "60"],
        stdin=terminal, stdout=terminal, stderr=terminal,
    ) as drink:  # fmt: skip
        os.close(terminal)
        seen = b""
        for wanted in (b"falls in", b"Cancel the drop?"):
            while wanted not in seen:
                seen += os.read(keyboard, 4096)
            drink.send_signal(signal.SIGINT)
        assert drink.wait(timeout=30) == Exit.INTERRUPTED
    os.close(keyboard)
    (scheduled,) = json.loads(alice("--json", "history", "-n", "1").stdout)
    assert scheduled["state"] == "SCHEDULED"
    assert "cancelled" in alice("cancel", scheduled["drop"]).output
    alice("drop", "--resume")


def test_too_much_at_once_is_told(alice: Drink, system: LocalSystem) -> None:
    first, second = (alice("send", "1", BOB.name).exit_code for _ in range(2))

    assert (first, second) == (0, Exit.BUSY)


def test_who_reads_no_further_ends_an_export_quietly(drink: Drink, system: LocalSystem) -> None:
    drink.login(ALICE)
    for _ in range(3):
        assert drink("drop", "d/2").exit_code == 0
    with subprocess.Popen(
        [BIN / "drink", "history", "-n", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as listing:  # fmt: skip
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == ""
        assert listing.wait(timeout=30) == Exit.PIPE_CLOSED


def test_a_terminal_without_a_character_gets_its_number(drink: Drink, system: LocalSystem) -> None:
    name = "Club-Mate \N{SNOWMAN}"
    system.admin("slot", "change", "d", "2", "--item", name)
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "DRINK_SERVER": drink.server}
    listed = wait_until(
        lambda: (
            subprocess.run(
                [BIN / "drink", "machines"], env=environment, capture_output=True, check=True
            ).stdout
        ),
        "the machines are listed",
    )
    assert b"Club-Mate \\u2603" in listed
