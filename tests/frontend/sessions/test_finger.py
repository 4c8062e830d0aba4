import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import structlog

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.sessions.finger import (
    BUSY_QUERIES,
    QUERIES_MAX,
    QUERIES_PER_PLACE_MAX,
    FingerServer,
    answer,
)
from drink_frontend.sessions.settings import FingerSettings
from drink_frontend.system.connection_rates import OpeningSettings
from tests.support.entities import make_machine, make_slot
from tests.support.sessions import PATIENCE_S, World

PLACES = QUERIES_MAX // QUERIES_PER_PLACE_MAX


@pytest.fixture
def machines() -> list[object]:
    slots = [
        make_slot("d", 1, "Coke", 50, 80, dispensed=191),
        make_slot("d", 2, "Mountain Dew", 60, 0, enabled=False),
    ]
    return [
        make_machine("d", "Big Drink", slots, temperature_celsius=3.5),
        make_machine("ld", "Little Drink", [make_slot("ld", 1, "Jolt", 20, 3)]),
    ]


BIG_DRINK = [
    "Motd:      Welcome to Big Drink!",
    "Location:  NRH (North)",
    "",
    "SLOT   DRINK                  COST   # LEFT   # SOLD",
    "--------------------------------------------------------",
    "   1   Coke                     50       80      191",
    "   2   Mountain Dew             60        0        0  (disabled)",
    "--------------------------------------------------------",
    "Drink temperature is 38.3 F",
]


class TestAnswer:
    def test_lists_the_machine_here(self, machines: list[object]) -> None:
        assert answer("", machines, "d") == BIG_DRINK  # type: ignore[arg-type]
        assert answer("/W", machines, "d") == BIG_DRINK  # type: ignore[arg-type]

    def test_lists_all_where_it_is_none_in_particular(self, machines: list[object]) -> None:
        lines = answer("", machines, None)  # type: ignore[arg-type]
        assert lines[: len(BIG_DRINK) + 1] == [*BIG_DRINK, ""]
        assert lines[-1] == "Unable to determine temperature."

    def test_lists_a_machine_by_name(self, machines: list[object]) -> None:
        assert answer("d", machines, "ld") == BIG_DRINK  # type: ignore[arg-type]

    def test_tells_the_temperature(self, machines: list[object]) -> None:
        assert answer("temp", machines, None) == [  # type: ignore[arg-type]
            "Big Drink: Drink temperature is 38.3 F",
            "Little Drink: Unable to determine temperature.",
        ]

    def test_draws_the_stock(self, machines: list[object]) -> None:
        assert answer("graph", machines, "d")[3:] == [  # type: ignore[arg-type]
            f"   1   {'Coke':<20} {'#' * 40} 80",
            f"   2   {'Mountain Dew':<20}  0",
        ]

    @pytest.mark.parametrize("query", ["info", "help", "INFO"])
    def test_explains_itself(self, machines: list[object], query: str) -> None:
        assert "  graph            the stock as bars" in answer(query, machines, "d")  # type: ignore[arg-type]

    @pytest.mark.parametrize("query", ["2", "mountain dew", "Mountain Dew"])
    def test_finds_a_slot(self, machines: list[object], query: str) -> None:
        lines = answer(query, machines, None)  # type: ignore[arg-type]
        assert lines[-1] == "   2   Mountain Dew             60        0        0  (disabled)"

    def test_finds_a_slot_in_each_machine(self, machines: list[object]) -> None:
        lines = answer("1", machines, None)  # type: ignore[arg-type]
        assert sum("Coke" in line or "Jolt" in line for line in lines) == 2

    @pytest.mark.parametrize("query", ["x@elsewhere", "@elsewhere", "@a@b", "/W d@e"])
    def test_never_forwards(self, machines: list[object], query: str) -> None:
        assert answer(query, machines, "d") == ["Finger forwarding service denied"]  # type: ignore[arg-type]

    def test_what_is_not_there(self, machines: list[object]) -> None:
        assert answer("pepsi", machines, "d") == ["Slot not found"]  # type: ignore[arg-type]
        assert answer("", machines, "gone") == ["Machine not found"]  # type: ignore[arg-type]
        assert answer("", [], None) == ["Machine not found"]
        assert answer("graph", [make_machine("e", "Empty", [])], None)[0].startswith("Motd")


class TestServer:
    @pytest.fixture
    async def server(self, world: World) -> AsyncIterator[FingerServer]:
        server = FingerServer(
            FingerSettings(port=0, default_machine="ld"),
            world.services().machines,
            OpeningSettings(),
        )
        await server.start()
        yield server
        await server.stop()

    async def ask(self, server: FingerServer, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*server.address)
        try:
            writer.write(query)
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()

    async def until_answered(self, server: FingerServer, *, answered: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while bool(await self.ask(server, b"\n")) != answered:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def test_answers_and_closes(self, server: FingerServer) -> None:
        said = await self.ask(server, b"\r\n")
        assert b"Welcome to Little Drink!\r\n" in said
        assert b"Jolt" in said

    @pytest.mark.parametrize("junk", [b"x" * 5_000, b"\xff\0\n", b"\0" * 600 + b"\n"])
    async def test_fault_7_junk_leaves_others_served(
        self, server: FingerServer, junk: bytes
    ) -> None:
        await self.ask(server, junk)
        assert b"Jolt" in await self.ask(server, b"\n")

    async def test_without_a_database_it_hangs_up(self, world: World, server: FingerServer) -> None:
        world.broken["list"] = [StorageUnavailableError("x")]
        assert await self.ask(server, b"\n") == b""
        assert b"Jolt" in await self.ask(server, b"\n")

    async def test_fault_8_a_crowd_is_turned_away(self, server: FingerServer) -> None:
        crowd = [
            await asyncio.open_connection(
                *server.address, local_addr=(f"127.0.2.{number % PLACES}", 0)
            )
            for number in range(QUERIES_MAX)
        ]
        await self.until_answered(server, answered=False)
        for _, writer in crowd:
            writer.transport.abort()
        await self.until_answered(server, answered=True)

    async def test_fault_66_one_address_takes_only_its_own_queries(
        self, server: FingerServer
    ) -> None:
        crowd = [
            await asyncio.open_connection(*server.address, local_addr=("127.0.2.1", 0))
            for _ in range(QUERIES_MAX)
        ]
        assert b"Jolt" in await self.ask(server, b"\n")
        turned_away = [reader for reader, _ in crowd[QUERIES_PER_PLACE_MAX:]]
        async with asyncio.timeout(PATIENCE_S):
            for reader in turned_away:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
        for _, writer in crowd:
            writer.transport.abort()

    async def test_a_flood_of_queries_is_logged_once(self, server: FingerServer) -> None:
        with structlog.testing.capture_logs() as lines:
            for _ in range(2 * BUSY_QUERIES):
                await self.ask(server, b"temp\r\n")
        assert [line["queries"] for line in lines if line["event"] == "finger_busy"] == [
            BUSY_QUERIES
        ]

    async def test_fault_7_a_silent_peer_is_cut_off(
        self, server: FingerServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("drink_frontend.sessions.finger.QUERY_LIMIT_S", 0.05)
        assert await self.ask(server, b"Jo") == b""
