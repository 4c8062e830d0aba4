"""DropService: buying and following drops."""
# ruff: noqa: N802 - the methods are named by the protocol

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from drink.v1 import drop_service_pb2 as pb
from drink.v1 import drop_service_pb2_grpc
from drink_frontend.domain import entities
from drink_frontend.domain.errors import (
    DropNotFoundError,
    DropNotUnknownError,
    FieldInvalidError,
)
from drink_frontend.domain.limits import PAGE_MAX, check_text
from drink_frontend.rpc.call_spans import traceparent
from drink_frontend.rpc.calls import Context, administrator, caller, current_call
from drink_frontend.rpc.conversion import (
    page_limit,
    page_token,
    parse_account,
    parse_drop,
    parse_page_token,
)
from drink_frontend.rpc.drop_conversion import (
    STATES,
    decision,
    drop_message,
    drop_order,
    drop_selection,
    record_message,
)
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.permits import Permit, Permits
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.reports import Report
from drink_frontend.usecases.views import ReadThroughCache
from drink_frontend.usecases.watches import Watches

EVERYONE = "accounts/-"
"""Parent that stands for the drops of every account (AIP-159)."""

_FELL = {
    pb.ReportDropRequest.SEEN_UNSPECIFIED: None,
    pb.ReportDropRequest.SEEN_FELL: True,
    pb.ReportDropRequest.SEEN_DID_NOT_FALL: False,
}


class DropService(drop_service_pb2_grpc.DropServiceServicer):
    """The RPCs of drink.v1.DropService.

    Args:
        drops: The use cases of drops.
        balances: Credits of accounts after a drop.
        watches: Limits watches.
        permits: Ends calls whose token is revoked.
        pages: Limits pages of lists.
        wait_s: Longest wait for an outcome, in seconds.
        begin_s: Seconds after which the headers of the response to a waiting call are sent.
    """

    def __init__(
        self,
        drops: Drops,
        balances: ReadThroughCache[entities.Account],
        watches: Watches,
        permits: Permits,
        *,
        pages: PageLimits,
        wait_s: float,
        begin_s: float,
    ) -> None:
        self._drops = drops
        self._balances = balances
        self._watches = watches
        self._permits = permits
        self._pages = pages
        self._wait_s = wait_s
        self._begin_s = begin_s

    async def Drop(self, request: pb.DropRequest, context: Context) -> pb.DropResponse:
        """Buys an item and waits for the outcome, unless the drop is delayed or has no_wait."""
        order = drop_order(request, caller().id, current_call().token_digest, traceparent())
        drop = await self._drops.place(order)
        if not (order.delay_s or request.no_wait or drop.state.answered):
            # The drop itself goes on, since it is paid for.
            message = f"the token was revoked; the drop {drop.id} goes on"
            try:
                async with (
                    _begun_after(self._begin_s, context),
                    asyncio.timeout(self._wait_s),
                    self._permits.required(Permit(order.account, token=order.token), message),
                ):
                    drop = await self._drops.outcome(drop.id)
            except TimeoutError:
                # The drop exists, so the answer is its present state and not an error.
                drop = await self._drops.get(caller(), drop.id)
        account = await self._balances.get(order.account)
        place = await self._drops.place_of(drop)
        return pb.DropResponse(drop=drop_message(drop, place), available_credits=account.available)

    async def GetDrop(self, request: pb.GetDropRequest, _context: Context) -> pb.GetDropResponse:
        """Returns the present state of a drop, by its name or by the caller's request_id."""
        if request.request_id and not request.name:
            drop = _shown(await self._drops.find(caller(), request.request_id))
        else:
            drop = await self._get(parse_drop(request.name, "name"))
        place = await self._drops.place_of(drop)
        reason = await self._drops.decision(caller(), drop)
        return pb.GetDropResponse(drop=drop_message(drop, place, reason))

    async def _get(self, drop_id: str) -> entities.Drop:
        """A drop that the caller may see."""
        return _shown(await self._drops.get(caller(), drop_id))

    async def ListDrops(
        self, request: pb.ListDropsRequest, _context: Context
    ) -> pb.ListDropsResponse:
        """Returns one page of drops, newest first."""
        account: str | None = caller().id
        if request.parent == EVERYONE:
            account = None
        elif request.parent:
            account = parse_account(request.parent, "parent")
        selection = drop_selection(request, account)
        limit = page_limit(request.page_size)
        scope = f"drops {selection}"
        before = parse_page_token(request.page_token, scope)
        async with self._pages.turn(caller().id, limit):
            drops = await self._drops.list(caller(), selection, before, limit)
            messages, token = self._pages.page(
                drops, drop_message, limit, lambda drop: page_token(drop.sequence, scope)
            )
            return pb.ListDropsResponse(
                drops=messages,
                next_page_token=token,
            )

    async def CancelDrop(
        self, request: pb.CancelDropRequest, _context: Context
    ) -> pb.CancelDropResponse:
        """Cancels a drop that has not been dispatched."""
        drop_id = parse_drop(request.name, "name")
        if current_call().login is not None:
            await self._get(drop_id)
        drop = await self._drops.cancel(caller(), drop_id)
        return pb.CancelDropResponse(drop=drop_message(drop))

    async def ResolveDrop(
        self, request: pb.ResolveDropRequest, _context: Context
    ) -> pb.ResolveDropResponse:
        """Decides what became of a drop in the state UNKNOWN."""
        operator = administrator("decide about drops").id
        drop_id = parse_drop(request.name, "name")
        is_dispensed = decision(request.state)
        if not check_text(request.reason, "reason").strip():
            raise FieldInvalidError("reason", "must say what is known")
        try:
            drop = await self._drops.decide(
                operator, drop_id, dispensed=is_dispensed, why=request.reason
            )
        except DropNotUnknownError:
            # The response to the same decision may have been lost.
            drop = await self._drops.get(caller(), drop_id)
            if drop.decided_by != operator or STATES[drop.state] != request.state:
                raise
        return pb.ResolveDropResponse(drop=drop_message(drop))

    async def ReportDrop(
        self, request: pb.ReportDropRequest, _context: Context
    ) -> pb.ReportDropResponse:
        """Keeps what the buyer says of a drop."""
        drop_id = parse_drop(request.name, "name")
        if request.seen not in _FELL:
            raise FieldInvalidError("seen", "must be SEEN_FELL or SEEN_DID_NOT_FALL")
        report = Report(drop_id, _FELL[request.seen], request.text)
        drop = await self._drops.report(caller(), report)
        return pb.ReportDropResponse(drop=drop_message(drop))

    async def RefundDrop(
        self, request: pb.RefundDropRequest, _context: Context
    ) -> pb.RefundDropResponse:
        """Gives back what was paid for a drop."""
        order = RefundOrder(
            request_id=request.request_id,
            drop_id=parse_drop(request.name, "name"),
            reason=request.reason,
            credits_given=request.credits if request.HasField("credits") else None,
            restock=request.restock,
        )
        drop = await self._drops.refund(caller(), order)
        return pb.RefundDropResponse(drop=drop_message(drop))

    async def ListDropRecords(
        self, request: pb.ListDropRecordsRequest, _context: Context
    ) -> pb.ListDropRecordsResponse:
        """All that is kept of a drop, the oldest first."""
        account = administrator("see the evidence of drops")
        drop_id = parse_drop(request.parent, "parent")
        async with self._pages.turn(account.id, PAGE_MAX):
            records = await self._drops.records(drop_id, PAGE_MAX)
            # The newest are kept where not all fit: they say how the drop stands.
            messages = self._pages.fit(records, record_message)
            return pb.ListDropRecordsResponse(records=reversed(messages))

    async def WatchDrop(
        self, request: pb.WatchDropRequest, _context: Context
    ) -> AsyncGenerator[pb.WatchDropResponse, None]:
        """Sends the drop now and after each change, until its final state."""
        account = caller()
        drop = await self._get(parse_drop(request.name, "name"))
        updates = self._watches.follow(account.id, self._drops.follow(drop.id))
        async with aclosing(updates):
            async for update, place in updates:
                yield pb.WatchDropResponse(drop=drop_message(update, place))


def _shown(drop: entities.Drop) -> entities.Drop:
    """The drop, if the caller's login may see it.

    Raises:
        DropNotFoundError: the login was made at the kiosk of another machine.
    """
    login = current_call().login
    if login is not None and login.machine != drop.machine:
        raise DropNotFoundError("no such drop")
    return drop


@asynccontextmanager
async def _begun_after(seconds: float, context: Context) -> AsyncIterator[None]:
    """Sends a call's response headers if the block in this context takes longer than `seconds`.

    Proxies end calls whose response has not begun after some time; some never end others.
    """
    loop = asyncio.get_running_loop()
    sending: list[asyncio.Task[None]] = []

    def begin() -> None:
        sending.append(loop.create_task(context.send_initial_metadata(())))

    timer = loop.call_later(seconds, begin)
    try:
        yield
    finally:
        timer.cancel()
        # The response must not be sent before its headers. If they fail, the client is gone.
        await asyncio.gather(*sending, return_exceptions=True)
