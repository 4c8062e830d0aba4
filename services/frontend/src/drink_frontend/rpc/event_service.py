"""EventService: what happens, from a cursor on, and what has happened."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from drink.v1 import event_service_pb2 as pb
from drink.v1 import event_service_pb2_grpc
from drink_frontend.domain.cache import Cache
from drink_frontend.domain.events import Cursor, Event
from drink_frontend.rpc.calls import Context, caller
from drink_frontend.rpc.conversion import page_limit, parse_account, parse_machine
from drink_frontend.rpc.event_conversion import (
    cursor_text,
    event_kinds,
    event_message,
    parse_cursor,
)
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.events import (
    EVENTS_MAX,
    LISTED_BATCHES_MAX,
    Events,
    EventSelection,
)
from drink_frontend.usecases.watches import Watches

MESSAGES_MAX = 1_000
"""Messages of events kept for other watches, some 1 MB: more than happen until all are woken."""


class EventService(event_service_pb2_grpc.EventServiceServicer):
    """The RPCs of drink.v1.EventService.

    Args:
        events: The log of events.
        watches: Limits watches.
        pages: Limits the reading of events of the past, and the size of responses.
    """

    def __init__(self, events: Events, watches: Watches, pages: PageLimits) -> None:
        self._events = events
        self._watches = watches
        self._pages = pages
        self._messages = Cache[tuple[Cursor, bool], pb.Event](MESSAGES_MAX)

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, _context: Context
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """Sends the present cursor or the one of the request, then what happened after it."""
        account = caller()
        selection = _selection(request)
        updates = self._events.watch(
            account,
            selection,
            parse_cursor(request.cursor),
            turn=partial(self._pages.turn, account.id),
        )
        async with aclosing(self._watches.follow(account.id, updates)) as followed:
            async for update in followed:
                left = update.events
                while left:
                    messages = self._pages.fit(left, self._message)
                    left = left[len(messages) :]
                    cursor = messages[-1].cursor if left else cursor_text(update.cursor)
                    yield pb.WatchEventsResponse(events=messages, cursor=cursor)
                if not update.events:
                    yield pb.WatchEventsResponse(cursor=cursor_text(update.cursor))

    async def ListEvents(
        self, request: pb.ListEventsRequest, _context: Context
    ) -> pb.ListEventsResponse:
        """One page of the events of the past, the newest first."""
        account = caller()
        selection = _selection(request)
        limit = min(page_limit(request.page_size), EVENTS_MAX)
        before = parse_cursor(request.page_token, "page_token")
        async with self._pages.turn(account.id, LISTED_BATCHES_MAX):
            page = await self._events.list(account, selection, before, limit=limit)
            messages = self._pages.fit(page.events, self._message)
            older = cursor_text(page.older) if page.older else ""
            if len(messages) < len(page.events):
                older = messages[-1].cursor
            return pb.ListEventsResponse(
                events=messages, next_page_token=older, cursor=cursor_text(page.present)
            )

    def _message(self, shown: tuple[Event, int, Cursor]) -> pb.Event:
        """The message of an event, made once for all watches that show it alike."""
        event, at_ms, cursor = shown
        key = cursor, event.actor is None
        message = self._messages.get_cached(key)
        if message is None:
            message = event_message(event, at_ms, cursor)
            self._messages.keep(key, message)
        return message


def _selection(request: pb.WatchEventsRequest | pb.ListEventsRequest) -> EventSelection:
    """The filters of a request."""
    return EventSelection(
        kinds=event_kinds(request.kinds),
        machine=parse_machine(request.machine, "machine") if request.machine else None,
        account=parse_account(request.account, "account") if request.account else None,
    )
