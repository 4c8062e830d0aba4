import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from drink_cli.commands.drops import seconds
from drink_cli.errors import CommandError, Exit
from drink_cli.profile import make_profile, save_profile
from drink_cli.purchase import PendingPurchases
from scripts.local_system import LocalSystem
from scripts.processes import BIN, wait_until
from scripts.proxy import FaultProxy
from tests.cli.conftest import Drink


def _cans(system: LocalSystem, slot: str = "1") -> int:
    """Cans that have fallen, as the board has counted them."""
    dispensed: dict[str, int] = system.boards["d"].counts()["dispensed"]
    return dispensed.get(slot, 0)


def _pending(server: str) -> list[Any]:
    profile = make_profile("default", server, None, plain=False)
    return list(PendingPurchases(profile.purchases_folder))


@pytest.fixture
def proxy(system: LocalSystem) -> Iterator[FaultProxy]:
    """Between `drink` and the frontend."""
    with FaultProxy(system.rpc_port) as between:
        yield between


@pytest.mark.parametrize(("text", "delay_s"), [("0", 0), ("5", 5), ("5s", 5), ("2m", 120)])
def test_delays_are_written_with_their_unit(text: str, delay_s: int) -> None:
    assert seconds(text) == delay_s


@pytest.mark.parametrize("text", ["", "-1", "1h", "301", "6m", "1.5", "٣"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        seconds(text)


def test_a_can_falls_and_is_paid_for(alice: Drink, system: LocalSystem) -> None:
    cans = _cans(system)

    result = alice("drop", "d/1")

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "Coke from d/1, 50 credits held: at the motor",
        "Coke from d/1 fell. You paid 50 credits.",
    ]
    assert _cans(system) == cans + 1
    assert _pending(alice.server) == []


def test_a_refused_drop_costs_nothing(alice: Drink, system: LocalSystem) -> None:
    system.boards["d"].fault("refuse", slot=1)

    result = alice("drop", "d/1")

    assert result.exit_code == Exit.NOT_DISPENSED
    assert "You paid nothing" in result.output
    assert _pending(alice.server) == []


def test_an_unknown_outcome_is_told_as_it_is_and_looked_up_later(
    alice: Drink, system: LocalSystem
) -> None:
    system.boards["d"].fault("late", slot=1, seconds=8)

    result = alice("drop", "d/1")

    assert result.exit_code == Exit.UNKNOWN
    assert "Nobody can tell" in result.output
    assert "do not buy again" in result.output
    drop = re.findall(r"drink show (\w+)", result.output)[0]
    wait_until(lambda: "fell. You paid" in alice("show", drop).output or None, "it is settled")
    assert alice("drop", "--resume").output.endswith("fell. You paid 50 credits.\n")
    assert _pending(alice.server) == []


def test_a_drop_that_cannot_be_made_is_told_and_forgotten(alice: Drink) -> None:
    assert alice("drop", "d/9").exit_code == Exit.NOT_FOUND
    assert alice("drop", "ld/1").exit_code == Exit.REFUSED
    assert alice("drop", "d/1", "--max-price", "49").exit_code == Exit.REFUSED
    assert _pending(alice.server) == []


@pytest.mark.parametrize(
    "arguments",
    [(), ("d/1", "--resume"), ("d/1", "--again"), ("--resume", "--again", "--forget"), ("d",)],
)
def test_wrong_usage_is_told(alice: Drink, arguments: tuple[str, ...]) -> None:
    assert alice("drop", *arguments).exit_code == Exit.USAGE


def test_a_delayed_drop_can_be_cancelled(alice: Drink, system: LocalSystem) -> None:
    cans = _cans(system)
    placed = json.loads(alice("--json", "drop", "d/1", "--delay", "5m", "--no-wait").output)

    assert placed["state"] == "SCHEDULED"
    assert alice("cancel", placed["drop"]).output == (
        "Coke from d/1 did not fall: cancelled. You paid nothing.\n"
    )
    assert alice("drop", "--resume").exit_code == Exit.NOT_DISPENSED
    assert _cans(system) == cans


def test_history_shows_drops_and_entries(alice: Drink) -> None:
    alice("drop", "d/1")

    drops = json.loads(alice("--json", "history", "-n", "1").output)
    entries = json.loads(alice("--json", "history", "--entries", "-n", "2").output)

    assert [row["state"] for row in drops] == ["DISPENSED"]
    assert [row["kind"] for row in entries] == ["paid", "held"]
    assert [row["credits"] for row in entries] == [-50, -50]
    assert "dispensed" in alice("history").output
    # For people only what is paid is a number without brackets.
    paid, held = alice("history", "--entries", "-n", "2").output.splitlines()[1:3]
    assert re.search(r" paid +-50 ", paid)
    assert re.search(r" held +\(-50\) ", held)


def test_a_buyer_is_refused_a_refund_where_the_house_allows_none(alice: Drink) -> None:
    bought = json.loads(alice("--json", "drop", "d/1").output)["drop"]

    refused = alice("refund", bought, "--why", "it was warm")

    assert refused.exit_code == Exit.FORBIDDEN
    assert "administrators" in refused.output
    assert alice("refund", bought).exit_code == Exit.USAGE
    assert alice("refund", bought, "--why", "x", "--credits", "half").exit_code == Exit.USAGE
    assert json.loads(alice("--json", "show", bought).output)["refunded"] == 0


def test_history_selects_by_place_item_and_time(alice: Drink) -> None:
    dropped = json.loads(alice("--json", "drop", "d/1").output)["drop"]

    def listed(*options: str) -> bool:
        result = alice("--json", "history", *options)
        assert result.exit_code == 0
        return dropped in [row["drop"] for row in json.loads(result.output)]

    assert listed("--at", "d", "--item", "Coke", "--since", "2026-01-01")
    assert listed("--at", "d/1", "--before", "2999-01-01T12:00:00")
    for nothing in (
        ("--at", "d/2"), ("--at", "ld"), ("--item", "Mate"),
        ("--since", "2999-01-01"), ("--before", "2026-01-01"),
    ):  # fmt: skip
        assert not listed(*nothing)
    entries = alice("--json", "history", "--entries", "--before", "2026-01-01").output
    assert json.loads(entries) == []


@pytest.mark.parametrize(
    "options",
    [
        ("--at", "D/1"),
        ("--at", "d/x"),
        ("--at", ""),
        ("--item", ""),
        ("--item", "x" * 65),
        ("--since", "yesterday"),
        ("--before", "2026-13-01"),
        ("--since", "0001-01-01"),
        ("--entries", "--at", "d"),
        ("--entries", "--item", "Coke"),
    ],
)
def test_what_history_cannot_select_by_is_refused(alice: Drink, options: tuple[str, ...]) -> None:
    assert alice("history", *options).exit_code == Exit.USAGE


@contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([BIN / "drink", *arguments], stdout=subprocess.PIPE, text=True) as drink:
        yield drink
        drink.kill()


def test_killed_before_the_request_arrived_nothing_is_bought(
    alice: Drink, system: LocalSystem
) -> None:
    cans = _cans(system)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _connect_to(silent.getsockname()[1])
        with _running("drop", "d/1"):
            wait_until(lambda: _pending(alice.server) or None, "the purchase is kept")
    _connect_to(system.rpc_port)

    assert alice("drop", "--resume").exit_code == Exit.PENDING
    assert alice("drop", "--resume", "--again").exit_code == 0
    assert _cans(system) == cans + 1
    assert "the end of every drop was seen" in alice("drop", "--resume").output


def test_what_never_reached_the_server_can_be_given_up(
    alice: Drink, system: LocalSystem, proxy: FaultProxy
) -> None:
    cans = _cans(system)
    _connect_to(proxy.port)
    proxy.refuse()

    assert alice("drop", "d/1").exit_code == Exit.UNREACHABLE

    proxy.accept()
    assert "given up" in alice("drop", "--resume", "--forget").output
    assert _pending(alice.server) == []
    assert _cans(system) == cans


def test_killed_while_the_motor_runs_the_can_is_found_again(
    alice: Drink, system: LocalSystem
) -> None:
    cans = _cans(system)
    with _running("drop", "d/1") as drink:
        assert drink.stdout is not None
        assert "at the motor" in drink.stdout.readline()
        drink.send_signal(signal.SIGKILL)

    assert alice("drop", "--resume").exit_code == 0
    assert _cans(system) == cans + 1


def test_a_lost_answer_makes_no_second_drop(
    alice: Drink, system: LocalSystem, proxy: FaultProxy
) -> None:
    cans = _cans(system)
    _connect_to(proxy.port)
    with _running("drop", "d/1") as drink:
        assert drink.stdout is not None
        assert "at the motor" in drink.stdout.readline()
        proxy.cut()

        assert drink.wait(timeout=30) == 0

    assert _cans(system) == cans + 1


def test_ctrl_c_during_a_delay_offers_to_cancel(alice: Drink, system: LocalSystem) -> None:
    cans = _cans(system)
    # The job of a shell in the background ignores it, and a command that it starts would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        [BIN / "drink", "drop", "d/1", "--delay", "60"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as drink:
        os.close(terminal)
        _read_until(keyboard, b"falls in")
        drink.send_signal(signal.SIGINT)
        _read_until(keyboard, b"Cancel the drop?")
        os.write(keyboard, b"y\n")
        _read_until(keyboard, b"You paid nothing")
        assert drink.wait(timeout=30) == Exit.NOT_DISPENSED
    os.close(keyboard)
    assert _cans(system) == cans


def _connect_to(port: int) -> None:
    """Changes the server of the default profile, which keeps its token."""
    save_profile(make_profile("default", f"127.0.0.1:{port}", None, plain=False))


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        try:
            seen += os.read(terminal, 4096)
        except OSError:
            raise AssertionError(f"it ended after {seen!r}") from None
    return seen
