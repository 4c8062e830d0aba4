"""The `tini-emulator` command, run as a process."""

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drink_agent.board.emulator import cli
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause
from tests.support.board_log import LIMIT_S, RunningBoard

COMMAND = (sys.executable, "-c", "from drink_agent.board.emulator.cli import main; exit(main())")


@contextlib.asynccontextmanager
async def emulator(*arguments: str, boards: int = 1) -> AsyncIterator[tuple[Process, list[str]]]:
    """A running emulator, and the URLs of its READY lines."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            lines = [(await process.stdout.readline()).decode().split() for _ in range(boards)]
        assert all(line[:1] == ["READY"] for line in lines), lines
        yield process, [line[2] for line in lines]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def ask(path: Path, **request: Any) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            answer = json.loads(await reader.readline())
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert isinstance(answer, dict)
    return answer


async def end(process: Process) -> tuple[int | None, str]:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(LIMIT_S):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_board_is_emulated_until_it_is_told_to_end(tmp_path: Path) -> None:
    link, control = tmp_path / "board", tmp_path / "control"
    options = ("--pty", str(link), "--slots", "1=Coke:2,2=Dr. Pepper:0", "--motor-seconds", "0.02")
    async with emulator(*options, "--control", str(control)) as (process, [url]):
        async with RunningBoard(BoardSettings(url=url)) as running:
            assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
            assert (await running.drop("d2", 2)).cause is Cause.BOARD_REFUSED
        counts = await ask(control, do="counts")
        assert counts["items"] == {"1": "Coke", "2": "Dr. Pepper"}
        assert (counts["cans"], counts["motor_runs"]) == ({"1": 1, "2": 0}, 1)
        assert await end(process) == (0, "")
    assert not link.is_symlink()
    assert not control.exists()


async def test_it_ends_though_someone_waits(tmp_path: Path) -> None:
    control = tmp_path / "control"
    async with emulator("--pty", str(tmp_path / "board"), "--control", str(control)) as (
        process,
        _,
    ):
        waiting = asyncio.create_task(ask(control, do="wait", motor_runs=1, seconds=60))
        assert (await ask(control, do="counts"))["motor_runs"] == 0
        assert await end(process) == (0, "")
        with pytest.raises(json.JSONDecodeError):
            await waiting


async def test_counts_survive_a_killed_emulator(tmp_path: Path) -> None:
    control, state = tmp_path / "control", tmp_path / "state"
    options = ["--pty", str(tmp_path / "board"), "--cans", "1:5", "--motor-seconds", "0.02"]
    options += ["--control", str(control), "--state", str(state)]
    async with emulator(*options) as (_, [url]), RunningBoard(BoardSettings(url=url)) as running:
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
    async with emulator(*options):
        counts = await ask(control, do="counts")
        assert (counts["cans"], counts["motor_runs"]) == ({"1": 4}, 1)


async def test_a_script_drives_it(tmp_path: Path) -> None:
    script, control = tmp_path / "script", tmp_path / "control"
    requests = [
        {"do": "fault", "fault": "refuse", "slot": 1},
        {"do": "sleep", "seconds": 0.01},
        {"do": "refill", "slot": 2, "cans": 3},
        {"do": "dance"},
    ]
    script.write_text("\n".join(map(json.dumps, requests)))
    options = ("--pty", str(tmp_path / "board"), "--cans", "1:5", "--script", str(script))
    async with emulator(*options, "--control", str(control)) as (process, [url]):
        async with RunningBoard(BoardSettings(url=url)) as running:
            assert (await running.drop("d1", 1)).cause is Cause.BOARD_REFUSED
            async with asyncio.timeout(LIMIT_S):
                while (await ask(control, do="counts"))["cans"].get("2") != 3:
                    pass
        status, errors = await end(process)
        assert status == 0
        assert "'dance'" in errors


async def test_one_process_hosts_many_boards(tmp_path: Path) -> None:
    config, control = tmp_path / "boards.toml", tmp_path / "control"
    tables = [
        f'[[board]]\nname = "m{number}"\npty = "{tmp_path}/m{number}"\nmotor_seconds = 0.02\n'
        for number in range(50)
    ]
    config.write_text("".join(tables))
    arguments = ("--config", str(config), "--control", str(control))
    async with emulator(*arguments, boards=50) as (_, urls):
        assert len(set(urls)) == 50
        async with RunningBoard(BoardSettings(url=urls[7])) as running:
            assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
        assert (await ask(control, do="counts", board="m7"))["motor_runs"] == 1
        assert (await ask(control, do="counts", board="m8"))["motor_runs"] == 0


async def test_it_speaks_ruby_over_tcp(tmp_path: Path) -> None:
    options = ("--listen", "127.0.0.1:0", "--dialect", "ruby", "--cans", "1:5")
    async with (
        emulator(*options) as (_, [url]),
        RunningBoard(BoardSettings(url=url)) as running,
    ):
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK


async def test_a_place_that_is_taken_is_an_error(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--listen", f"127.0.0.1:{port}", stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(LIMIT_S):
            _, errors = await process.communicate()
        assert process.returncode == 1
        assert errors.decode().startswith("tini-emulator: ")


async def test_asking_from_another_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = tmp_path / "control"
    asking = ["--control", str(control), "--ask"]
    arguments = ["--pty", str(tmp_path / "board"), "--control", str(control), "--cans", "1:4"]
    async with emulator(*arguments):
        assert cli.main([*asking, '{"do": "counts"}']) == 0
        assert json.loads(capsys.readouterr().out)["cans"] == {"1": 4}
        assert cli.main([*asking, '{"do": "dance"}']) == 1
        assert "dance" in json.loads(capsys.readouterr().out)["error"]
        assert cli.main([*asking, "{"]) == 1
        assert "no JSON" in json.loads(capsys.readouterr().out)["error"]


def test_asking_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asking = ["--control", str(tmp_path / "control"), "--ask", '{"do": "counts"}']
    assert cli.main(asking) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "one of the arguments"),
        (["--pty", "x", "--dial", "h:1"], "not allowed with"),
        (["--dial", "here"], "not HOST:PORT"),
        (["--pty", "x", "--cans", "0:5"], "slots count from 1"),
        (["--pty", "x", "--cans", "1"], "SLOT:CANS"),
        (["--pty", "x", "--slots", "Coke"], "invalid literal"),
        (["--pty", "x", "--dialect", "klingon"], "invalid choice"),
        (["--config", "/nonexistent"], "No such file"),
        (["--ask", "{}"], "--ask needs --control"),
        (["--pty", "x", "--script", "/nonexistent"], "No such file"),
    ],
)
def test_bad_options_are_refused(
    options: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(options)
    assert caught.value.code == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[board]]\n", "needs one of pty, dial and listen"),
        ('[[board]]\npty = "a"\nlisten = "h:1"\n', "needs one of"),
        ('[[board]]\npty = "a"\ncolour = "red"\n', "unknown option: colour"),
        ('[[board]]\npty = "a"\n[[board]]\npty = "b"\n', "a name of its own"),
        ('pty = "a"\n', "board"),
        ("board", "Expected '='"),
    ],
)
def test_a_bad_file_is_refused(
    tmp_path: Path, text: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "boards.toml"
    path.write_text(text)
    with pytest.raises(SystemExit):
        cli.main(["--config", str(path)])
    assert error in capsys.readouterr().err
