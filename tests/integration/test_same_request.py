"""One request_id is one can, one charge and one answer, however often and whenever it is sent."""

import uuid

import pytest

from drink.v1.drop_service_pb2 import DropRequest, DropResponse
from tests.integration.audited_system import COUPLE, PRICE, AuditedSystem, outcome, refused

PLAN = COUPLE

TIMES = 10


def send(system: AuditedSystem, request_id: str) -> list[DropResponse]:
    """What the same request, sent ten times at once, is answered."""
    calls = [system.alice.start("d/1", request_id) for _ in range(TIMES)]
    return [call.result() for call in calls]


def test_fault_3_the_same_request_at_once_and_after_restarts_is_one_can(
    system: AuditedSystem,
) -> None:
    request_id, runs = str(uuid.uuid4()), system.runs("d")
    credits_ = system.alice.account().available_credits

    answers = send(system, request_id)
    system.frontend.stop()
    system.start_frontend()
    answers += send(system, request_id)
    system.wait_ready("d")
    system.agents["d"].kill()
    system.start_agent("d")
    answers += send(system, request_id)

    first = answers[0]
    assert outcome(first.drop) == ("DISPENSED", "BOARD_ACK")
    assert all(answer == first for answer in answers)
    assert first.available_credits == credits_ - PRICE
    assert system.runs("d") == runs + 1


def test_fault_3_a_refused_drop_stays_refused(system: AuditedSystem) -> None:
    request_id, runs = str(uuid.uuid4()), system.runs("d")
    system.boards["d"].fault("refuse", slot=1)
    answers = send(system, request_id) + send(system, request_id)
    assert {outcome(answer.drop) for answer in answers} == {("NOT_DISPENSED", "BOARD_REFUSED")}
    assert len({answer.drop.name for answer in answers}) == 1
    assert system.runs("d") == runs


@pytest.mark.parametrize("change", ["slot", "delay", "price_ceiling"])
def test_fault_4_the_same_request_id_with_another_body_is_refused(
    system: AuditedSystem, change: str
) -> None:
    request = DropRequest(request_id=str(uuid.uuid4()), slot="machines/d/slots/1")
    drop = system.alice.call(system.alice.drops.Drop, request).drop
    match change:
        case "slot":
            request.slot = "machines/d/slots/2"
        case "delay":
            request.delay.FromSeconds(1)
        case "price_ceiling":
            request.price_ceiling = PRICE
    with refused("REQUEST_ID_REUSED"):
        system.alice.call(system.alice.drops.Drop, request)
    assert system.alice.get(drop.name) == drop


def test_one_request_id_of_two_buyers_is_two_drops(system: AuditedSystem) -> None:
    request_id = str(uuid.uuid4())
    drops = [client.drop("d/1", request_id) for client in (system.alice, system.bob)]
    assert drops[0].name != drops[1].name
    assert {outcome(drop) for drop in drops} == {("DISPENSED", "BOARD_ACK")}
