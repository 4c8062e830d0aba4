"""`/drinks`: what the machines have, and drops."""

import asyncio
import contextlib
from typing import Any

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as pb
from drink_web.errors import CallError
from drink_web.follow import Follower
from drink_web.rest.exchange import Exchange, RestError, known_machines, slot_name
from drink_web.rest.shapes import balance, machine_shape
from drink_web.texts import TEXTS

TOLD = (
    pb.Drop.STATE_DISPENSED,
    pb.Drop.STATE_NOT_DISPENSED,
    pb.Drop.STATE_UNKNOWN,
)
"""States of drops of which the client is told at once."""


async def show(exchange: Exchange) -> dict[str, Any]:
    """GET /drinks: all machines with their slots, or the one that `machine` names."""
    known = known_machines(exchange)
    wanted = exchange.request.query_params.get("machine")
    if wanted is not None:
        machine = known.get(f"machines/{wanted}")
        if machine is None:
            raise RestError(400, "The provided machine name is not a valid machine")
        known = {machine.name: machine}
    shapes = [machine_shape(machine) for machine in known.values()]
    names = ", ".join(shape["name"] for shape in shapes)
    message = f"Successfully retrieved machine contents for {names}"
    return {"machines": shapes, "message": message}


async def drop(exchange: Exchange) -> dict[str, Any]:
    """POST /drinks/drop: buys what is in a slot, and answers once its outcome is known.

    Only a can that fell is a success.
    """
    _, request_id = exchange.caller, exchange.request_id
    slot = slot_name(await exchange.body("machine", "slot"))
    request = pb.DropRequest(request_id=request_id, slot=slot, no_wait=True)
    try:
        placed = await exchange.call(exchange.site.api.drops.Drop, request)
    except CallError as error:
        if not error.is_away:
            raise
        raise RestError(
            504,
            "Nobody can tell whether the drop was ordered. "
            "Repeat it with this Idempotency-Key only, or look into your history.",
            {"idempotencyKey": request_id},
        ) from None
    follower = Follower(exchange.site.api, placed.drop.name, exchange.caller)
    found = await _outcome(follower, placed.drop, exchange.site.settings.rest.drop_limit_s)
    if found.state != pb.Drop.STATE_DISPENSED:
        raise not_sold(found)
    return {"message": "Drop successful!", "drinkBalance": await _balance(exchange, placed)}


async def _outcome(follower: Follower, drop: pb.Drop, limit_s: float) -> pb.Drop:
    """The drop once it is told of, or as it stands at the limit or when it cannot be followed."""
    if drop.state in TOLD:
        return drop
    running = asyncio.create_task(follower.run())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not (follower.is_refused or (follower.drop or drop).state in TOLD):
                    await follower.changed()
    finally:
        running.cancel()
    return follower.drop or drop


async def _balance(exchange: Exchange, placed: pb.DropResponse) -> int:
    """What is left after a drop.

    Paying what is held changes nothing of what can be spent, so that the answer to the order has it
    where the account is not shown: to a token that may only drop, or while the frontend is away.
    """
    try:
        method = exchange.site.api.accounts.GetAccount
        answer = await exchange.call(method, accounts.GetAccountRequest())
        return balance(answer.account)
    except CallError:
        return int(placed.available_credits)


def not_sold(drop: pb.Drop) -> RestError:
    """The answer about a drop that was not sold, or not yet, as far as anybody knows."""
    name = drop.name.removeprefix("drops/")
    state = pb.Drop.State.Name(drop.state).removeprefix("STATE_")
    facts = {"drop": name, "state": state}
    held = f"{drop.price} credits are held, drop {name}. Do not try again."
    if drop.state == pb.Drop.STATE_NOT_DISPENSED:
        cause = TEXTS["en"].word("cause", drop.cause)
        return RestError(500, f"Nothing fell, and nothing is paid: {cause}.", facts)
    if drop.state == pb.Drop.STATE_UNKNOWN:
        return RestError(504, f"Nobody can tell whether it fell. {held}", facts)
    return RestError(504, f"It is still on its way. {held}", facts)
