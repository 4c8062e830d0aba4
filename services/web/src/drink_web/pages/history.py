"""Pages of the caller's drops and ledger entries."""

from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink_web import views
from drink_web.errors import PageError
from drink_web.visit import Visit

TOKEN_MAX = 500
"""Characters of the longest page token that is passed on."""

ONLY_HELD = (accounts.Entry.KIND_HOLD, accounts.Entry.KIND_VOID)
"""Entries that change what can be spent, and not what somebody owns."""

EXPORT_PAGE_ROWS = 1_000
"""Rows asked for at once for a file; the frontend gives no more."""


async def show_drops(visit: Visit) -> Response:
    """GET /history."""
    request = drops.ListDropsRequest(**_page(visit))
    await visit.look_up_account()
    answer = await visit.call(visit.site.api.drops.ListDrops, request)
    rows = [visit.drop_view(drop) for drop in answer.drops]
    return _list(visit, "drops", rows, answer.next_page_token)


async def show_credits(visit: Visit) -> Response:
    """GET /history/credits."""
    request = accounts.ListEntriesRequest(**_page(visit))
    await visit.look_up_account()
    answer = await visit.call(visit.site.api.accounts.ListEntries, request)
    return _list(visit, "credits", answer.entries, answer.next_page_token)


def _list(visit: Visit, which: str, rows: Any, next_page: str) -> Response:
    return visit.page(
        "history.html",
        here="history",
        which=which,
        rows=rows,
        only_held=ONLY_HELD,
        next_page=next_page,
        is_first=not visit.query.get("page"),
    )


def _page(visit: Visit) -> dict[str, Any]:
    token = visit.query.get("page", "")
    if len(token) > TOKEN_MAX or not token.isascii():
        raise PageError(400, "bad_request")
    return {"page_size": visit.site.settings.lists.page_rows, "page_token": token}


async def export_drops(visit: Visit) -> Response:
    """GET /history.csv: the drops, for a spreadsheet."""
    rows: list[tuple[object, ...]] = [
        ("time", "drop", "machine", "slot", "item", "credits", "state", "cause")
    ]
    async for drop in _all_drops(visit):
        state = drops.Drop.State.Name(drop.state).removeprefix("STATE_")
        cause = drops.Drop.Cause.Name(drop.cause).removeprefix("CAUSE_")
        created = views.utc(drop.create_time)
        rows.append(
            (
                created.isoformat() if created else "",
                drop.name,
                *drop.slot.split("/")[1::2],
                drop.item,
                drop.price,
                state,
                "" if cause == "UNSPECIFIED" else cause,
            )
        )
    return Response(
        views.csv_lines(rows),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="drops.csv"'},
    )


async def _all_drops(visit: Visit) -> Any:
    left, token = visit.site.settings.lists.export_rows_max, ""
    while left > 0:
        request = drops.ListDropsRequest(page_size=min(left, EXPORT_PAGE_ROWS), page_token=token)
        answer = await visit.call(visit.site.api.drops.ListDrops, request)
        for drop in answer.drops:
            yield drop
        left -= len(answer.drops)
        token = answer.next_page_token
        if not token:
            return
