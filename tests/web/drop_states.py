"""Every state of a drop, held for a browser to look at: a frontend leaves most of them soon."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from drink.v1 import drop_service_pb2 as pb
from drink.v1.machine_service_pb2 import Machine
from tests.support.tasks import beside
from tests.web.visitor import House, running_house

NAME_MAX = "Original Rhöner Apfelschorle, naturtrüb, ohne Zucker, 0,5 l Glas"
"""As long as an item's name may be."""

WORD_MAX = "RindfleischetikettierungsüberwachungsaufgabenübertragungsgesetzX"
"""The same in one word."""

Drop = pb.Drop

STATES: Mapping[str, Mapping[str, Any]] = {
    "scheduled": {"state": Drop.STATE_SCHEDULED, "due_s": 250},
    "in-line": {"state": Drop.STATE_RESERVED, "ahead": 3, "expected_s": 14},
    "in-line-next": {"state": Drop.STATE_RESERVED, "ahead": 0, "expected_s": 4},
    "in-line-offline": {"state": Drop.STATE_RESERVED, "slot": "machines/ld/slots/1"},
    "in-line-untold": {"state": Drop.STATE_RESERVED},
    "motor": {"state": Drop.STATE_DISPATCHED},
    "dispensed": {"state": Drop.STATE_DISPENSED, "cause": Drop.CAUSE_BOARD_ACK},
    "dispensed-decided": {
        "state": Drop.STATE_DISPENSED,
        "cause": Drop.CAUSE_OPERATOR,
        "decided_by": "accounts/admin",
    },
    "refused": {"state": Drop.STATE_NOT_DISPENSED, "cause": Drop.CAUSE_BOARD_REFUSED},
    "machine-offline": {"state": Drop.STATE_NOT_DISPENSED, "cause": Drop.CAUSE_MACHINE_OFFLINE},
    "not-dispensed-decided": {
        "state": Drop.STATE_NOT_DISPENSED,
        "cause": Drop.CAUSE_OPERATOR,
        "decided_by": "accounts/admin",
    },
    "cancelled": {"state": Drop.STATE_NOT_DISPENSED, "cause": Drop.CAUSE_CANCELLED},
    "unknown": {"state": Drop.STATE_UNKNOWN, "cause": Drop.CAUSE_BOARD_SILENT},
    "refunded": {
        "state": Drop.STATE_DISPENSED,
        "cause": Drop.CAUSE_BOARD_ACK,
        "refunded": 20,
    },
    "scheduled-long-name": {"state": Drop.STATE_SCHEDULED, "due_s": 250, "item": NAME_MAX},
    "unknown-long-word": {
        "state": Drop.STATE_UNKNOWN,
        "cause": Drop.CAUSE_JOURNAL_REPLACED,
        "item": WORD_MAX,
    },
}
"""The states by the names that their pages have here."""


def drop_of(name: str, now: datetime) -> Drop:
    """A drop in that state.

    Args:
        name: One of STATES.
        now: What its times are counted from.
    """
    facts = dict(STATES[name])
    drop = Drop(
        name=f"drops/{name}",
        slot=facts.get("slot", "machines/d/slots/1"),
        item=facts.get("item", "Mountain Dew"),
        price=50,
        state=facts["state"],
        cause=facts.get("cause", Drop.CAUSE_UNSPECIFIED),
        decided_by=facts.get("decided_by", ""),
    )
    drop.create_time.FromDatetime(now - timedelta(seconds=2))
    if "due_s" in facts:
        drop.schedule_time.FromDatetime(now + timedelta(seconds=facts["due_s"]))
    if "ahead" in facts:
        drop.drops_ahead = facts["ahead"]
        drop.expected_duration.FromSeconds(facts["expected_s"])
    if "refunded" in facts:
        drop.refunded_credits = facts["refunded"]
    return drop


def hold(house: House) -> None:
    """Has the page see each drop of STATES, and no other, as if it stayed so; `ld` is offline."""

    # The same times whenever it is asked for: the page and its stream must not differ.
    now = datetime.now(UTC)

    async def get(request: pb.GetDropRequest, **_: Any) -> pb.GetDropResponse:
        return pb.GetDropResponse(drop=drop_of(request.name.removeprefix("drops/"), now))

    def watch(request: pb.WatchDropRequest, **_: Any) -> Watch:
        return Watch(drop_of(request.name.removeprefix("drops/"), now))

    house.site.house.machines["machines/ld"].reach = Machine.REACH_OFFLINE
    house.site.api.drops.GetDrop = get
    house.site.api.drops.WatchDrop = watch


class Watch:
    """A watch of a drop that stays as it is.

    Args:
        drop: The drop.
    """

    def __init__(self, drop: Drop) -> None:
        self._drop = drop
        self._ended = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[pb.WatchDropResponse]:
        yield pb.WatchDropResponse(drop=self._drop)
        await self._ended.wait()

    def cancel(self) -> None:
        """Ends it."""
        self._ended.set()


@asynccontextmanager
async def served_house(folder: Path, **sections: Any) -> AsyncIterator[tuple[House, str]]:
    """A page in this process that a browser can reach, and its address.

    Args:
        folder: For its keys.
        sections: The page's settings.
    """
    async with running_house(folder, **sections) as house:
        config = uvicorn.Config(house.app, port=0, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        with config.bind_socket() as listener:
            async with beside(server.serve([listener])):
                yield house, f"http://localhost:{listener.getsockname()[1]}"
