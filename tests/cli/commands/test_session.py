import asyncio
import subprocess
import sys

from tests.support.ports import free_port
from tests.support.session_servers import Serve

DRINK = (sys.executable, "-c", "from drink_cli.main import run; run()")


def drink(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DRINK, *arguments], input=typed, capture_output=True, text=True, timeout=20, check=False
    )


async def ask(serve: Serve, typed: str) -> subprocess.CompletedProcess[str]:
    port = str((await serve()).addresses[0][1])
    return await asyncio.to_thread(drink, "session", "localhost", port, typed=typed)


async def test_sends_what_comes_through_a_pipe(serve: Serve) -> None:
    ended = await ask(serve, "AUTH user pw\nDROP 1\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("OK Credits remaining: 50\n")


async def test_a_refused_command_has_its_exit_code(serve: Serve) -> None:
    ended = await ask(serve, "DROP 1\n")
    assert ended.returncode == 8
    assert "ERR 204" in ended.stdout


def test_no_server_has_its_exit_code() -> None:
    ended = drink("session", "127.0.0.1", str(free_port()))
    assert ended.returncode == 4
    assert ended.stderr.startswith("drink: 127.0.0.1:")


def test_has_no_json_of_its_own() -> None:
    ended = drink("--json", "session", "localhost")
    assert (ended.returncode, ended.stdout) == (2, "")
