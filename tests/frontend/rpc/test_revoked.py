"""A token that is revoked while a call by it is under way."""

import asyncio

import grpc

from drink.v1 import drop_service_pb2 as pb
from drink_frontend.domain.drop import Cause, DropEvent
from tests.fakes.rpc_frontend import ALICE, LIMIT_S, Frontend, read, refused
from tests.frontend.rpc.test_drop_service import order, placed


async def test_fault_70_a_watch_ends_at_once(frontend: Frontend) -> None:
    drop_id = await placed(frontend)
    watch = frontend.drop_stub.WatchDrop(
        pb.WatchDropRequest(name=f"drops/{drop_id}"), metadata=ALICE, timeout=LIMIT_S
    )
    await read(watch)
    await frontend.drops.bell.heard_by(1)
    frontend.permits.revoke("bob")
    frontend.permits.revoke("alice")

    refusal = await refused(read(watch))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    await frontend.drops.bell.heard_by(0)
    assert frontend.permits.held_by == []


async def test_fault_70_a_wait_for_the_outcome_ends_and_the_drop_goes_on(
    frontend: Frontend,
) -> None:
    call = asyncio.ensure_future(
        refused(frontend.drop_stub.Drop(order(), metadata=ALICE, timeout=LIMIT_S))
    )
    drop = await asyncio.wait_for(frontend.drops.placed(), LIMIT_S)
    await frontend.drops.bell.heard_by(1)
    frontend.permits.revoke("alice")

    refusal = await call
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    assert refusal.message == f"the token was revoked; the drop {drop.id} goes on"
    await frontend.drops.bell.heard_by(0)
    frontend.drops.move(drop.id, DropEvent.DISPATCH)
    frontend.drops.move(drop.id, DropEvent.PROVE_DISPENSED, Cause.BOARD_ACK)
    assert frontend.drops.drops[drop.id].state.final
