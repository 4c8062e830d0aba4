"""Responses that are not read are limited in bytes and time; pages of lists are limited too."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink.v1 import drop_service_pb2, machine_service_pb2
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.calls import Call, Kind, Peer, peer_at
from drink_frontend.rpc.response_limits import CUTS_LOGGED, PageLimits, ResponseLimits
from drink_frontend.rpc.settings import AdmissionSettings, ResponseSettings
from drink_frontend.usecases.placement import DropOrder
from tests.support.http2 import Http2Connection
from tests.support.ids import id_of
from tests.support.rpc_frontend import ANN, LIMIT_S, Frontend, running_frontend

KB = 1_024


class Setup:
    """Response limits with a clock that a test sets, and the connections that they have closed."""

    def __init__(self, **limits: Any) -> None:
        self.now = 0.0
        self.cut: list[int] = []
        self.responses = ResponseLimits(ResponseSettings(**limits), self._cut, lambda: self.now)
        self.admission = Admission(AdmissionSettings(), 1_000, self._cut, lambda _: False)

    def _cut(self, peer: Peer) -> bool:
        self.cut.append(peer.port)
        return True

    def call(self, port: int, owner: str = "alice", kind: Kind = Kind.ACCOUNT) -> Call:
        """A call on the connection from a port."""
        return self.admission.enter(kind, owner, peer_at("192.0.2.1", port))


async def test_fault_67_the_caller_with_most_bytes_waiting_loses_a_connection() -> None:
    setup = Setup(bytes_per_caller_max=256 * KB, bytes_max=256 * KB)
    setup.responses.leaving(setup.call(1, "bob"), 100 * KB)
    setup.responses.leaving(setup.call(2), 80 * KB)
    setup.responses.leaving(setup.call(3), 70 * KB)
    assert setup.cut == []
    setup.responses.leaving(setup.call(4, "carol"), 60 * KB)
    assert setup.cut == [2]
    assert setup.responses.bytes_leaving <= 256 * KB


async def test_fault_67_one_account_holds_so_many_bytes_and_others_do_not_pay_for_it() -> None:
    setup = Setup(bytes_per_caller_max=100 * KB)
    setup.responses.leaving(setup.call(1, "bob"), 90 * KB)
    for port in range(2, 10):
        setup.responses.leaving(setup.call(port), 60 * KB)
    assert setup.cut == list(range(2, 9))
    assert setup.responses.bytes_leaving == 150 * KB


async def test_strangers_are_counted_by_their_address() -> None:
    setup = Setup(bytes_per_caller_max=100 * KB)
    setup.responses.leaving(setup.call(1, "", Kind.STRANGER), 90 * KB)
    setup.responses.leaving(setup.call(2, "", Kind.STRANGER), 90 * KB)
    assert setup.cut == [1]


async def test_one_response_alone_is_never_too_many() -> None:
    setup = Setup(bytes_per_caller_max=64 * KB, bytes_max=64 * KB)
    setup.responses.leaving(setup.call(1), 1_000 * KB)
    assert setup.cut == []


async def test_all_responses_on_a_cut_connection_are_gone() -> None:
    setup = Setup(bytes_per_caller_max=100 * KB)
    for _ in range(2):
        setup.responses.leaving(setup.call(1), 45 * KB)
    setup.responses.leaving(setup.call(2), 60 * KB)
    assert setup.cut == [1]
    assert setup.responses.bytes_leaving == 60 * KB


async def test_what_has_left_counts_no_more() -> None:
    setup = Setup(bytes_per_caller_max=100 * KB)
    for _ in range(10):
        call = setup.call(1)
        setup.responses.leaving(call, 90 * KB)
        setup.responses.left(call)
    assert (setup.cut, setup.responses.bytes_leaving) == ([], 0)


async def test_a_response_that_takes_too_long_costs_its_connection_and_no_other() -> None:
    setup = Setup(leave_limit_s=30)
    setup.responses.leaving(setup.call(1), 10)
    setup.now = 20
    setup.responses.leaving(setup.call(2), 10)
    setup.now = 29
    setup.responses.end_slow()
    assert setup.cut == []
    setup.now = 30
    setup.responses.end_slow()
    assert setup.cut == [1]


async def test_cuts_are_logged_and_a_flood_of_them_is_not() -> None:
    setup = Setup(leave_limit_s=1)
    with capture_logs() as logs:
        for port in range(CUTS_LOGGED + 5):
            setup.responses.leaving(setup.call(port), 10)
            setup.now += 1
            setup.responses.end_slow()
    assert len(logs) == CUTS_LOGGED
    assert (logs[0]["event"], logs[0]["owner"], logs[0]["cut"]) == ("connection_cut", "alice", True)


LIST = "/drink.v1.DropService/ListDrops"
BEARER = dict(ANN)["authorization"]


async def fill(frontend: Frontend, count: int) -> None:
    """Gives Ann drops to list."""
    await frontend.bench.change_slot("d", 1, price=0, available=count)
    for number in range(count):
        await frontend.drops.place(DropOrder(id_of("ann"), f"r{number}", "d", 1, delay_s=9))


async def test_fault_67_a_client_that_does_not_read_loses_its_connection() -> None:
    limits = {"bytes_per_caller_max": 64 * KB, "leave_limit_s": 3_600}
    unpaced = {"account_calls_per_s": 1_000_000, "account_calls_burst": 1_000_000}
    async with running_frontend(responses=limits, pace=unpaced) as frontend:
        await fill(frontend, 30)
        size = len(
            (await frontend.call(drop_service_pb2.ListDropsRequest(), ANN)).SerializeToString()
        )
        clients: list[Http2Connection] = []
        for _ in range(64 * KB // size // 50 + 3):
            client = await Http2Connection.connect("127.0.0.1", frontend.port, window=0)
            for _ in range(50):
                client.call(LIST, b"", authorization=BEARER)
            await client.drain()
            clients.append(client)
        cut = [asyncio.create_task(client.closed.wait()) for client in clients]
        done, others = await asyncio.wait(cut, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        assert done
        for other in others:
            other.cancel()
        page = await frontend.call(drop_service_pb2.ListDropsRequest(), ANN)
        assert len(page.drops) == 30
        for client in clients:
            await client.close()


@pytest.mark.parametrize(
    ("method", "metadata"),
    [
        (LIST, {"authorization": BEARER}),
        ("/drink.v1.MachineService/ListMachines", {}),
        ("/drink.v1.MachineService/WatchMachines", {}),
        ("/grpc.health.v1.Health/Watch", {}),
        ("/grpc.health.v1.Health/Check", {}),
    ],
)
async def test_fault_67_a_response_that_is_not_read_in_time_costs_its_connection(
    method: str, metadata: dict[str, str]
) -> None:
    limits = {"leave_limit_s": 0.05}
    looks = {"look_interval_s": 0.02}
    async with running_frontend(responses=limits, connections=looks) as frontend:
        await fill(frontend, 1)
        client = await Http2Connection.connect("127.0.0.1", frontend.port, window=0)
        client.call(method, b"", **metadata)
        await asyncio.wait_for(client.closed.wait(), LIMIT_S)
        await client.close()
        answer = await frontend.call(machine_service_pb2.ListMachinesRequest())
        assert len(answer.machines) == 2


async def test_a_client_that_reads_keeps_its_connection() -> None:
    limits = {"leave_limit_s": 0.5}
    looks = {"look_interval_s": 0.02}
    async with running_frontend(responses=limits, connections=looks) as frontend:
        client = await Http2Connection.connect("127.0.0.1", frontend.port)
        watching = client.call("/drink.v1.MachineService/WatchMachines", b"")
        loop = asyncio.get_running_loop()
        until = loop.time() + 2 * limits["leave_limit_s"]
        while loop.time() < until:
            asked = client.call("/drink.v1.MachineService/ListMachines", b"")
            await asyncio.wait_for(client.ended(asked), LIMIT_S)
        assert not client.has_ended(watching)
        assert not client.closed.is_set()
        await client.close()


def row(number: int) -> drop_service_pb2.Drop:
    return drop_service_pb2.Drop(name=f"drops/{number}", item="x" * 1_000)


def test_a_page_holds_the_first_rows_that_fit() -> None:
    pages = PageLimits(ResponseSettings(page_bytes_max=5_000))
    messages = pages.fit(range(100), row)
    assert [message.name for message in messages] == [f"drops/{number}" for number in range(4)]
    assert sum(message.ByteSize() for message in messages) <= 5_000


def test_a_page_has_a_row_however_large_that_is() -> None:
    pages = PageLimits(ResponseSettings(page_bytes_max=4_096))
    large = drop_service_pb2.Drop(item="x" * 10_000)
    assert pages.fit([1, 2], lambda _: large) == [large]


def test_a_page_of_nothing_is_empty() -> None:
    assert PageLimits(ResponseSettings()).fit([], row) == []


async def test_one_account_waits_for_itself_and_not_another_for_it() -> None:
    pages = PageLimits(ResponseSettings(pages_per_account_max=1, pages_max=2))
    order: list[str] = []
    gate = asyncio.Event()

    async def build(account: str) -> None:
        async with pages.turn(account, 0):
            order.append(account)
            await gate.wait()

    builds = [asyncio.create_task(build(account)) for account in ("alice", "alice", "alice", "bob")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["alice", "bob"]
    gate.set()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*builds)
    assert order == ["alice", "bob", "alice", "alice"]


async def test_an_account_is_given_so_many_rows_a_second() -> None:
    pages = PageLimits(ResponseSettings(pages_per_account_max=1, rows_per_account_per_s=1_000))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        async with pages.turn("alice", 100):
            pass
    async with pages.turn("bob", 100):
        pass
    assert loop.time() - began >= 0.2


async def test_no_state_is_kept_of_accounts_without_pages() -> None:
    pages = PageLimits(ResponseSettings(pages_per_account_max=1))
    async with pages.turn("alice", 0):
        assert pages._of_account.keys() == {"alice"}
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0, ended.set)  # After what the turn has left to do.
    await asyncio.wait_for(ended.wait(), LIMIT_S)
    assert pages._of_account == {}
