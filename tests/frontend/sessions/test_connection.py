"""One client's socket, over a real one."""

import asyncio
import contextlib
import gc
import socket
import tracemalloc

import pytest
import structlog.testing

from drink_frontend.sessions.connection import BUSY_LINES
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.session import Session
from drink_frontend.sessions.settings import ListenerSettings
from tests.support.session_servers import Serve
from tests.support.sessions import Caller, World, deaf_client, until

LONG_S = 3_600
"""An idle limit that no test lasts: the tracker is told the time at which it has passed."""


async def test_greeting_login_stat_drop_balance(serve: Serve) -> None:
    async with Caller(await serve()) as caller:
        assert await caller.read() == b"OK Welcome to Big Drink\n"
        caller.send(b"USER user\r\nPASS pw\r\nSTAT 1\nDROP 1\nGETBALANCE\nQUIT\n")
        assert await caller.read_all() == (
            b"OK Password required.\nOK Credits: 100\n"
            b'1 "Coke" 50 13 0 true\nOK 1 Slots retrieved\n'
            b"OK Credits remaining: 50\nOK Credits: 50\nOK Disconnecting.\n"
        )


async def test_fault_7_byte_at_a_time(serve: Serve) -> None:
    async with Caller(await serve()) as caller:
        await caller.read()
        for byte in b"USER user\nPASS pw\nDROP 1\nQUIT\n":
            caller.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await caller.read_all() == (
            b"OK Password required.\nOK Credits: 100\nOK Credits remaining: 50\nOK Disconnecting.\n"
        )


async def test_fault_7_pipelined_replies_come_in_order(serve: Serve) -> None:
    async with Caller(await serve()) as caller:
        await caller.read()
        caller.send(b"".join(b"STAT %d\n" % (1 + n % 5) for n in range(1_000)))
        for n in range(1_000):
            assert (await caller.read()).startswith(b'%d "' % (1 + n % 5))
            assert await caller.read() == b"OK 1 Slots retrieved\n"


async def test_fault_7_ten_thousand_commands_in_one_write_delay_nobody(serve: Serve) -> None:
    server = await serve()
    async with Caller(server) as flood, Caller(server) as other:
        await flood.read()
        await other.read()
        flood.send(b"USER u\n" * 10_000)
        # In the time the flood takes, somebody else gets many answers.
        answered = 0
        last = asyncio.ensure_future(flood.read_lines(10_000))
        while not last.done():
            assert await other.ask(b"WHOAMI\n") == b"ERR 204 You need to login.\n"
            answered += 1
        assert set(await last) == {b"OK Password required.\n"}
        assert answered > 20


async def test_fault_7_what_came_before_the_client_closed_its_side_is_answered(
    serve: Serve,
) -> None:
    async with Caller(await serve()) as caller:
        caller.send(b"STAT 1\nTEMP\nVERSION")
        caller.writer.write_eof()
        assert await caller.read_all() == (
            b'OK Welcome to Big Drink\n1 "Coke" 50 13 0 true\nOK 1 Slots retrieved\nOK 38.3000\n'
            b"OK Drink 1.2.3\n"
        )


async def test_fault_7_a_drop_cut_off_in_the_middle_drops_nothing(
    world: World, serve: Serve
) -> None:
    server = await serve()
    async with Caller(server) as caller:
        await caller.login()
        caller.send(b"DROP 1")
        await asyncio.sleep(0.02)
        caller.reset()
        await until(lambda: server.sessions == 0)
    assert not world.drops


async def test_a_client_without_a_pause_is_told_of_and_one_with_pauses_is_not(serve: Serve) -> None:
    with structlog.testing.capture_logs() as lines:
        async with Caller(await serve()) as quiet, Caller(await serve()) as flood:
            quiet.send(b"MACHINES\n" * (BUSY_LINES - 1))
            flood.send(b"BREW\n" * BUSY_LINES)
            for _ in range(BUSY_LINES):
                await flood.read()
                await quiet.read()
    assert [line["lines"] for line in lines if line["event"] == "session_busy"] == [BUSY_LINES]


async def test_lines_that_need_the_database_take_turns_too(serve: Serve) -> None:
    server = await serve({"turn_pause_ms": 1_000})
    loop = asyncio.get_running_loop()
    async with Caller(server) as flood, Caller(server) as other:
        await flood.login()
        await other.read()
        begun_at = loop.time()
        flood.send(b"GETBALANCE nobody\n" * 40)
        await flood.read()
        for _ in range(300):
            await other.ask(b"TEMP\n")
        replies = 1 + bytes(flood.reader._buffer).count(b"\n")  # type: ignore[attr-defined]
        assert replies <= 2 + (loop.time() - begun_at)


async def test_the_machine_is_chosen_by_the_local_address(serve: Serve) -> None:
    server = await serve(
        address="0.0.0.0",
        allow_plain_remote=True,
        machine_by_address={"127.0.0.2": "ld"},
    )
    port = server.addresses[0][1]
    for address, name in (("127.0.0.1", b"Big Drink"), ("127.0.0.2", b"Little Drink")):
        reader, writer = await asyncio.open_connection(address, port)
        assert await reader.readline() == b"OK Welcome to %s\n" % name
        writer.transport.abort()


class TestDrops:
    @pytest.mark.parametrize("dialect", DialectName)
    async def test_fault_7_a_session_that_ends_does_not_end_its_drop(
        self, world: World, serve: Serve, dialect: DialectName
    ) -> None:
        world.holding = True
        server = await serve(dialect=dialect)
        async with Caller(server) as caller:
            await caller.login()
            caller.send(b"DROP 1 5\n")
            await world.placed.wait()
            caller.reset()
        await until(lambda: server.sessions == 0)
        assert len(world.drops) == 1
        await world.settle()
        assert world.accounts["user"].posted == 50

    async def test_a_client_that_closes_its_side_may_still_hear_the_outcome(
        self, world: World, serve: Serve
    ) -> None:
        world.holding = True
        async with Caller(await serve()) as caller:
            await caller.login()
            caller.send(b"DROP 1\n")
            caller.writer.write_eof()
            await world.placed.wait()
            await world.settle()
            assert await caller.read_all() == b"OK Credits remaining: 50\n"

    async def test_fault_7_nor_does_one_that_ends_while_it_is_being_placed(
        self, world: World, serve: Serve
    ) -> None:
        server = await serve()
        async with Caller(server) as caller:
            await caller.login()
            caller.send(b"DROP 1\n")
        await until(lambda: server.sessions == 0)
        await until(lambda: world.accounts["user"].posted == 50)

    async def test_a_slow_drop_keeps_only_its_own_session_waiting(
        self, world: World, serve: Serve
    ) -> None:
        world.holding = True
        server = await serve()
        async with Caller(server) as slow, Caller(server) as other:
            await slow.login()
            slow.send(b"WHOAMI\nDROP 1\nTEMP\n")
            assert await slow.read() == b"OK Username: user\n"
            await world.placed.wait()
            await other.login(b"user2")
            assert await other.ask(b"GETBALANCE\n") == b"OK Credits: 30\n"
            await world.settle()
            assert await slow.read_lines(2) == [b"OK Credits remaining: 50\n", b"OK 38.3000\n"]

    async def test_a_second_drop_queues_in_classic(self, world: World, serve: Serve) -> None:
        world.holding = True
        async with Caller(await serve()) as caller:
            await caller.login()
            caller.send(b"DROP 1\nDROP 1\nQUIT\n")
            await world.placed.wait()
            world.holding = False
            await world.settle()
            assert await caller.read_all() == (
                b"OK Credits remaining: 50\nOK Credits remaining: 0\nOK Disconnecting.\n"
            )

    @pytest.mark.parametrize(
        "sent", [[b"DROP 1\nDROP 1\n\nWHOAMI\n"], [b"DROP 1\n", b"DROP 1\n\nWHOAMI\n"]]
    )
    async def test_a_second_drop_is_warned_of_in_drinkjs(
        self, world: World, serve: Serve, sent: list[bytes]
    ) -> None:
        world.holding = True
        async with Caller(await serve(dialect=DialectName.DRINKJS)) as caller:
            await caller.login()
            for piece in sent:
                caller.send(piece)
                await world.placed.wait()
            assert (await caller.read()).startswith(b"WARN 152 ")
            await world.settle()
            unknown = b"ERR 415 Invalid command\r\n"
            expected = [b"OK:  Dropping drink\r\n", unknown, b"OK:  user\r\n"]
            assert await caller.read_lines(3) == expected


class TestStatTrailer:
    async def test_comes_later_where_it_is_asked_for(self, serve: Serve) -> None:
        async with Caller(await serve(stat_trailer_delay_ms=300)) as caller:
            await caller.read()
            await caller.ask(b"IBUTTON 1234567890ABCDEF\n")
            caller.send(b"STAT\n")
            body = await caller.reader.read(1_024)
            assert b"OK" not in body
            assert body.endswith(b"false\n")
            assert await caller.reader.read(1_024) == b"OK 5 Slots retrieved\n"

    @pytest.mark.parametrize(
        "login",
        [
            b"",
            b"AUTH user pw\n",
            b"IBUTTON 1234567890ABCDEF\nAUTH user pw\n",
            b"IBUTTON 1234567890ABCDEF\nUSER user\n",
        ],
    )
    async def test_other_clients_of_the_same_listener_get_both_at_once(
        self, serve: Serve, login: bytes
    ) -> None:
        async with Caller(await serve(stat_trailer_delay_ms=300)) as caller:
            await caller.read()
            if login:
                caller.send(login)
                await caller.read_lines(login.count(b"\n"))
            caller.send(b"STAT\n")
            body = await caller.reader.read(1_024)
            assert body.startswith(b'1 "Coke"')
            assert body.endswith(b"OK 5 Slots retrieved\n")

    async def test_comes_at_once_otherwise(self, serve: Serve) -> None:
        async with Caller(await serve()) as caller:
            await caller.read()
            caller.send(b"STAT\n")
            assert (await caller.reader.read(1_024)).endswith(b"OK 5 Slots retrieved\n")


class TestLimits:
    async def test_fault_7_a_silent_client_is_timed_out(self, serve: Serve) -> None:
        server = await serve({"idle_limit_s": 0.1})
        async with Caller(server) as caller:
            assert await caller.read_all() == (
                b"OK Welcome to Big Drink\nERR 450 Timeout, disconnecting.\n"
            )
        await until(lambda: server.sessions == 0)

    @pytest.mark.parametrize("dialect", [DialectName.DRINKJS, DialectName.DRINKD])
    async def test_where_old_servers_had_no_limit_there_is_none(
        self, serve: Serve, dialect: DialectName
    ) -> None:
        doors = (
            ListenerSettings(port=0, dialect=dialect),
            ListenerSettings(port=0, idle_limit_s=0.05),
        )
        server = await serve({"listeners": doors})
        async with Caller(server, 0) as silent, Caller(server, 1) as classic:
            await silent.read()
            assert (await classic.read_all()).endswith(b"ERR 450 Timeout, disconnecting.\n")
            assert (await silent.ask(b"QUIT\n")).strip(b"\0\r\n") in {b"Good Bye", b"OK Goodbye"}

    async def test_only_commands_keep_a_session_alive(self, serve: Serve) -> None:
        server = await serve({"idle_limit_s": LONG_S})
        async with Caller(server) as chatter, Caller(server) as worker:
            await chatter.read()
            await worker.read()
            began = asyncio.get_running_loop().time()
            assert await worker.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"
            assert (await chatter.ask(b"\nHELLO\n\0\n")).startswith(b"ERR ")
            server._tracker.time_out_idle(began + LONG_S)
            assert (await chatter.read_all()).endswith(b"ERR 450 Timeout, disconnecting.\n")
            assert await worker.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"

    async def test_a_drop_under_way_is_not_idleness(self, world: World, serve: Serve) -> None:
        world.holding = True
        server = await serve({"idle_limit_s": LONG_S})
        async with Caller(server) as caller:
            await caller.login()
            caller.send(b"DROP 1\n")
            await world.placed.wait()
            server._tracker.time_out_idle(asyncio.get_running_loop().time() + LONG_S)
            await world.settle()
            assert await caller.read() == b"OK Credits remaining: 50\n"

    async def test_fault_7_who_never_ends_a_line_is_sent_away(self, serve: Serve) -> None:
        server = await serve({"endless_line_bytes_max": 65_536})
        for junk in (b"x", b"\0", b"\xff\xf1"):
            async with Caller(server) as caller:
                await caller.read()
                await caller.ask(b"VERSION\n")
                caller.send(junk * 200_000)
                assert await caller.read_all() == b"ERR 406 Invalid parameters.\n"

    async def test_fault_7_a_megabyte_without_a_line_end(self, serve: Serve) -> None:
        async with Caller(await serve()) as caller:
            await caller.read()
            caller.send(b"x" * 1_000_000 + b"\nVERSION\n")
            assert await caller.read_lines(2) == [
                b"ERR 406 Invalid parameters.\n",
                b"OK Drink 1.2.3\n",
            ]

    async def test_a_client_that_does_not_read_is_cut_off_and_nobody_notices(
        self, world: World, serve: Serve
    ) -> None:
        server = await serve({"unread_limit_s": 0.3, "unread_bytes_max": 4_096})
        async with deaf_client(server):
            with structlog.testing.capture_logs() as logged:
                await until(lambda: any(each["event"] == "session_not_reading" for each in logged))
            async with Caller(server) as caller:
                await caller.read()
                while server.sessions == 2:
                    assert await caller.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"
                    await asyncio.sleep(0.01)
        assert world.calls["get"] < 20_000, "it was not served while it did not read"

    async def test_fault_67_many_that_read_nothing_hold_little_and_users_are_spared(
        self, serve: Serve
    ) -> None:
        server = await serve({"unread_limit_s": 600, "buffered_bytes_max": 1_048_576})
        async with contextlib.AsyncExitStack() as stack:
            logged = stack.enter_context(structlog.testing.capture_logs())
            user = await stack.enter_async_context(Caller(server))
            await user.login()
            deaf = [await stack.enter_async_context(Caller(server, limit=1_024)) for _ in range(60)]
            for each in deaf:
                await each.read()
            assert server.sessions == 61
            for each in deaf:
                each.send(b"STAT\n" * 20_000)
            await until(lambda: server.sessions < 50)
            assert await user.ask(b"WHOAMI\n") == b"OK Username: user\n"
            held = sum(each.buffered_bytes for each in server._tracker)
            assert held <= 1_048_576
            assert "session_cut_off_unread" in {line["event"] for line in logged}

    async def test_a_client_that_reads_late_loses_nothing(self, serve: Serve) -> None:
        async with Caller(await serve({"unread_bytes_max": 4_096})) as caller:
            await caller.read()
            caller.send(b"STAT\n" * 5_000)
            await asyncio.sleep(0.2)
            lines = await caller.read_lines(6 * 5_000)
            assert lines.count(b"OK 5 Slots retrieved\n") == 5_000

    async def test_fault_7_a_reset_in_mid_reply_ends_the_session(self, serve: Serve) -> None:
        server = await serve()
        async with Caller(server) as caller:
            await caller.read()
            caller.send(b"STAT\n" * 100)
            await caller.read()
            caller.reset()
        await until(lambda: server.sessions == 0)

    async def test_a_client_that_is_still_sending_hears_the_last_reply(self, serve: Serve) -> None:
        server = await serve()
        for _ in range(20):
            async with Caller(server) as caller:
                await caller.read()
                caller.send(b"QUIT\n")
                for _ in range(50):
                    caller.send(b"VERSION\n" * 100)
                    await asyncio.sleep(0)
                assert await caller.read_all() == b"OK Disconnecting.\n"

    async def test_a_client_that_never_closes_its_side_is_cut_off(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("drink_frontend.sessions.connection.LINGER_S", 0.05)
        server = await serve()
        async with Caller(server) as caller:
            await caller.read()
            caller.send(b"QUIT\n")
            assert await caller.read_all() == b"OK Disconnecting.\n"
            await until(lambda: server.sessions == 0)

    async def test_a_client_that_has_too_much_waiting_hears_the_last_reply(
        self, world: World, serve: Serve
    ) -> None:
        world.holding = True
        async with Caller(await serve({"backlog_bytes_max": 4_096})) as caller:
            await caller.login()
            caller.send(b"DROP 1\nQUIT\n" + b"VERSION\n" * 100_000)
            await world.placed.wait()
            await asyncio.sleep(0.05)
            await world.settle()
            assert await caller.read_all() == (b"OK Credits remaining: 50\nOK Disconnecting.\n")

    @pytest.mark.parametrize("has_led", [False, True])
    async def test_a_fault_of_ours_ends_only_the_session_that_has_it(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, has_led: bool
    ) -> None:
        server = await serve()
        async with Caller(server) as other, Caller(server) as caller:
            await other.read()
            await caller.read()
            if has_led:
                await caller.ask(b"VERSION\n")
            monkeypatch.setattr(Session, "answer_now", lambda self, event: 1 / 0)
            caller.send(b"VERSION\n")
            assert await caller.read_all() == b""
            monkeypatch.undo()
            assert await other.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"

    async def test_after_quit_nothing_is_carried_out(self, world: World, serve: Serve) -> None:
        async with Caller(await serve()) as caller:
            await caller.login()
            caller.send(b"QUIT\nDROP 1\n")
            assert await caller.read_all() == b"OK Disconnecting.\n"
        assert not world.drops

    async def test_fault_8_three_failed_logins_hang_up(self, serve: Serve) -> None:
        async with Caller(await serve()) as caller:
            caller.send(b"AUTH user x\n" * 100)
            said = await caller.read_all()
        assert said.count(b"ERR 202") == 3


async def test_fault_8_a_thousand_sessions_of_which_a_hundred_drop_and_one_never_reads(
    world: World, serve: Serve
) -> None:
    await world.change_slot("d", 1, price=0, available=100)
    server = await serve({"unread_bytes_max": 4_096})
    async with contextlib.AsyncExitStack() as stack:
        deaf, *callers = [
            await stack.enter_async_context(Caller(server, limit=4_096)) for _ in range(1_000)
        ]
        deaf.send(b"STAT\n" * 50_000)
        for begin in range(0, len(callers), 100):
            await asyncio.gather(*(caller.login() for caller in callers[begin : begin + 100]))
        for begin in range(0, 100, 4):  # as many of one account as may wait for a machine
            few = callers[begin : begin + 4]
            drops = await asyncio.gather(*(caller.ask(b"DROP 1\n") for caller in few))
            assert set(drops) == {b"OK Credits remaining: 100\n"}
        idle = await asyncio.gather(*(caller.ask(b"WHOAMI\n") for caller in callers))
        assert set(idle) == {b"OK Username: user\n"}
        assert server.sessions == 1_000
    await until(lambda: server.sessions == 0)
    assert world.machines["d"].slots[0].dispensed == 100


async def test_an_idle_session_is_small(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what an idle session costs; sessions with a login have used every part of theirs."""
    server = await serve()
    async with Caller(server) as caller:
        await caller.login()
    gc.collect()
    clients: list[socket.socket] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1_000):
            client = socket.create_connection(server.addresses[0])
            client.setblocking(False)
            clients.append(client)
            await asyncio.sleep(0)
        await until(lambda: server.sessions == 1_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        async with Caller(server) as caller:
            assert await caller.read() == b"OK Welcome to Big Drink\n"
    finally:
        # The tests that follow would be slow, and blamed for what stayed open.
        tracemalloc.stop()
        for client in clients:
            client.close()
    with capsys.disabled():
        print(f"\nan idle session and its client's socket: {(after - before) / 1_000:.0f} bytes")
    await until(lambda: server.sessions == 0)
