"""Two frontends on one PostgreSQL: either answers for everything, and either may go."""

import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest

from drink.v1.drop_service_pb2 import (
    CancelDropRequest,
    Drop,
    DropRequest,
    ListDropsRequest,
    RefundDropRequest,
    WatchDropRequest,
)
from drink.v1.machine_service_pb2 import Machine, WatchMachinesRequest
from scripts.client import Client, session
from scripts.plan import MachinePlan, SlotPlan, UserPlan
from scripts.processes import wait_until
from scripts.proxy import Way
from tests.integration.audited_system import ADMIN, ALICE, COUPLE, PRICE, outcome, reason, refused
from tests.integration.two_frontends import BEAT_S, TwoFrontendSystem

TIMES = 10

PASSING = (grpc.StatusCode.UNAVAILABLE,)
"""What a program answers by asking again."""

SLOW_S = 1.0
"""Seconds that a motor runs where something is to happen meanwhile."""

LIMIT_S = 60

AWAY_S = 0.2
"""Seconds that the database stays away after a result could not be stored."""

RESEND_S = 60
"""Seconds after which an agent repeats what was not acknowledged."""

CARL = UserPlan("carl", "one-credit-left", PRICE)

MACHINES = ("d", "ld", "s")

PLAN = replace(
    COUPLE,
    machines=tuple(
        MachinePlan(name, name, (SlotPlan(1, "Coke", PRICE, 1_000), SlotPlan(2, "Last", PRICE, 1)))
        for name in MACHINES
    ),
    users=(replace(ALICE, credits=50_000), CARL, ADMIN),
    agent={"dispenser": f"resend_after_ms = {RESEND_S * 1000}"},
    frontend={
        "links": "heartbeat_interval_s = 1",
        "shutdown": "drops_limit_s = 5\ncalls_limit_s = 2",
    },
)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFrontendSystem]:
    """Two frontends, three machines."""
    with TwoFrontendSystem(tmp_path_factory.mktemp("several"), PLAN) as system:
        system.set_up()
        yield system


@pytest.fixture
def system(standing: TwoFrontendSystem) -> Iterator[TwoFrontendSystem]:
    """Both up, machine d at the first one and ld at the other; the books are checked afterwards."""
    standing.begin()
    standing.link("d", standing)
    standing.link("ld", standing.other)
    yield standing
    standing.revive()
    standing.open_ways()
    standing.audit()


@pytest.fixture
def alices(system: TwoFrontendSystem) -> Iterator[tuple[Client, Client]]:
    """A buyer at the first frontend, and at the other."""
    clients = system.at_both(ALICE)
    yield clients
    for client in clients:
        client.close()


def request_of(slot: str, request_id: str = "") -> DropRequest:
    machine, number = slot.split("/")
    name = f"machines/{machine}/slots/{number}"
    return DropRequest(request_id=request_id or str(uuid.uuid4()), slot=name)


def insist(clients: Sequence[Client], slot: str, request_id: str = "") -> Drop:
    """Buys at both frontends in turn: repeats the same request at the next one."""
    request, deadline = request_of(slot, request_id), time.monotonic() + LIMIT_S
    for attempt in range(1_000):
        client = clients[attempt % len(clients)]
        try:
            answer = client.drops.Drop(request, metadata=client.metadata, timeout=LIMIT_S)
        except grpc.RpcError as error:
            is_passing = isinstance(error, grpc.Call) and error.code() in PASSING
            if not is_passing or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return answer.drop
    raise AssertionError("unreachable")


@pytest.mark.parametrize("slot", ["d/1", "ld/1"])
def test_a_drop_asked_of_either_frontend_reaches_the_machine(
    system: TwoFrontendSystem, alices: tuple[Client, Client], slot: str
) -> None:
    runs = system.runs(slot.split("/", maxsplit=1)[0])
    drops = [client.drop(slot) for client in alices * 3]
    assert {outcome(drop) for drop in drops} == {("DISPENSED", "BOARD_ACK")}
    assert system.runs(slot.split("/", maxsplit=1)[0]) == runs + len(drops)
    for drop in drops:
        assert alices[0].get(drop.name) == alices[1].get(drop.name) == drop


def test_a_session_at_the_frontend_without_the_link_drops_and_waits(
    system: TwoFrontendSystem,
) -> None:
    lines = (f"USER {ALICE.name}", f"PASS {ALICE.password}", "MACHINE d", "DROP 1")
    *_, (_, dropped) = session(system.other.session_port, lines)
    assert dropped.startswith("OK Credits remaining"), dropped


def test_either_frontend_shows_a_drop_as_it_moves(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    here, there = alices
    system.boards["d"].fault("slow", slot=1, seconds=SLOW_S)
    drop = here.place("d/1")
    watch = there.drops.WatchDrop(
        WatchDropRequest(name=drop.name), metadata=there.metadata, timeout=LIMIT_S
    )
    seen = [each.drop for each in watch]
    assert outcome(seen[-1]) == ("DISPENSED", "BOARD_ACK")
    assert [each.state for each in seen][-2:] == [Drop.STATE_DISPATCHED, Drop.STATE_DISPENSED]


def test_either_frontend_shows_machines_as_they_come_and_go(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    watches = [
        client.machines.WatchMachines(
            WatchMachinesRequest(names=["machines/d"]), metadata=client.metadata, timeout=LIMIT_S
        )
        for client in alices
    ]

    def wait_for(reach: Machine.Reach.ValueType) -> None:
        for watch in watches:
            assert any(each.machine.reach == reach for each in watch)

    wait_for(Machine.REACH_READY)
    system.agents["d"].stop()
    wait_for(Machine.REACH_OFFLINE)
    system.agents["d"].start()
    wait_for(Machine.REACH_READY)
    for watch in watches:
        watch.cancel()


def test_fault_31_the_same_request_at_both_frontends_at_once_is_one_can(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Invariant 13: as often as it is asked, of whichever frontend."""
    for slot in ("d/1", "ld/1") * (TIMES // 2):
        machine, request_id = slot.split("/")[0], str(uuid.uuid4())
        runs = system.runs(machine)
        calls = [client.start(slot, request_id) for client in alices * 3]
        answers = [call.result() for call in calls]
        assert all(answer == answers[0] for answer in answers)
        assert outcome(answers[0].drop) == ("DISPENSED", "BOARD_ACK")
        assert system.runs(machine) == runs + 1


def reserved(client: Client) -> Sequence[Drop]:
    """The client's drops that wait for their machine."""
    request = ListDropsRequest(states=[Drop.STATE_RESERVED])
    return client.call(client.drops.ListDrops, request).drops


def test_fault_31_a_drop_cancelled_at_one_and_taken_at_the_other_is_one_of_both(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Cancelled ever nearer to the moment at which the drop before it ends."""
    here, there = alices
    for early_s in (0.08, 0.04, 0.02, 0.0, -0.02):
        system.boards["d"].fault("slow", slot=1, seconds=0.4)
        runs = system.runs("d")
        first, second = here.start("d/1"), here.start("d/1")
        system.wait_for_motor("d", runs + 1)
        waiting = wait_until(lambda: reserved(there), "the second drop waits")
        time.sleep(0.35 - early_s)
        cancel = there.drops.CancelDrop.future(
            CancelDropRequest(name=waiting[0].name), metadata=there.metadata, timeout=LIMIT_S
        )
        refusal = cancel.exception()
        if refusal is None:
            expected = ("NOT_DISPENSED", "CANCELLED")
        else:
            assert isinstance(refusal, grpc.RpcError)
            assert reason(refusal) == "DROP_NOT_CANCELLABLE"
            expected = ("DISPENSED", "BOARD_ACK")
        said = {outcome(call.result().drop) for call in (first, second)}
        assert said == {("DISPENSED", "BOARD_ACK"), expected}
        assert outcome(here.get(waiting[0].name)) == expected
        assert system.runs("d") == runs + (1 if "CANCELLED" in expected else 2)


def test_fault_31_the_last_item_asked_of_both_frontends_at_once_is_sold_once(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Invariant 10, with buyers enough for each."""
    calls = [client.start("s/2") for client in alices * 3]
    said = [reason(call.exception()) if call.exception() else "" for call in calls]
    assert sorted(said) == ["", *["SLOT_EMPTY"] * (len(calls) - 1)]


def test_fault_31_the_last_credits_spent_at_both_frontends_at_once_are_spent_once(
    system: TwoFrontendSystem,
) -> None:
    """Invariant 2, with items enough for each."""
    carls = system.at_both(CARL)
    calls = [client.start("d/1") for client in carls * 3]
    said = [reason(call.exception()) if call.exception() else "" for call in calls]
    assert sorted(said) == ["", *["INSUFFICIENT_CREDITS"] * (len(calls) - 1)]
    for client in carls:
        client.close()


def _start_slow_drop(system: TwoFrontendSystem, buyer: Client, request_id: str) -> Any:
    """A drop from d whose motor runs for a while; it runs when this returns."""
    runs = system.runs("d")
    system.open_ways("d")
    system.boards["d"].fault("slow", slot=1, seconds=SLOW_S)
    call = buyer.start("d/1", request_id)
    system.wait_for_motor("d", runs + 1)
    return call


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_fault_24_a_frontend_that_goes_in_mid_drop_leaves_it_to_the_other(
    system: TwoFrontendSystem, alices: tuple[Client, Client], end: signal.Signals
) -> None:
    """Its agent moves to the other frontend and reports the drop; the same request finds it."""
    runs, request_id = system.runs("d"), str(uuid.uuid4())
    call = _start_slow_drop(system, alices[0], request_id)
    system.frontend.send(end)
    drop = insist(alices[1:], "d/1", request_id)
    assert outcome(drop) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1
    system.frontend.wait()
    system.wait_linked("d", system.other)
    if end is signal.SIGTERM:
        assert call.result().drop == drop
    assert outcome(alices[1].drop("d/1"))[0] == "DISPENSED"


def test_fault_24_nobody_is_told_of_machines_that_a_dead_frontend_took_along(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    system.agents["d"].send(signal.SIGSTOP)
    system.frontend.kill()
    system.other.wait_reach(Machine.REACH_OFFLINE, "d")
    system.other.frontend.wait_for("frontend_lost")
    system.agents["d"].send(signal.SIGCONT)


def test_a_frontend_that_stops_withdraws_its_machines_at_once(system: TwoFrontendSystem) -> None:
    system.agents["d"].send(signal.SIGSTOP)
    system.frontend.stop()
    assert system.linked("d") == 0
    assert not [
        event for event in system.other.frontend.events() if event["event"] == "frontend_lost"
    ]
    system.agents["d"].send(signal.SIGCONT)


def test_fault_24_a_scheduled_drop_whose_frontend_died_falls_in_time(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    drop = alices[1].place("d/1", delay_s=3)
    assert drop.state == Drop.STATE_SCHEDULED
    system.other.frontend.kill()
    assert outcome(alices[0].answered(drop.name, limit_s=10)) == ("DISPENSED", "BOARD_ACK")


def test_fault_69_a_database_that_is_away_for_a_moment_does_not_stop_a_busy_machine(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Invariant 15: the frontend stores a report long before the agent would repeat it."""
    drop = system.turning(0.4, buyer=alices[1])
    system.frontend.mark()
    system.to_database.refuse()
    system.to_database.cut()
    system.frontend.wait_for("result_postponed", limit_s=LIMIT_S)
    began = time.monotonic()
    time.sleep(AWAY_S)
    system.to_database.accept()
    settled = alices[1].answered(drop.name, limit_s=RESEND_S / 2)
    print(f"{AWAY_S} s without a database delayed a result by {time.monotonic() - began:.2f} s")
    assert outcome(settled) == ("DISPENSED", "BOARD_ACK")


def test_what_an_operator_decides_is_seen_at_both_frontends(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    drop = system.unanswered(buyer=alices[1])
    system.agents["d"].kill()
    system.agents["d"].start()
    watches = [
        client.drops.WatchDrop(
            WatchDropRequest(name=drop.name), metadata=client.metadata, timeout=LIMIT_S
        )
        for client in alices
    ]
    assert outcome(alices[1].answered(drop.name)) == ("UNKNOWN", "AGENT_RESTARTED")
    system.resolve(drop)
    for watch in watches:
        assert outcome([each.drop for each in watch][-1]) == ("DISPENSED", "OPERATOR")


def test_fault_17_a_link_whose_agent_is_at_the_other_frontend_by_now_is_ended(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Invariant 14: the old stream still stands, and no command goes out on it."""
    runs = system.runs("d")
    here, there = (system.ways["d"][each.rpc_port] for each in system.both)
    drops = [system.turning(SLOW_S, buyer=alices[0]), alices[0].place("d/2")]
    here.refuse()
    there.accept()
    here.cut(Way.DOWN)  # the agent is told, the frontend is not
    system.wait_linked("d", system.other)
    system.frontend.wait_for("link_closed", machine="d")
    for drop in drops:
        assert outcome(alices[0].answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 2


def test_fault_29_a_frozen_frontend_is_left_and_does_nothing_when_it_thaws(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    runs, request_id = system.runs("d"), str(uuid.uuid4())
    call = _start_slow_drop(system, alices[0], request_id)
    system.frontend.send(signal.SIGSTOP)
    try:
        system.wait_linked("d", system.other)
        assert outcome(insist(alices[1:], "d/1", request_id)) == ("DISPENSED", "BOARD_ACK")
        assert outcome(alices[1].drop("d/1"))[0] == "DISPENSED"
        system.other.frontend.wait_for("frontend_lost")
    finally:
        system.frontend.send(signal.SIGCONT)
    system.frontend.wait_for("link_closed", machine="d")
    assert outcome(call.result().drop) == ("DISPENSED", "BOARD_ACK")
    assert outcome(alices[0].drop("d/1"))[0] == "DISPENSED"
    assert system.runs("d") == runs + 3


def test_fault_38_a_frontend_cut_off_from_the_database_lets_its_agents_go(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """The outcome of the running motor is reported to the other frontend."""
    runs, request_id = system.runs("d"), str(uuid.uuid4())
    call = _start_slow_drop(system, alices[0], request_id)
    system.to_database.refuse()
    system.to_database.cut()
    try:
        assert outcome(insist(alices[1:], "d/1", request_id)) == ("DISPENSED", "BOARD_ACK")
        system.wait_linked("d", system.other)
        with refused("STORAGE_UNAVAILABLE"):
            call.result()
    finally:
        system.to_database.accept()
    assert outcome(insist(alices[:1], "d/1", request_id)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


class Load:
    """Buyers who know both frontends and buy without a pause, from any machine.

    Args:
        system: Where.
        buyers: How many.
    """

    def __init__(self, system: TwoFrontendSystem, buyers: int) -> None:
        self._clients = system.at_both(ALICE)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(buyers)
        self._work = [self._pool.submit(self._buy, number) for number in range(buyers)]

    def _buy(self, number: int) -> list[Drop]:
        drops: list[Drop] = []
        clients = self._clients if number % 2 else self._clients[::-1]
        while not self._over.is_set():
            machine = MACHINES[(number + len(drops)) % len(MACHINES)]
            drops.append(insist(clients, f"{machine}/1"))
            time.sleep(0.2)
        return drops

    def end(self) -> list[Drop]:
        """What was bought, once all have stopped."""
        self._over.set()
        drops = [drop for work in self._work for drop in work.result()]
        self._pool.shutdown()
        for client in self._clients:
            client.close()
        return drops


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_fault_21_either_frontend_may_go_under_load_and_no_drop_fails(
    system: TwoFrontendSystem, end: signal.Signals
) -> None:
    """A rolling restart, and crashes: a repeated request_id gets each can."""
    system.open_ways()
    load = Load(system, 4)
    for each in system.both:
        time.sleep(BEAT_S)
        each.frontend.send(end)
        each.frontend.wait()
        each.start_frontend()
    drops = load.end()
    assert {outcome(drop) for drop in drops} == {("DISPENSED", "BOARD_ACK")}
    assert len({drop.name for drop in drops}) == len(drops) >= 8


def test_fault_70_what_a_closed_account_has_open_ends_at_every_frontend(
    system: TwoFrontendSystem,
) -> None:
    """Watches of machines, and sessions; the others' go on."""
    system.admin("user", "add", "dave", "--password", text="let-me-in\n")
    dave = UserPlan("dave", "let-me-in", 0)
    clients, sessions = system.at_both(dave), []
    try:
        watches = [
            client.machines.WatchMachines(
                WatchMachinesRequest(), metadata=client.metadata, timeout=LIMIT_S
            )
            for client in clients
        ]
        for watch in watches:
            next(watch)
        for each in system.both:
            talk = socket.create_connection(("127.0.0.1", each.session_port), timeout=LIMIT_S)
            sessions.append(talk)
            talk.sendall(b"USER dave\nPASS let-me-in\n")
            heard = b""
            while b"Credits" not in heard:
                heard += talk.recv(4_096)

        system.admin("user", "change", "dave", "--closed")
        for watch in watches:
            with refused("TOKEN_INVALID"):
                for _ in watch:
                    pass
        for talk in sessions:
            heard = b""
            while chunk := talk.recv(4_096):
                heard += chunk
            assert heard == b"ERR 204 You need to login.\n"
    finally:
        for client in clients:
            client.close()
        for talk in sessions:
            talk.close()


def test_fault_71_a_drop_is_given_back_once_by_requests_at_both_frontends(
    system: TwoFrontendSystem, alices: tuple[Client, Client]
) -> None:
    """Invariant 26, at once and by different amounts."""
    drop, before = alices[0].drop("d/1").name, alices[1].account().posted_credits
    roots = system.at_both(ADMIN)
    calls = []
    for number in range(TIMES):
        root, terms = roots[number % 2], {"credits": 1 + number, "reason": "it was warm"}
        request = RefundDropRequest(request_id=f"back-{number}", name=drop, **terms)  # type: ignore[arg-type]
        calls.append(root.drops.RefundDrop.future(request, metadata=root.metadata))
    errors = [call.exception() for call in calls]
    refusals = [reason(error) for error in errors if isinstance(error, grpc.RpcError)]
    given = [call.result().drop.refunded_credits for call in calls if call.exception() is None]
    assert refusals == ["DROP_REFUNDED"] * (TIMES - 1)
    assert [alice.account().posted_credits - before for alice in alices] == given * 2
    for root in roots:
        root.close()
