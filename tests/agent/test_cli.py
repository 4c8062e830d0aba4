"""The command `drink-machine-agent` as a process."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink_agent import cli
from drink_agent.board.emulator.spec import Fault
from drink_agent.journal.file import Journal
from tests.fakes.frontend import LIMIT_S
from tests.support.machine import Rig

Process = asyncio.subprocess.Process


@pytest.fixture
def config(tmp_path: Path, rig: Rig) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
        machine = "d"
        [board]
        url = "{rig.host.where}"
        response_limit_s = 1.0
        probe_interval_s = 0.1
        [link]
        addresses = ["{rig.frontend.address}"]
        token_file = "{tmp_path / "token"}"
        backoff_first_s = 0.1
        [journal]
        path = "{tmp_path / "journal"}"
        """
    )
    return path


async def command(config: Path, *words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "drink_agent.cli",
        f"--config={config}",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def output(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(LIMIT_S * 2):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_run_status_and_sigterm(rig: Rig, config: Path) -> None:
    agent = await command(config, "run")
    link = await rig.link()
    assert (await link.drop("a")).outcome == Drop.STATE_DISPENSED

    code, out, _ = await output(await command(config, "status", "--json"))
    assert code == 0
    status = json.loads(out)
    assert status["link"]["up"]
    assert status["board"]["ready"]
    assert status["drops"] == {"at_board": None, "waiting": 0, "unacknowledged": 0}
    code, _, _ = await output(await command(config, "status", "--ready"))
    assert code == 0
    code, out, _ = await output(await command(config, "show-journal"))
    assert code == 0
    assert "DISPENSED, BOARD_ACK" in out
    code, _, err = await output(await command(config, "run"))
    assert code == cli.EXIT_JOURNAL_LOCKED
    assert "in use by another agent" in err
    code, _, err = await output(await command(config, "check-board"))
    assert code == cli.EXIT_JOURNAL_LOCKED

    agent.send_signal(signal.SIGTERM)
    code, out, err = await output(agent)
    assert code == 0
    assert out == ""
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events[0] == "journal_opened"
    assert events[-1] == "stopped"
    assert link.said_goodbye
    code, _, _ = await output(await command(config, "status"))
    assert code == cli.EXIT_FAULT


async def test_fault_25_a_killed_process_leaves_its_results(rig: Rig, config: Path) -> None:
    rig.fault(Fault.SILENT)  # an answer that comes after the restart would settle the drop
    agent = await command(config, "run")
    link = await rig.link()
    link.dispense("a")
    await rig.motor_has_run(1)
    agent.kill()
    await output(agent)

    again = await command(config, "run")
    link = await rig.link(wanted=["a"])
    result = await link.result("a")
    assert (result.outcome, result.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_AGENT_RESTARTED)
    again.send_signal(signal.SIGTERM)
    code, _, _ = await output(again)
    assert code == 0
    assert rig.motor_runs == 1


async def test_fault_28_a_second_sigterm_leaves_at_once(rig: Rig, config: Path) -> None:
    rig.fault(Fault.SLOW, seconds=LIMIT_S)
    agent = await command(config, "run")
    link = await rig.link()
    link.dispense("a")
    await rig.motor_has_run(1)
    agent.send_signal(signal.SIGTERM)
    await link.until(lambda link: not link.statuses[-1].ready)
    agent.send_signal(signal.SIGTERM)
    # The motor would run for longer.
    async with asyncio.timeout(LIMIT_S / 2):
        code, _, _ = await output(agent)
    assert code == 128 + signal.SIGTERM


async def test_an_agent_that_finds_no_frontend_runs_and_is_not_ready(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_AGENT_LINK__ADDRESSES", "localhost:1")
    agent = await command(config, "run")
    async with asyncio.timeout(LIMIT_S):
        while (await output(await command(config, "status")))[0]:
            pass
    code, _, _ = await output(await command(config, "status", "--ready"))
    assert code == cli.EXIT_FAULT
    async with asyncio.timeout(LIMIT_S):
        while True:
            _, out, _ = await output(await command(config, "status", "--json"))
            link = json.loads(out)["link"]
            if link["next_try_s"] is not None:
                break
    assert (link["up"], link["address"]) == (False, "localhost:1")
    assert "UNAVAILABLE" in link["problem"]
    assert link["since"].startswith("20")
    agent.send_signal(signal.SIGTERM)
    assert (await output(agent))[0] == 0


async def test_check_board_drops_only_with_yes(rig: Rig, config: Path) -> None:
    code, _, err = await output(await command(config, "check-board", "--drop", "1"))
    assert code == cli.EXIT_CONFIG
    assert "--yes" in err
    code, out, _ = await output(await command(config, "check-board", "--drop", "1", "--yes"))
    assert code == 0
    assert "DISPENSED, BOARD_ACK" in out
    assert rig.motor_runs == 1


async def test_check_board_leaves_nothing_that_the_service_could_not_write(
    rig: Rig, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("DRINK_AGENT_JOURNAL__PATH", str(state / "journal"))
    code, out, _ = await output(await command(config, "check-board"))
    assert (code, "the board answers" in out) == (0, True)
    assert not state.exists()


async def test_check_board_prints_the_problem_and_ends(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_AGENT_BOARD__URL", "serial:///dev/nothing-is-here")
    code, out, err = await output(await command(config, "check-board"))
    assert (code, err) == (cli.EXIT_FAULT, "")
    assert "/dev/nothing-is-here: No such file or directory" in out


async def test_a_damaged_journal_stops_the_agent(config: Path) -> None:
    path = config.with_name("journal")
    Journal.open(path)[0].close()
    path.write_bytes(path.read_bytes().replace(b"drink-journal", b"drunk-journal"))
    for word in ("run", "show-journal", "check-board"):
        code, _, err = await output(await command(config, word))
        assert code == cli.EXIT_JOURNAL_DAMAGED
        assert "is damaged at byte 0" in err


def test_status_needs_no_access_to_secrets(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_AGENT_BOARD__URL", "listen://127.0.0.1:0")
    monkeypatch.setenv("DRINK_AGENT_BOARD__PASSWORD_FILE", "/nothing/here")
    Journal.open(config.with_name("journal"))[0].close()
    assert cli.main([f"--config={config}", "show-journal"]) == 0
    assert cli.main([f"--config={config}", "status"]) == cli.EXIT_FAULT
    assert "does not run" in capsys.readouterr().err
    assert cli.main([f"--config={config}", "run"]) == cli.EXIT_CONFIG


def test_a_wrong_configuration_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("machine = 3")
    assert cli.main([f"--config={path}", "run"]) == cli.EXIT_CONFIG
    assert capsys.readouterr().err == "drink-machine-agent: machine: must be a string\n"


def test_config_check_prints_the_settings_in_effect(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "DRINK_AGENT_LOG__LEVEL", "DEBUG")
    assert cli.main([f"--config={config}", "config", "check"]) == 0
    out = capsys.readouterr().out
    assert 'machine = "d"' in out
    assert 'log.level = "DEBUG"' in out


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("LINK__TOKEN_FILE", "/nothing/here", "link.token_file: "),
        ("LINK__CA_FILE", "/nothing/here", "link.ca_file: "),
        ("LINK__ADDRESSES", "http://localhost:50051", "link.addresses: "),
        ("LINK__ADDRESSES", "localhost", "link.addresses: "),
        ("BOARD__PASSWORD_FILE", "/nothing/here", "board.password_file: "),
        ("BOARD__URL", "/dev/ttyUSB0", "board.url "),
    ],
)
def test_config_check_names_the_key_of_an_unusable_file(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    key: str,
) -> None:
    monkeypatch.setenv(f"DRINK_AGENT_{name}", value)
    assert cli.main([f"--config={config}", "config", "check"]) == cli.EXIT_CONFIG
    assert capsys.readouterr().err.startswith(f"drink-machine-agent: {key}")


@pytest.mark.parametrize("output", ["/dev/full", "a pipe without a reader"])
def test_a_failed_print_is_reported_in_one_sentence(tmp_path: Path, output: str) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'machine = "d"\nboard.url = "tcp://localhost:1"\nlink.addresses = ["localhost:1"]\n'
        f'link.token_file = "{tmp_path / "token"}"\n'
    )
    if output == "/dev/full":
        target = os.open(output, os.O_WRONLY)
    else:
        reader, target = os.pipe()
        os.close(reader)
    try:
        told = subprocess.run(
            (sys.executable, "-m", "drink_agent.cli", "--config", config, "config", "check"),
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(target)
    assert told.returncode == 1
    assert re.fullmatch(
        r"drink-machine-agent: (No space left on device|Broken pipe)\n", told.stderr
    )


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"drink-machine-agent {version('drink-machine-agent')}\n"
