"""DropService for clients that lost the answer or do not wait for it."""

import uuid

import pytest

from drink.v1 import drop_service_pb2 as pb
from tests.support.rpc_frontend import ANN, BOB, Frontend, refused

SLOT = "machines/d/slots/1"


async def _place(frontend: Frontend, request_id: str) -> pb.Drop:
    request = pb.DropRequest(request_id=request_id, slot=SLOT, no_wait=True)
    answer: pb.DropResponse = await frontend.call(request, ANN)
    return answer.drop


async def test_a_caller_that_does_not_wait_is_answered_at_once(frontend: Frontend) -> None:
    request_id = str(uuid.uuid4())
    first, again = await _place(frontend, request_id), await _place(frontend, request_id)

    assert first.state in {pb.Drop.STATE_RESERVED, pb.Drop.STATE_DISPATCHED}
    assert again.name == first.name


async def test_a_request_finds_its_drop(frontend: Frontend) -> None:
    request_id = str(uuid.uuid4())
    drop = await _place(frontend, request_id)
    answer = await frontend.call(pb.GetDropRequest(request_id=request_id), ANN)

    assert answer.drop.name == drop.name


@pytest.mark.parametrize("caller", [ANN, BOB])
async def test_a_request_that_made_no_drop_of_the_caller_finds_none(
    frontend: Frontend, caller: tuple[tuple[str, str], ...]
) -> None:
    request_id = str(uuid.uuid4())
    if caller is BOB:
        await _place(frontend, request_id)
    call = frontend.call(pb.GetDropRequest(request_id=request_id), caller)
    refusal = await refused(call)

    assert refusal.status == ("NOT_FOUND", "DROP_NOT_FOUND")


async def test_without_name_and_request_the_name_is_missing(frontend: Frontend) -> None:
    call = frontend.call(pb.GetDropRequest(), ANN)
    refusal = await refused(call)

    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "name"})
