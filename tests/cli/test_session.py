import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

from drink_cli.session import ASKED_FOR, COMMANDS, reply_is_whole
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.server import SessionServer
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, World

TLS = Path(__file__).parent.parent / "frontend" / "sessions" / "data" / "tls"
CLIENT = (sys.executable, "-m", "drink_cli.session")


@pytest.mark.parametrize(
    "whole",
    [
        "OK Credits: 5\n",
        "ERR 100 Slot empty.\r\n",
        '1 "Coke" 50 13 1\nOK 1 Slots retrieved\r\n',
        "OK: connected machines\nd - Big Drink\n\r\n",
        '{"machines":[]}\r\n',
        "Good Bye\r\n",
    ],
)
def test_a_reply_is_whole_only_at_its_end(whole: str) -> None:
    assert reply_is_whole(whole)
    if "\n" not in whole[:-2] or "machines" in whole:
        assert not any(reply_is_whole(whole[:end]) for end in range(len(whole)))
    else:
        assert not reply_is_whole(whole.splitlines(keepends=True)[0])


def test_the_commands_are_those_of_the_server() -> None:
    assert COMMANDS.keys() == {verb.value for verb in Verb}
    for verb in Verb:
        grammar = verb.grammar
        assert COMMANDS[verb] == (len(grammar.parameters) if grammar.secret else 0), verb
        assert (verb in ASKED_FOR) is (grammar.secret and not grammar.optional), verb


async def run(
    server: SessionServer, typed: str, *options: str, host: str = "localhost"
) -> tuple[int, str, str]:
    port = str(server.addresses[0][1])
    process = await asyncio.create_subprocess_exec(
        *CLIENT,
        host,
        port,
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        said, complained = await process.communicate(typed.encode())
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


class TestInAPipe:
    async def test_sends_each_line_and_shows_the_reply(self, world: World, serve: Serve) -> None:
        typed = "USER user\nPASS pw\n\nDROP 1\nSTAT 1\n"
        said = (
            "OK Welcome to Big Drink\nOK Password required.\nOK Credits: 100\n"
            'OK Credits remaining: 50\n1 "Coke" 50 12 1 true\nOK 1 Slots retrieved\n'
        )
        assert await run(await serve(), typed) == (0, said, "")

    @pytest.mark.parametrize("dialect", list(DialectName))
    async def test_speaks_every_dialect(self, serve: Serve, dialect: DialectName) -> None:
        typed = "STAT\nMACHINES\nSERVERSTAT\nVERSION\nQUIT\n"
        code, said, _ = await run(await serve(dialect=dialect), typed)
        assert code == 0
        for words in ("Coke", "ld - Little Drink", '"connected":true', "Drink 1.2.3"):
            assert words in said
        assert "\0" not in said

    async def test_tells_that_a_command_was_refused(self, serve: Serve) -> None:
        code, said, _ = await run(await serve(), "DROP 1\nVERSION")
        assert code == 1
        assert said.endswith("ERR 204 You need to login.\nOK Drink 1.2.3\n")

    async def test_tells_that_the_server_hung_up(self, serve: Serve) -> None:
        code, said, complained = await run(await serve(), "AUTH user x\n" * 4)
        assert code == 2
        assert said.count("ERR 202") == 3
        assert complained == "drink-session: the server hung up\n"

    async def test_sends_bytes_that_are_no_text_as_they_came(self, serve: Serve) -> None:
        server = await serve()
        process = await asyncio.create_subprocess_exec(
            *CLIENT,
            "localhost",
            str(server.addresses[0][1]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii:surrogateescape"},
        )
        async with asyncio.timeout(PATIENCE_S):
            said, _ = await process.communicate(b"USER \xff\nUSER J\xc3\xbcrgen\nVERSION\n")
        expected = [b"ERR 406 Invalid parameters.", b"OK Password required.", b"OK Drink 1.2.3"]
        assert said.splitlines()[1:] == expected

    async def test_a_closed_standard_input_is_an_empty_one(self, serve: Serve) -> None:
        port = str((await serve()).addresses[0][1])
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            'exec "$@" <&-',
            "sh",
            *CLIENT,
            "localhost",
            port,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            _, complained = await process.communicate()
        assert (process.returncode, complained) == (0, b"")

    async def test_tells_that_there_is_no_server(self, serve: Serve) -> None:
        server = await serve()
        port = str(server.addresses[0][1])
        await server.stop()
        process = await asyncio.create_subprocess_exec(
            *CLIENT, "127.0.0.1", port, stderr=asyncio.subprocess.PIPE
        )
        _, complained = await process.communicate()
        assert process.returncode == 2
        assert b"refused" in complained


class TestOverTls:
    async def test_checks_the_certificate(self, serve: Serve) -> None:
        server = await serve(tls_certificate=TLS / "first-cert.pem", tls_key=TLS / "first-key.pem")
        code, said, _ = await run(server, "VERSION\n", "--ca", str(TLS / "first-cert.pem"))
        assert (code, said) == (0, "OK Welcome to Big Drink\nOK Drink 1.2.3\n")
        code, said, complained = await run(server, "VERSION\n", "--tls")
        assert (code, said) == (2, "")
        assert "certificate" in complained


class TestAtATerminal:
    async def test_has_a_prompt_and_shows_no_secret(self, world: World, serve: Serve) -> None:
        port = str((await serve()).addresses[0][1])
        master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *CLIENT, "127.0.0.1", port, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, env={**os.environ, "TERM": "dumb"},
        )  # fmt: skip
        os.close(slave)
        shown = ""

        async def wait_for(words: str) -> None:
            nonlocal shown
            async with asyncio.timeout(PATIENCE_S):
                while words not in shown:
                    shown += (await asyncio.to_thread(os.read, master, 4_096)).decode()

        def type_in(line: str) -> None:
            os.write(master, line.encode())

        try:
            await wait_for("drink> ")
            type_in("us\tuser\n")
            await wait_for("OK Password required.")
            type_in("PASS\n")
            await wait_for("secret: ")
            type_in("pw\n")
            await wait_for("OK Credits: 100")
            type_in("DROP 9\n")
            await wait_for("ERR 409")
            type_in("QUIT\n")
            await wait_for("OK Disconnecting.")
            assert await process.wait() == 0
        finally:
            os.close(master)
        assert "pw" not in shown
        assert world.calls["login_password"] == 1
