"""Whom a listener believes about where its clients are."""

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from drink_frontend.domain.errors import CredentialsInvalidError
from tests.fakes.proxy_headers import tlv, v2
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, Caller, World, until

CERTIFICATES = Path(__file__).parent / "data" / "tls"
PROXIES = ["127.0.0.0/8"]
OTHERS = ["192.0.2.0/24", "2001:db8::/32"]
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 4242\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 4242\r\n"
V1_MAPPED = b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 50000 4242\r\n"
V2 = v2(("203.0.113.7", 50_000), ("192.0.2.1", 4_242), tlv(1, b"h2"))
V2_IPV6 = v2(("2001:db8::7", 50_000), ("2001:db8::1", 4_242))
V2_LOCAL = v2(raw=(0x20, 0x00, b""))
V2_UNSPECIFIED = v2(raw=(0x21, 0x00, b""))
V2_UNIX = v2(raw=(0x21, 0x31, bytes(216)))


async def counted_as(world: World, caller: Caller) -> str:
    """The address that a failed login of this client is counted by."""
    world.broken["login_password"] = [CredentialsInvalidError("no")]
    await caller.read()
    await caller.ask(b"USER user\n")
    await caller.ask(b"PASS wrong\n")
    return world.origins[-1]


@pytest.mark.parametrize(
    ("header", "counted"),
    [
        (V1, "203.0.113.7"),
        (V1_IPV6, "2001:db8::7"),
        (V1_MAPPED, "203.0.113.7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (V2, "203.0.113.7"),
        (V2_IPV6, "2001:db8::7"),
        (V2_LOCAL, "127.0.0.1"),
        (V2_UNSPECIFIED, "127.0.0.1"),
        (V2_UNIX, "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_fault_62_a_client_behind_a_proxy_is_counted_by_its_own_address(
    world: World, serve: Serve, header: bytes, counted: str, in_pieces: bool
) -> None:
    async with Caller(await serve(proxies=PROXIES)) as caller:
        for size in range(0, len(header), 1 if in_pieces else len(header)):
            caller.send(header[size : size + 1] if in_pieces else header)
            await asyncio.sleep(0)
        assert await counted_as(world, caller) == counted


async def test_what_comes_with_the_header_is_carried_out(serve: Serve) -> None:
    async with Caller(await serve(proxies=PROXIES)) as caller:
        caller.send(V2 + b"USER user\nPASS pw\nDROP 1\nQUIT\n")
        caller.writer.write_eof()
        assert await caller.read_all() == (
            b"OK Welcome to Big Drink\nOK Password required.\nOK Credits: 100\n"
            b"OK Credits remaining: 50\nOK Disconnecting.\n"
        )


async def test_the_address_that_the_client_connected_to_chooses_the_machine(serve: Serve) -> None:
    server = await serve(proxies=PROXIES, machine_by_address={"192.0.2.1": "ld"})
    for header, machine in ((V1, b"Little"), (V2, b"Little"), (V1_MAPPED, b"Little")):
        async with Caller(server) as caller:
            caller.send(header)
            assert await caller.read() == b"OK Welcome to " + machine + b" Drink\n"
    async with Caller(server) as caller:
        caller.send(V2_LOCAL)
        assert await caller.read() == b"OK Welcome to Big Drink\n"


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("header", [V1, V2])
async def test_the_header_goes_before_tls(
    world: World, serve: Serve, tmp_path: Path, header: bytes, in_pieces: bool
) -> None:
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copyfile(CERTIFICATES / "first-cert.pem", chain)
    shutil.copyfile(CERTIFICATES / "first-key.pem", key)
    trusting = ssl.create_default_context(cafile=str(chain))
    server = await serve(proxies=PROXIES, tls_certificate=chain, tls_key=key)
    async with Caller(server) as caller:
        if in_pieces:
            for byte in header[:-1]:
                caller.send(bytes([byte]))
                await asyncio.sleep(0)
            caller.send(header[-1:])
        else:
            caller.send(header)
        await caller.writer.start_tls(trusting, server_hostname="localhost")
        assert await counted_as(world, caller) == "203.0.113.7"


@pytest.mark.parametrize(
    "data",
    [
        b"USER user\n",
        b"\r\nUSER user\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
        v2(raw=(0x21, 0x11, bytes(11))),
        v2(raw=(0x31, 0x11, bytes(12))),
        v2(raw=(0x21, 0x11, bytes(12) + tlv(3, b"crc!"))),
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_fault_62_a_proxy_without_a_header_is_refused(
    world: World, serve: Serve, data: bytes
) -> None:
    async with Caller(await serve(proxies=PROXIES)) as caller:
        caller.send(data)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await caller.read()
    assert world.origins == []


async def test_a_proxy_that_says_nothing_is_cut_off(serve: Serve) -> None:
    server = await serve({"proxy_header_limit_s": 0.05}, proxies=PROXIES)
    async with Caller(server) as silent, Caller(server) as slow:
        slow.send(V1[:20])
        for caller in (silent, slow):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await caller.read()
    assert server.sessions == 0


async def test_a_header_after_a_delay_is_taken(world: World, serve: Serve) -> None:
    server = await serve(proxies=PROXIES)
    async with Caller(server) as caller:
        await until(lambda: server.sessions == 1)
        caller.send(V1)
        assert await counted_as(world, caller) == "203.0.113.7"


@pytest.mark.parametrize("proxies", [[], OTHERS])
@pytest.mark.parametrize("header", [V1, V2])
async def test_fault_62_nobody_else_chooses_the_address_that_is_counted(
    world: World, serve: Serve, header: bytes, proxies: list[str]
) -> None:
    async with Caller(await serve(proxies=proxies)) as caller:
        greeting = await caller.read()
        caller.send(header)
        if header == V1:
            assert (await caller.read()).startswith(b"ERR ")
            await caller.ask(b"USER user\n")
            await caller.ask(b"PASS pw\n")
        else:
            # It holds the line QUIT.
            assert b"OK Disconnecting.\n" in await caller.read_all()
    assert greeting == b"OK Welcome to Big Drink\n"
    assert set(world.origins) <= {"127.0.0.1"}


async def test_a_second_header_is_no_command(world: World, serve: Serve) -> None:
    """What a client sends through a proxy that passes it on forwards nothing."""
    async with Caller(await serve(proxies=PROXIES)) as caller:
        caller.send(V1 + b"PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\n")
        assert await caller.read() == b"OK Welcome to Big Drink\n"
        assert (await caller.read()).startswith(b"ERR ")
        await caller.ask(b"USER user\n")
        await caller.ask(b"PASS pw\n")
    assert world.origins == ["203.0.113.7"]


async def test_clients_of_one_proxy_are_counted_each_for_itself(serve: Serve) -> None:
    server = await serve({"sessions_per_address_max": 2}, proxies=PROXIES)
    headers = [
        f"PROXY TCP4 203.0.113.{number} 192.0.2.1 1 2\r\n".encode() for number in range(1, 6)
    ]
    callers = [Caller(server) for _ in headers]
    for caller, header in zip(callers, headers, strict=True):
        await caller.__aenter__()
        caller.send(header)
        await caller.login()
    assert server.sessions == len(headers)
    for caller in callers:
        await caller.__aexit__(None, None, None)


async def test_a_client_without_room_is_told_so_behind_a_proxy(serve: Serve) -> None:
    server = await serve({"sessions_per_address_max": 1}, proxies=PROXIES)
    async with Caller(server) as first, Caller(server) as second:
        first.send(V1)
        await first.login()
        second.send(V1)
        assert b"ERR " in await second.read_all()
    await until(lambda: server.sessions == 0)


async def test_a_server_that_stops_waits_for_no_header(serve: Serve) -> None:
    server = await serve(proxies=PROXIES)
    async with Caller(server) as caller:
        caller.send(V1[:10])
        await until(lambda: server.sessions == 1)
        async with asyncio.timeout(PATIENCE_S):
            await server.drain(60)
    assert server.sessions == 0
