"""How many round trips to PostgreSQL a call costs, counted between the frontend and the server."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from benchmarks.proxy import Control
from benchmarks.systems import counting_proxy
from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_frontend.domain.entities import Account
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.context import Services
from drink_frontend.sessions.dialects import CLASSIC
from drink_frontend.sessions.session import Session
from drink_frontend.storage.settings import StorageSettings
from tests.fakes.clock import FakeClock
from tests.support.bench import Bench, ScriptedDatabase
from tests.support.cut_house import through
from tests.support.gates import held
from tests.support.postgres import fresh_postgres, open_transactions
from tests.support.round_trips import RoundTrips
from tests.support.rpc_frontend import ANN, PASSWORD, ROOT, Frontend

DELAY_S = 0.001
"""An answer never overtakes what follows a question."""


@pytest.fixture
def settings() -> StorageSettings:
    # One reader, which foresees what queries do, and looks at nothing by itself.
    return fresh_postgres(readers=1, reader_look_ms=60_000, look_elsewhere_ms=60_000)


@pytest.fixture
def control(settings: StorageSettings, tmp_path: Path) -> Iterator[tuple[int, Control]]:
    port = urlsplit(settings.url or "").port or 5432
    with counting_proxy(tmp_path, RoundTrips, port) as found:
        yield found


@pytest.fixture
async def frontend(
    settings: StorageSettings, control: tuple[int, Control], tmp_path: Path
) -> AsyncIterator[Frontend]:
    clock = FakeClock()
    metrics = Metrics(monotonic=clock.monotonic)
    through_proxy = through(settings, control[0])
    async with ScriptedDatabase.open(
        through_proxy, beside=True, now_ms=clock.now_ms, metrics=metrics
    ) as storage:
        bench = Bench(storage, tmp_path, clock, "S1", metrics)
        frontend = Frontend(RpcSettings(port=0), bench)
        await frontend.furnish()
        frontend.port = await frontend.server.start()
        async with grpc.aio.insecure_channel(frontend.target) as frontend.channel:
            yield frontend
        await frontend.server.stop(0)
        await frontend.providers.close()


class Count:
    """Counts the round trips of what is done, on the wire and as the frontend counts them."""

    def __init__(self, frontend: Frontend, control: Control) -> None:
        self._storage = frontend.bench.storage
        self._control = control

    async def of(self, do: Callable[[], Awaitable[Any]]) -> int:
        """Those of something that was done once before."""
        await do()
        self._control.delay(DELAY_S)
        before = self._storage.round_trips
        await do()
        after = self._storage.round_trips
        counted = int(self._control.delay(0)["round_trips"])
        assert counted == sum(after.values()) - sum(before.values())
        return counted


@pytest.fixture
def count(frontend: Frontend, control: tuple[int, Control]) -> Count:
    return Count(frontend, control[1])


CALLS: dict[str, tuple[Any, Any, int]] = {
    "own account": (accounts.GetAccountRequest(), ANN, 2),
    "account by name": (accounts.GetAccountRequest(name="accounts/ann"), ANN, 2),
    "account of another": (accounts.GetAccountRequest(name="accounts/ann"), ROOT, 2),
    "machines": (machines.ListMachinesRequest(), ANN, 1),
    "machine": (machines.GetMachineRequest(name="machines/d"), ANN, 1),
    "everyone's drops": (drops.ListDropsRequest(parent="accounts/-"), ROOT, 2),
    # The account is found by its name first.
    "drops of an account": (drops.ListDropsRequest(parent="accounts/ann"), ANN, 3),
}
"""Requests, their callers, and how many round trips they take.

One is for the token, where the request is not one that everyone may make.
"""


async def test_a_call_takes_a_round_trip_for_its_token_and_one_for_each_step_of_its_query(
    frontend: Frontend, count: Count, settings: StorageSettings
) -> None:
    counted = {
        name: await count.of(partial(frontend.call, request, caller))
        for name, (request, caller, _) in CALLS.items()
    }
    assert counted == {name: expected for name, (_, _, expected) in CALLS.items()}
    assert open_transactions(settings) == 0


async def test_a_session_shows_from_memory_and_reads_what_it_forgot_in_one_round_trip(
    frontend: Frontend, count: Count, settings: StorageSettings
) -> None:
    bench = frontend.bench
    services = Services(
        accounts=bench.accounts,
        transfers=bench.transfers,
        permits=bench.permits,
        drops=bench.drops,
        machines=bench.machines,
        notes=bench.notes,
        views=bench.views,
        version="1.2.3",
        started_ms=0,
    )
    session = Session(services, CLASSIC, "192.0.2.7", "d", login_failures_max=3)

    async def ask(line: str, *, forgets: bool = False) -> None:
        if forgets:
            bench.views.accounts.clear()
            bench.views.machines.clear()
        decoder = LineDecoder(512)
        decoder.feed(line.encode() + b"\n")
        event = decoder.next_event()
        assert event is not None
        answer = session.answer_now(event) or await session.answer_pending()
        assert b"".join(answer.parts).startswith((b"OK", b"1 ")), answer

    await ask("USER ann")
    await ask(f"PASS {PASSWORD}")
    counted = {
        (line, forgets): await count.of(partial(ask, line, forgets=forgets))
        for line in ("STAT", "GETBALANCE")
        for forgets in (False, True)
    }
    assert counted == {
        ("STAT", False): 0,
        ("STAT", True): 1,
        ("GETBALANCE", False): 0,
        ("GETBALANCE", True): 1,
    }
    assert open_transactions(settings) == 0


MANY = 64
"""Units of work in one turn."""


@pytest.mark.parametrize("grants", [False, True], ids=["sent", "granted"])
async def test_a_turn_takes_three_round_trips_however_many_transfers_it_carries(
    frontend: Frontend, count: Count, grants: bool
) -> None:
    bench = frontend.bench
    ann, root = [await bench.accounts.named(name) for name in ("ann", "root")]
    numbers = itertools.count()

    def transfer() -> Coroutine[Any, Any, Account]:
        request_id = f"move-{next(numbers)}"
        if grants:
            return bench.transfers.add_credits(root, request_id, "ann", 1)
        return bench.transfers.send(ann, request_id, "bob", 1)

    async def turn() -> None:
        async with held(bench.storage.write):
            several = [asyncio.create_task(transfer()) for _ in range(MANY)]
            await asyncio.sleep(0)
        await asyncio.gather(*several)

    # The turn that is held, and one of all transfers.
    assert await count.of(turn) == 2 + 3
