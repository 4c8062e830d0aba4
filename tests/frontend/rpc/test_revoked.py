"""A token that is revoked while a call with it is in flight."""

import asyncio

from tests.frontend.rpc.test_drop_service import order, watch_of
from tests.support.rpc_frontend import ANN, Frontend, read, refused


async def test_fault_70_a_watch_ends_at_once(frontend: Frontend) -> None:
    watch = watch_of(frontend, await frontend.bench.place(), ANN)
    await read(watch)
    await frontend.revoke("bob")
    await frontend.revoke("ann")

    refusal = await refused(read(watch))
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    await frontend.drops.followers.are(0)


async def test_fault_70_a_wait_for_the_outcome_ends_and_the_drop_goes_on(
    frontend: Frontend,
) -> None:
    call = asyncio.ensure_future(frontend.refused(order(), ANN))
    drop = await frontend.followed_drop()
    await frontend.revoke("ann")

    refusal = await call
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert refusal.message == f"the token was revoked; the drop {drop.id} goes on"
    await frontend.drops.followers.are(0)
    await frontend.dispense(drop)
    assert (await frontend.bench.drop(drop.id)).state.final
