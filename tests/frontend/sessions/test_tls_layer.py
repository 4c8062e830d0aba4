"""Clients that end their side of a TLS connection in every way there is."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drink_frontend.sessions.server import SessionServer
from tests.frontend.sessions.test_tls import install, trusting
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, World, until

BUYS = b"USER user\nPASS pw\nDROP 1\nQUIT\n"
BOUGHT = (
    b"OK Welcome to Big Drink\nOK Password required.\nOK Credits: 100\n"
    b"OK Credits remaining: 50\nOK Disconnecting.\n"
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return install(tmp_path, "first")


@pytest.fixture
async def server(serve: Serve, files: tuple[Path, Path]) -> SessionServer:
    return await serve(tls_certificate=files[0], tls_key=files[1])


class Talker:
    """A TLS client that decides itself what of TLS and TCP it closes, and when."""

    def __init__(self, server: SessionServer, context: ssl.SSLContext) -> None:
        self.address = server.addresses[0]
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self.address)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(await self.reader.read(65_536))
            else:
                self.flush()
                return

    def flush(self) -> None:
        self.writer.write(self.outgoing.read())

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def say_close(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self.flush()

    async def read_all(self) -> bytes:
        """All that the server says, and it must end with close_notify."""
        said = b""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    data = self.tls.read(65_536)
                except ssl.SSLWantReadError:
                    raw = await self.reader.read(65_536)
                    assert raw, f"ended without close_notify after {said!r}"
                    self.incoming.write(raw)
                except ssl.SSLZeroReturnError:
                    return said
                else:
                    if not data:
                        return said
                    said += data


@pytest.fixture
async def talker(server: SessionServer, files: tuple[Path, Path]) -> AsyncIterator[Talker]:
    client = Talker(server, trusting(files[0]))
    await client.connect()
    yield client
    client.writer.transport.abort()
    await asyncio.sleep(0)


async def test_what_came_before_close_notify_is_carried_out_and_answered(
    world: World, talker: Talker
) -> None:
    talker.send(BUYS)
    talker.say_close()
    assert await talker.read_all() == BOUGHT
    assert world.accounts["user"].posted == 50


async def test_the_client_may_close_its_side_of_the_socket_as_well(talker: Talker) -> None:
    talker.send(BUYS)
    talker.say_close()
    talker.writer.write_eof()
    assert await talker.read_all() == BOUGHT


async def test_a_last_line_without_its_end_counts_after_close_notify(talker: Talker) -> None:
    talker.send(b"USER user\nPASS pw\nDROP 1")
    talker.say_close()
    assert await talker.read_all() == BOUGHT.removesuffix(b"OK Disconnecting.\n")


async def test_after_a_close_that_may_be_an_attackers_only_whole_lines_count(
    world: World, talker: Talker
) -> None:
    talker.send(b"USER user\nPASS pw\nDROP 1")
    talker.writer.write_eof()
    assert await talker.read_all() == (
        b"OK Welcome to Big Drink\nOK Password required.\nOK Credits: 100\n"
    )
    assert not world.drops


async def test_a_drop_that_takes_its_time_is_answered_after_the_clients_close(
    world: World, talker: Talker
) -> None:
    world.holding = True
    talker.send(BUYS)
    talker.say_close()
    await world.placed.wait()
    await asyncio.sleep(0.05)
    await world.settle()
    assert await talker.read_all() == BOUGHT


async def test_a_client_that_is_still_sending_hears_the_last_reply(talker: Talker) -> None:
    talker.send(b"QUIT\n")
    for _ in range(50):
        talker.send(b"VERSION\n" * 100)
        await asyncio.sleep(0)
    assert await talker.read_all() == b"OK Welcome to Big Drink\nOK Disconnecting.\n"


async def test_long_replies_and_many_lines_keep_their_order(talker: Talker) -> None:
    talker.send(b"STAT 1\n" * 5_000)
    talker.say_close()
    said = await talker.read_all()
    assert said.count(b"OK 1 Slots retrieved\n") == 5_000


async def test_a_record_that_was_tampered_with_ends_the_connection(
    server: SessionServer, talker: Talker
) -> None:
    talker.tls.write(b"VERSION\n")
    record = bytearray(talker.outgoing.read())
    record[-1] ^= 1
    talker.writer.write(bytes(record))
    await until(lambda: server.sessions == 0)


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing(
    server: SessionServer,
) -> None:
    _, writer = await asyncio.open_connection(*server.addresses[0])
    await until(lambda: server.sessions == 1)
    writer.write_eof()
    await until(lambda: server.sessions == 0)
    writer.transport.abort()


SOCAT = "OPENSSL:localhost:{port},verify=0,openssl-max-proto-version="


@pytest.mark.parametrize(
    ("command", "hears"),
    [
        (["socat", "-t", "5", "-", SOCAT + "TLS1.3"], True),
        (["socat", "-t", "5", "-", SOCAT + "TLS1.2"], True),
        # It closes its side and leaves without reading, unless it is told otherwise.
        (["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", "localhost:{port}"], False),
    ],
    ids=["socat-1.3", "socat-1.2", "openssl"],
)
async def test_programs_that_write_all_and_then_close_their_side(
    world: World, server: SessionServer, command: list[str], hears: bool
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    port = server.addresses[0][1]
    client = await asyncio.create_subprocess_exec(
        *(word.format(port=port) for word in command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(20):
        said, _ = await client.communicate(BUYS)
    assert not hears or said == BOUGHT
    await until(lambda: world.accounts["user"].posted == 50)


async def test_a_client_that_reads_nothing_is_cut_off(
    serve: Serve, files: tuple[Path, Path]
) -> None:
    server = await serve(
        {"unread_limit_s": 0.3, "unread_bytes_max": 4_096},
        tls_certificate=files[0],
        tls_key=files[1],
    )
    deaf = socket.create_connection(server.addresses[0])
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)

    def shout() -> None:
        with trusting(files[0]).wrap_socket(deaf, server_hostname="localhost") as secure:
            while True:
                secure.sendall(b"STAT\n" * 10_000)

    with pytest.raises(OSError):  # noqa: PT011  reset or broken pipe, as it happens
        await asyncio.to_thread(shout)
    await until(lambda: server.sessions == 0)
