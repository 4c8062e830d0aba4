"""Calls above the rates are refused; a client that continues loses its connection."""

from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from drink.v1 import account_service_pb2, machine_service_pb2
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.rpc.call_rates import REFUSALS_LOGGED, REFUSALS_S, CallRates
from drink_frontend.rpc.calls import Kind, Peer, peer_at
from drink_frontend.rpc.settings import PaceSettings
from tests.frontend.rpc.test_messages import everybody_is_served
from tests.support.rpc_frontend import ANN, BOB, LIMIT_S, running_frontend

HERE = "192.0.2.1"


class Gate:
    """Call rates on a clock set by hand, and the connections that they have closed."""

    def __init__(self, **limits: Any) -> None:
        self.now = 0.0
        self.cut: list[int] = []
        self.waits: list[int] = []
        self.pace = CallRates(PaceSettings(**limits), self._cut, lambda: self.now)

    def _cut(self, peer: Peer) -> bool:
        self.cut.append(peer.port)
        return True

    def calls(
        self, count: int, kind: Kind = Kind.ACCOUNT, owner: str = "alice", **where: Any
    ) -> int:
        """How many of `count` calls are admitted."""
        peer = peer_at(where.get("address", HERE), where.get("port", 1))
        let_in = 0
        for _ in range(count):
            try:
                self.pace.begin(kind, owner, peer, where.get("place", peer.place))
            except RateLimitedError as error:
                self.waits.append(int(error.facts["retry_after_seconds"]))
            else:
                let_in += 1
        return let_in


def test_an_account_has_its_rate_wherever_it_calls_from() -> None:
    gate = Gate(account_calls_per_s=10, account_calls_burst=5)
    assert gate.calls(6) == 5
    assert gate.calls(1, port=2) == gate.calls(1, address="198.51.100.1") == 0
    assert gate.calls(5, owner="bob") == 5
    gate.now = 0.21
    assert gate.calls(5) == 2
    assert min(gate.waits) >= 1


def test_strangers_have_the_rate_of_their_place_and_health_that_of_its_connection() -> None:
    gate = Gate(stranger_calls_burst=3, health_checks_burst=2)
    assert gate.calls(9, Kind.STRANGER, "", port=1) == 3
    assert gate.calls(9, Kind.STRANGER, "", port=2) == 0
    assert gate.calls(9, Kind.STRANGER, "", address="198.51.100.1") == 3
    assert gate.calls(9, Kind.STRANGER, "", place="203.0.113.1") == 3
    assert gate.calls(9, Kind.HEALTH, "", port=3) == gate.calls(9, Kind.HEALTH, "", port=4) == 2


def test_links_have_limits_of_their_own() -> None:
    assert Gate(account_calls_burst=1).calls(1_000, Kind.MACHINE, "d") == 1_000


def test_fault_66_a_client_that_continues_after_refusals_loses_its_connection() -> None:
    gate = Gate(stranger_calls_burst=1, refusals_burst=3)
    gate.calls(4, Kind.STRANGER, "", port=7)
    assert gate.cut == []
    gate.calls(1, Kind.STRANGER, "", port=7)
    assert gate.cut == [7]
    gate.calls(1, Kind.STRANGER, "", port=8)
    assert gate.cut == [7]


def test_many_strangers_from_many_places_are_logged_and_not_refused() -> None:
    gate = Gate(strangers_busy_per_s=10)
    with capture_logs() as lines:
        for number in range(100):
            assert gate.calls(1, Kind.STRANGER, "", address=f"198.51.100.{number}") == 1
        gate.now = REFUSALS_S
        assert gate.calls(5, Kind.STRANGER, "") == 5
    assert [line["event"] for line in lines] == ["strangers_busy"]


def test_a_gateways_connection_is_not_closed_for_one_of_its_clients() -> None:
    gate = Gate(stranger_calls_burst=1, refusals_burst=1)
    gate.calls(9, Kind.STRANGER, "", place="203.0.113.1")
    assert gate.cut == []


def test_refusals_and_closed_connections_are_logged_and_not_without_end() -> None:
    gate = Gate(account_calls_burst=1, account_calls_per_s=0.001, refusals_burst=1)
    with capture_logs() as lines:
        gate.calls(100)
        events = [line["event"] for line in lines]
        gate.now = REFUSALS_S
        gate.calls(1)
    assert events.count("calls_refused") == events.count("connection_cut") == REFUSALS_LOGGED
    assert lines[0]["owner"] == "alice"
    assert lines[-1]["unlogged"] > 50


async def test_a_buyer_with_a_loop_is_refused_and_others_are_served() -> None:
    pace = {"account_calls_burst": 20, "account_calls_per_s": 0.1, "refusals_burst": 5}
    request = account_service_pb2.GetAccountRequest()
    async with running_frontend(pace=pace) as frontend:
        # The first one is a stranger's, until its token has been looked up.
        for _ in range(21):
            await frontend.call(request, BOB)
        for _ in range(5):
            refusal = await frontend.refused(request, BOB)
            assert refusal.status == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await frontend.call(request, BOB)
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        await frontend.call(request, ANN, wait_for_ready=True)
        await frontend.call(machine_service_pb2.ListMachinesRequest())
        await everybody_is_served(frontend)


async def test_calls_of_methods_that_do_not_exist_count_as_well() -> None:
    pace = {"stranger_calls_burst": 3, "stranger_calls_per_s": 0.1}
    async with running_frontend(pace=pace) as frontend:
        codes = []
        for number in range(5):
            method: Any = frontend.channel.unary_unary(f"/drink.v1.DropService/Brew{number}")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await method(b"", timeout=LIMIT_S)
            codes.append(refusal.value.code().name)
    assert codes == ["UNIMPLEMENTED"] * 3 + ["RESOURCE_EXHAUSTED"] * 2
