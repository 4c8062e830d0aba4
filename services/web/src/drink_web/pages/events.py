"""What happened and happens, for administrators: the list, and a stream of what is new."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from drink.v1 import event_service_pb2 as pb
from drink.v1 import machine_service_pb2 as machines
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.streams import event, partial
from drink_web.texts import Texts
from drink_web.visit import Visit

ROWS = 50
"""Events of one page, and the most that a browser shows."""

RETRY_S = 2.0
"""Seconds until a broken watch is begun again."""

GROUPS = {
    "drops": (pb.Event.KIND_DROP, pb.Event.KIND_DROP_RECORD),
    "credits": (pb.Event.KIND_CREDITS, pb.Event.KIND_ACCOUNT),
    "stock": (pb.Event.KIND_STOCK, pb.Event.KIND_SLOT, pb.Event.KIND_SLOT_DELETED),
    "machines": (
        pb.Event.KIND_MACHINE,
        pb.Event.KIND_REACH,
        pb.Event.KIND_TEMPERATURE,
        pb.Event.KIND_KIOSK,
    ),
    "items": (pb.Event.KIND_ITEM, pb.Event.KIND_ITEM_DELETED),
    "alarms": (pb.Event.KIND_ALARM,),
}
"""Kinds of events by the name of their choice on the page."""

WAITED_FOR = ("CURSOR_EXPIRED", "CURSOR_FOREIGN", "ADMIN_REQUIRED", "TOKEN_INVALID")
"""Reasons for which a watch cannot go on from its cursor."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events are wanted.

    Attributes:
        group: One of `GROUPS`; empty for all.
        machine: Resource name; empty for all.
        account: Resource name; empty for all.
    """

    group: str = ""
    machine: str = ""
    account: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a URL that say this."""
        parts = {
            "kind": self.group,
            "machine": self.machine.removeprefix("machines/"),
            "account": self.account.removeprefix("accounts/"),
        }
        return {key: text for key, text in parts.items() if text}


@dataclass(frozen=True, slots=True)
class EventView:
    """An event, as templates show it.

    Attributes:
        event: The API's message.
        title: What it is about.
        text: What changed.
        path: Of the page about it; empty for none.
    """

    event: pb.Event
    title: str
    text: str
    path: str

    @property
    def kind(self) -> str:
        """Its kind, as a class of the styles."""
        return pb.Event.Kind.Name(self.event.kind).removeprefix("KIND_").lower()


def event_view(message: pb.Event, texts: Texts) -> EventView:
    """The view of an event."""
    title, text, path = message.name, "", ""
    match message.WhichOneof("resource"):
        case "drop":
            drop = message.drop
            title, path = drop.item, f"/admin/{drop.name}"
            text = f"{texts.word('state', drop.state)} · {drop.account.removeprefix('accounts/')}"
            text += f" · {texts.credits(drop.price)}"
        case "drop_record":
            text, path = message.drop_record.kind, f"/admin/{message.name}"
            title = texts("event_record")
        case "account":
            account = message.account
            title = account.name.removeprefix("accounts/")
            path = f"/admin/users/{title}"
            text = texts(
                "event_credits",
                credits=texts.credits(account.posted_credits),
                held=account.held_credits,
            )
        case "machine":
            machine = message.machine
            title, path = machine.display_name or machine.name, f"/admin/{machine.name}"
            text = _machine_words(machine, texts)
        case "slot":
            slot = message.slot
            title, path = slot.item, f"/admin/{slot.name.replace('/slots/', '/')}"
            where = views.machine_of(slot.name).removeprefix("machines/")
            number = texts("slot", n=slot.name.rpartition("/")[2])
            left = texts("left", n=slot.available)
            text = f"{where}, {number} · {left} · {texts.credits(slot.price)}"
        case "alarm":
            key = f"alarm_{message.alarm.kind}"
            title = texts(key) if texts.has(key) else message.alarm.kind
            path = f"/admin/alarms#alarm-{message.alarm.name.removeprefix('alarms/')}"
        case "kiosk":
            title, path = message.kiosk.display_name or message.kiosk.name, "/admin/kiosks"
            text = message.kiosk.machine.removeprefix("machines/")
        case "item":
            title, path = message.item.display_name, f"/admin/{message.item.name}"
            text = texts.credits(message.item.price)
    if message.kind in (pb.Event.KIND_ITEM_DELETED, pb.Event.KIND_SLOT_DELETED):
        path = ""
    return EventView(message, title, text, path)


def _machine_words(machine: machines.Machine, texts: Texts) -> str:
    words = [texts.word("reach", machine.reach)]
    if machine.HasField("temperature_celsius"):
        words.append(texts.degrees(machine.temperature_celsius))
    return " · ".join(words)


async def show(visit: Visit) -> Response:
    """GET /admin/events?kind=...&machine=...&account=...&page=...: the newest, or older ones."""
    await visit.require_admin()
    choice = _choice(visit)
    token = visit.query.get("page", "")[:100]
    answer = await visit.call(visit.site.api.events.ListEvents, _list_request(choice, token))
    stream = urlencode({**choice.query, "after": answer.cursor})
    return visit.page(
        "admin_events.html",
        here="admin",
        events=[event_view(each, visit.texts) for each in answer.events],
        choice=choice,
        groups=list(GROUPS),
        machines=visit.site.house.machines.values(),
        stream="" if token else f"/admin/events/stream?{stream}",
        older=urlencode({**choice.query, "page": answer.next_page_token})
        if answer.next_page_token
        else "",
        is_first=not token,
    )


async def follow(visit: Visit) -> Response:
    """GET /admin/events/stream?...&after=...: what happens after a cursor."""
    try:
        await visit.require_admin()
    except CallError as error:
        if not error.is_logged_out:
            raise
        # Not sent to the login: a script would take that page for a stream, again and again.
        raise PageError(401, "login_ended") from None
    return visit.stream(_changes(visit, _choice(visit), visit.query.get("after", "")[:100]))


async def _changes(visit: Visit, choice: Choice, cursor: str) -> AsyncGenerator[str, None]:
    """The newest events as a list, each time that there are more.

    The frontend ends the watch of a browser that reads too slowly, and so it is begun again where
    it was. Where that place is no longer kept, the page is loaded again.
    """
    shown: list[pb.Event] = []
    api = visit.site.api
    while True:
        request = pb.WatchEventsRequest(
            cursor=cursor,
            kinds=GROUPS.get(choice.group, ()),
            machine=choice.machine,
            account=choice.account,
        )
        try:
            async with api.watch(api.events.WatchEvents, request, visit.caller) as messages:
                yield partial("state", visit.render("_state.html", current=True))
                if not shown:
                    shown = await _newest(visit, choice)
                async for message in messages:
                    cursor = message.cursor
                    if message.events:
                        shown = [*reversed(message.events), *shown][:ROWS]
                        yield _drawn(visit, shown)
        except CallError as error:
            if error.reason in WAITED_FOR:
                yield event("", "reload")
                return
            if error.is_away:
                yield partial("state", visit.render("_state.html", current=False))
        await asyncio.sleep(RETRY_S)


async def _newest(visit: Visit, choice: Choice) -> list[pb.Event]:
    """What the page shows at first; nothing where the frontend does not answer."""
    with contextlib.suppress(CallError):
        request = _list_request(choice, "")
        answer = await visit.call(visit.site.api.events.ListEvents, request)
        return list(answer.events)
    return []


def _drawn(visit: Visit, shown: Sequence[pb.Event]) -> str:
    found = [event_view(each, visit.texts) for each in shown]
    return partial("events", visit.render("_events.html", events=found))


def _choice(visit: Visit) -> Choice:
    group = visit.query.get("kind", "")
    machine, account = visit.query.get("machine", ""), visit.query.get("account", "").strip()
    if group and group not in GROUPS:
        raise PageError(400, "bad_request")
    if machine and f"machines/{machine}" not in visit.site.house.machines:
        raise PageError(404, "not_found")
    return Choice(
        group,
        f"machines/{machine}" if machine else "",
        f"accounts/{account[:32]}" if account else "",
    )


def _list_request(choice: Choice, token: str) -> pb.ListEventsRequest:
    return pb.ListEventsRequest(
        kinds=GROUPS.get(choice.group, ()),
        machine=choice.machine,
        account=choice.account,
        page_size=ROWS,
        page_token=token,
    )
