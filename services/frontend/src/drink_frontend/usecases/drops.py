"""Placing, following, cancelling and deciding drops, for buyers and operators."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import structlog

from drink_frontend.domain.drop import Cause, DropEvent, State, Verdict
from drink_frontend.domain.entities import (
    Account,
    AuditKind,
    AuditRecord,
    Drop,
    DropSelection,
    Waiting,
)
from drink_frontend.domain.errors import (
    DrinkError,
    DropNotCancellableError,
    DropNotFoundError,
    DropNotUnknownError,
    FieldInvalidError,
    NotOwnerError,
    OutcomeUnknownError,
    RateLimitedError,
    ShuttingDownError,
)
from drink_frontend.domain.limits import check_item, check_request_id, check_text
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.spans.context import trace_id_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.drop_traces import NO_TRACES, DropTraces
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.placement import DropOrder, Placement
from drink_frontend.usecases.refunds import Refunding, RefundOrder
from drink_frontend.usecases.reports import Report, Reporting
from drink_frontend.usecases.settings import DropSettings
from drink_frontend.usecases.users import drop_shown, user_shown
from drink_frontend.usecases.waiting import IN_QUEUE, waiting

log = structlog.get_logger(__name__)

MOVES_READ = 10
"""Newest moves of a drop among which its decision is looked for; it is the last or nearly so."""


class Drops:
    """Drops, as buyers and operators use them.

    Args:
        storage: The database.
        links: The open links.
        clock: Time.
        randomness: Ids.
        deadlines: Woken when a drop was scheduled, so that it is released in time.
        settings: Limits.
        traces: Makes their spans.
    """

    def __init__(
        self,
        storage: Database,
        links: Links,
        clock: Clock,
        randomness: Randomness,
        *,
        deadlines: Deadlines,
        settings: DropSettings,
        traces: DropTraces = NO_TRACES,
    ) -> None:
        self._storage = storage
        self._links = links
        self._clock = clock
        self._randomness = randomness
        self._deadlines = deadlines
        self._settings = settings
        self._traces = traces
        self._placements: set[asyncio.Task[Drop]] = set()
        self._draining = False
        self._cancels = RateLimiter(
            burst=settings.cancels_burst, interval_s=1 / settings.cancels_per_s
        )

    def drain(self) -> None:
        """Refuses new drops from now on; those under way run on."""
        self._draining = True

    async def place(self, order: DropOrder) -> Drop:
        """Reserves credits and item durably, or finds the drop that this request made before.

        A caller that is cancelled stops nothing: the order is carried out in a task of its own.
        Otherwise a drop could be committed as dispatched without its command being sent. The number
        of these tasks is bounded by the storage's queue.

        Returns:
            The drop as it stands, without waiting for its outcome.

        Raises:
            DrinkError: the drop was not made; nothing changed.
        """
        task = asyncio.create_task(self._place(order), name="place drop")
        self._placements.add(task)
        task.add_done_callback(self._placement_ended)
        return await asyncio.shield(task)

    def _placement_ended(self, task: asyncio.Task[Drop]) -> None:
        self._placements.discard(task)
        error = None if task.cancelled() else task.exception()
        # A caller that still waits gets the error too; this line is for one that was cancelled.
        if error is not None and not isinstance(error, DrinkError):
            log.error("effect_failed", exc_info=error)

    async def _place(self, order: DropOrder) -> Drop:
        if self._draining:
            raise ShuttingDownError("the frontend is shutting down")
        ordered = self._traces.now()
        link = self._links.ready(order.machine)
        placement = Placement(
            order,
            self._settings,
            self._randomness.drop_id(),
            self._randomness.id(),
            None if link is None else link.epoch,
            self._clock.now_ms(),
        )
        try:
            placed = await self._storage.write(placement.carry_out, placement.needs)
        except OutcomeUnknownError:
            # At its next Hello the agent reports which commands it did not receive.
            if link is not None:
                why = "a drop may be dispatched whose command was not sent"
                link.fail(OutcomeUnknownError(why))
            raise
        drop = placed.drop
        if placed.is_new:
            self._traces.reserved(drop, ordered)
        if placed.commanded is not None:
            assert link is not None
            link.command(placed.commanded)
        elif drop.state is State.SCHEDULED:
            self._deadlines.wake()
        elif drop.state is State.RESERVED and not placed.behind:
            self._links.wake(drop.machine)
        if placed.is_new and placed.commanded is not drop:
            log.info(
                "drop_reserved",
                drop_id=drop.id,
                account=drop.account,
                machine=drop.machine,
                slot=drop.slot,
                price=drop.price,
                state=drop.state,
                **trace_id_of(drop.traceparent),
            )
        return drop

    async def outcome(self, drop_id: str) -> Drop:
        """Waits until the drop is DISPENSED, NOT_DISPENSED or UNKNOWN, and returns it.

        Raises:
            DropNotFoundError: there is no such drop.
        """
        async with contextlib.aclosing(self.watch(drop_id)) as versions:
            async for drop in versions:
                if drop.state.answered:
                    return drop
        raise AssertionError("a watch ends with a final state")

    async def watch(self, drop_id: str) -> AsyncGenerator[Drop, None]:
        """The drop now and after each change; ends after its final state.

        Raises:
            DropNotFoundError: there is no such drop.
        """
        with self._storage.changes.drop(drop_id) as subscription:
            while True:
                drop = subscription.latest
                if drop is None:
                    drop = await self._storage.read(lambda tx: tx.drops.get(drop_id))
                if drop is None:
                    raise DropNotFoundError("no such drop")
                yield drop
                if drop.state.final:
                    return
                await subscription.changed()

    async def follow(self, drop_id: str) -> AsyncGenerator[tuple[Drop, Waiting | None], None]:
        """The drop and its place in the queue, now and after each change; ends as `watch` does.

        Raises:
            DropNotFoundError: there is no such drop.
        """
        first = await self._storage.read(lambda tx: tx.drops.get(drop_id))
        if first is None:
            raise DropNotFoundError("no such drop")
        changes, shown = self._storage.changes, None
        with changes.drop(drop_id) as own, contextlib.ExitStack() as queue:
            is_queued = False
            while True:
                drop, place = await self._placed(drop_id, own.latest)
                if (drop, place and place.ahead) != shown:
                    shown = drop, place and place.ahead
                    yield drop, place
                if drop.state.final:
                    return
                if (drop.state is State.RESERVED) is is_queued:
                    await own.changed()
                    continue
                is_queued = not is_queued
                if is_queued:
                    # The drop is read again: its place may have changed before this subscription.
                    queue.enter_context(changes.machine(first.machine, wakes=own))
                else:
                    queue.close()

    async def _placed(self, drop_id: str, latest: Drop | None) -> tuple[Drop, Waiting | None]:
        """A drop and its place, both from one unit of work."""
        if latest is not None and latest.state not in IN_QUEUE:
            return latest, None
        now_ms = self._clock.now_ms()

        def read(tx: Transaction) -> tuple[Drop, Waiting | None]:
            drop = tx.drops.get(drop_id)
            assert drop is not None, "drops are never removed"
            return drop, waiting(tx, drop, now_ms)

        return await self._storage.read(read)

    async def place_of(self, drop: Drop) -> Waiting | None:
        """Where the drop is in its machine's queue; None if it is not RESERVED or DISPATCHED."""
        if drop.state not in IN_QUEUE:
            return None
        now_ms = self._clock.now_ms()
        return await self._storage.read(lambda tx: waiting(tx, drop, now_ms))

    async def decision(self, caller: Account, drop: Drop) -> str:
        """What the operator who decided the drop gave as the reason; empty if nobody did.

        Only administrators are told: it was written for them.
        """
        if drop.decided_by is None or not caller.admin:
            return ""

        def read(tx: Transaction) -> str:
            decided = tx.drops.get(drop.id)
            records = tx.audit.list(
                drop_id=drop.id, kinds=(AuditKind.DROP_MOVED,), limit=MOVES_READ
            )
            assert decided is not None
            # Records are read with the names of their actors.
            own = (record for record in records if record.actor == decided.decider)
            return str(next((why for each in own if (why := each.facts.get("why"))), ""))

        return await self._storage.read(read)

    async def settle(self) -> None:
        """Waits for the outcome of each drop under way that concerns this frontend.

        Those are the drops whose outcome is awaited here, and those dispatched to machines that
        are linked here. All others belong to other frontends or to later links.
        """

        def under_way(tx: Transaction) -> list[Drop]:
            return [*tx.drops.in_state(State.DISPATCHED), *tx.drops.in_state(State.RESERVED)]

        while self._placements:
            await asyncio.wait(self._placements)
        for drop in await self._storage.read(under_way):
            is_followed = self._storage.changes.is_followed(drop.id)
            at_motor = drop.state is State.DISPATCHED and self._links.status(drop.machine)
            if is_followed or at_motor:
                await self.outcome(drop.id)

    async def get(self, caller: Account, drop_id: str) -> Drop:
        """One drop of the caller; any drop for an administrator.

        Raises:
            DropNotFoundError: there is no such drop, or it is another account's.
        """
        return drop_shown(caller, await self._storage.read(lambda tx: tx.drops.get(drop_id)))

    async def find(self, caller: Account, request_id: str) -> Drop:
        """The caller's drop that a request made.

        Raises:
            FieldInvalidError: it is no request_id.
            DropNotFoundError: the request has made no drop so far.
        """
        check_request_id(request_id)
        found = await self._storage.read(lambda tx: tx.drops.by_request(caller.id, request_id))
        return drop_shown(caller, found)

    async def records(self, drop_id: str, limit: int) -> Sequence[AuditRecord]:
        """The newest `limit` audit records of a drop, the newest first; with the evidence.

        Raises:
            DropNotFoundError: there is no such drop.
        """

        def read(tx: Transaction) -> Sequence[AuditRecord]:
            if tx.drops.get(drop_id) is None:
                raise DropNotFoundError("no such drop")
            return tx.audit.list(drop_id=drop_id, limit=limit)

        return await self._storage.read(read)

    async def list(
        self,
        caller: Account,
        selection: DropSelection,
        before: int | None,
        limit: int,
    ) -> Sequence[Drop]:
        """Selected drops, newest first; without an account they are everyone's.

        Args:
            caller: Who asks.
            selection: Which drops. The buyer's name may be written in any case.
            before: Sequence of the last drop of the page before; None for the first page.
            limit: Most drops.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such account.
            FieldInvalidError: nothing can have the wanted item's name.
        """
        if selection.account is None and not caller.admin:
            raise NotOwnerError("only administrators see others' drops")
        if selection.item is not None:
            check_item(selection.item)

        def read(tx: Transaction) -> Sequence[Drop]:
            if selection.account is None:
                return tx.drops.list(selection, before, limit)
            whose = user_shown(tx, caller, selection.account, "drops").id
            return tx.drops.list(replace(selection, account=whose), before, limit)

        return await self._storage.read(read)

    async def cancel(self, caller: Account, drop_id: str) -> Drop:
        """Cancels a drop that has not been dispatched; a second time changes nothing.

        Raises:
            DropNotFoundError: there is no such drop, or it is another account's.
            DropNotCancellableError: it has been dispatched.
            RateLimitedError: the account cancelled too many drops in a short time.
        """
        if wait_s := self._cancels.take_if_free(caller.id, self._clock.monotonic()):
            raise RateLimitedError("too many cancellations", retry_after_seconds=math.ceil(wait_s))
        now_ms = self._clock.now_ms()

        def cancel(tx: Transaction) -> tuple[Drop, bool]:
            drop = drop_shown(caller, tx.drops.get(drop_id))
            if drop.cause is Cause.CANCELLED:
                return drop, False
            answer = advance(
                tx, drop, DropEvent.CANCEL, Cause.CANCELLED, actor=caller.id, now_ms=now_ms
            )
            if answer.verdict is Verdict.REFUSED:
                raise DropNotCancellableError(f"the drop is {drop.state}")
            return answer.drop, True

        needs = Needs(drops={drop_id}, new_transfers=1)
        drop, is_moved = await self._storage.write(cancel, needs)
        if is_moved:
            self._traces.ended(drop)
        return drop

    async def decide(self, operator: str, drop_id: str, *, dispensed: bool, why: str) -> Drop:
        """Settles an UNKNOWN drop as an operator decided.

        Evidence that comes later is recorded and raises an alarm, but does not change the drop.

        Args:
            operator: Who decides.
            drop_id: The drop.
            dispensed: Whether the item fell, so that its buyer pays.
            why: The operator's reason, kept in the audit log.

        Raises:
            FieldInvalidError: no reason is given.
            DropNotFoundError: there is no such drop.
            DropNotUnknownError: its outcome is known, or may still come.
        """
        if not check_text(why, "why").strip():
            raise FieldInvalidError("why", "must say why")
        now_ms = self._clock.now_ms()
        event = DropEvent.DECIDE_DISPENSED if dispensed else DropEvent.DECIDE_NOT_DISPENSED

        def decide(tx: Transaction) -> Drop:
            drop = tx.drops.get(drop_id)
            if drop is None:
                raise DropNotFoundError("no such drop")
            answer = advance(
                tx,
                drop,
                event,
                Cause.OPERATOR,
                actor=operator,
                now_ms=now_ms,
                facts={"why": why},
            )
            if answer.verdict is not Verdict.MOVED:
                raise DropNotUnknownError(f"the drop is {drop.state}")
            return answer.drop

        drop = await self._storage.write(decide)
        log.info("drop_decided", drop_id=drop_id, operator=operator, state=drop.state)
        return drop

    async def refund(self, caller: Account, order: RefundOrder) -> Drop:
        """Gives back what was paid for a drop, in whole or part, once.

        Args:
            caller: An administrator, or the buyer while `refund_minutes` allow it.
            order: What is asked for.

        Raises:
            AdminRequiredError: the caller is no administrator, and no buyer may refund drops, or
                wants to put the item back.
            DropNotFoundError: there is no such drop, or it is another account's.
            RequestIdReusedError: the request_id was used for something else.
            DropRefundedError: another request has refunded it.
            DropNotPaidError: nothing was paid for it.
            FieldInvalidError: it cost less than what shall be given back.
            RefundTooLateError: the buyer's time has passed.
            AccountClosedError: the buyer's account is closed.
            StockInvalidError: the item cannot be counted as back in its slot.
        """
        refunding = Refunding(
            order,
            caller,
            self._settings.refund_minutes,
            self._randomness.id(),
            self._clock.now_ms(),
        )
        drop = await self._storage.write(refunding.carry_out)
        log.info("drop_refunded", drop_id=drop.id, actor=caller.id, credits=drop.refunded)
        return drop

    async def report(self, caller: Account, report: Report) -> Drop:
        """Keeps what the buyer says of a drop as evidence for operators; it decides nothing.

        Raises:
            DropNotFoundError: there is no such drop, or it is another account's.
            NotOwnerError: the caller is an administrator and not the buyer.
            DropUnderWayError: the drop has no outcome yet.
            DropReportedError: the drop has as many reports as are kept.
        """
        reporting = Reporting(report, caller, self._settings.reports_max, self._clock.now_ms())
        return await self._storage.write(reporting.carry_out)
