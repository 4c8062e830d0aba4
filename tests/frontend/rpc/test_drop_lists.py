"""DropService.ListDrops over a real server: pages, filters, and whose drops they are."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import drop_service_pb2 as pb
from tests.support.ids import id_of
from tests.support.rpc_frontend import ANN, ROOT, Frontend


class TestListDrops:
    async def test_pages_through_the_callers_own_newest_first(self, frontend: Frontend) -> None:
        for number in range(3):
            await frontend.bench.place(f"r-{number}", delay_s=1)
        await frontend.bench.place("r-bob", id_of("bob"), slot=2)

        pages, token = [], ""
        while True:
            page = await frontend.call(pb.ListDropsRequest(page_size=2, page_token=token), ANN)
            pages.append([drop.request_id for drop in page.drops])
            token = page.next_page_token
            if not token:
                break
        assert pages == [["r-2", "r-1"], ["r-0"]]

    async def test_shows_only_the_states_asked_for(self, frontend: Frontend) -> None:
        await frontend.bench.place("r-scheduled", delay_s=1)
        drop = await frontend.bench.place("r-cancelled", delay_s=1)
        await frontend.drops.cancel(await frontend.bench.account("ann"), drop.id)
        page = await frontend.call(
            pb.ListDropsRequest(states=[pb.Drop.STATE_NOT_DISPENSED, pb.Drop.STATE_UNKNOWN]), ANN
        )
        assert [drop.request_id for drop in page.drops] == ["r-cancelled"]

    async def test_administrators_see_everyones_and_one_accounts(self, frontend: Frontend) -> None:
        await frontend.bench.place("r-ann", delay_s=1)
        await frontend.bench.place("r-bob", id_of("bob"), slot=2)
        for parent, expected in (
            ("accounts/-", ["r-bob", "r-ann"]),
            ("accounts/ann", ["r-ann"]),
            ("", []),
        ):
            page = await frontend.call(pb.ListDropsRequest(parent=parent), ROOT)
            assert [drop.request_id for drop in page.drops] == expected

    async def test_an_account_that_is_not_there_has_no_list(self, frontend: Frontend) -> None:
        refusal = await frontend.refused(pb.ListDropsRequest(parent="accounts/nobody"), ROOT)
        assert refusal.status == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")

    @pytest.mark.parametrize("parent", ["accounts/-", "accounts/bob", "accounts/nobody"])
    async def test_rights_come_before_existence(self, frontend: Frontend, parent: str) -> None:
        refusal = await frontend.refused(pb.ListDropsRequest(parent=parent), ANN)
        assert refusal.status == ("PERMISSION_DENIED", "NOT_OWNER")

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (pb.ListDropsRequest(parent="users/alice"), "parent"),
            (pb.ListDropsRequest(page_size=-1), "page_size"),
            (pb.ListDropsRequest(page_token="junk"), "page_token"),
            (pb.ListDropsRequest(states=[pb.Drop.STATE_UNSPECIFIED]), "states"),
            (pb.ListDropsRequest.FromString(b"\x22\x01\x63"), "states"),
            (pb.ListDropsRequest(place="d"), "place"),
            (pb.ListDropsRequest(place="machines/"), "place"),
            (pb.ListDropsRequest(place="machines/D"), "place"),
            (pb.ListDropsRequest(place="machines/d\0"), "place"),
            (pb.ListDropsRequest(place="machines/" + "d" * 33), "place"),
            (pb.ListDropsRequest(place="machines/d/slots/"), "place"),
            (pb.ListDropsRequest(place="machines/d/slots/0"), "place"),
            (pb.ListDropsRequest(place="machines/d/slots/100"), "place"),
            (pb.ListDropsRequest(place="machines/-/slots/1"), "place"),
            (pb.ListDropsRequest(item="x" * 65), "item"),
            (pb.ListDropsRequest(item="Co\tke"), "item"),
            (pb.ListDropsRequest(item=" Coke"), "item"),
            (pb.ListDropsRequest(start_time=Timestamp(seconds=-(2**62))), "start_time"),
            (pb.ListDropsRequest(start_time=Timestamp(nanos=-1)), "start_time"),
            (pb.ListDropsRequest(end_time=Timestamp(seconds=2**62)), "end_time"),
            (pb.ListDropsRequest(end_time=Timestamp(nanos=1_000_000_000)), "end_time"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, request_: pb.ListDropsRequest, field: str
    ) -> None:
        refusal = await frontend.refused(request_, ANN)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"place": "machines/d"}, ["r-2", "r-1"]),
            ({"place": "machines/d/slots/2"}, ["r-2"]),
            ({"place": "machines/ld"}, []),
            ({"place": "machines/none"}, []),
            ({"item": "Coke"}, ["r-1"]),
            ({"item": "Nothing"}, []),
            ({"start_time": Timestamp()}, ["r-2", "r-1"]),
            ({"end_time": Timestamp()}, []),
            ({"start_time": Timestamp(seconds=-62_135_596_800)}, ["r-2", "r-1"]),
            (
                {"end_time": Timestamp(seconds=253_402_300_799, nanos=999_999_999)},
                ["r-2", "r-1"],
            ),
        ],
    )
    async def test_filters_select_by_place_item_and_time(
        self, frontend: Frontend, filters: dict[str, Any], expected: list[str]
    ) -> None:
        await frontend.bench.place("r-1", delay_s=1)
        await frontend.bench.place("r-2", delay_s=1, slot=2)
        for parent, caller in (("", ANN), ("accounts/ann", ROOT), ("accounts/-", ROOT)):
            listed, token = [], ""
            while True:
                request = pb.ListDropsRequest(
                    parent=parent, page_size=1, page_token=token, **filters
                )
                page = await frontend.call(request, caller)
                listed += [drop.request_id for drop in page.drops]
                token = page.next_page_token
                if not token:
                    break
            assert listed == expected

    @pytest.mark.parametrize(
        "filters",
        [
            {"place": "machines/d"},
            {"place": "machines/d/slots/1"},
            {"item": "Coke"},
            {"start_time": Timestamp(seconds=1)},
            {"end_time": Timestamp(seconds=2**33)},
        ],
    )
    async def test_a_page_token_is_good_for_the_same_filters_only(
        self, frontend: Frontend, filters: dict[str, Any]
    ) -> None:
        for number in range(2):
            await frontend.bench.place(f"r-{number}", delay_s=1)
        plain = await frontend.call(pb.ListDropsRequest(page_size=1), ANN)
        filtered = await frontend.call(pb.ListDropsRequest(page_size=1, **filters), ANN)
        for token, others in (
            (plain.next_page_token, filters),
            (filtered.next_page_token, {}),
            (filtered.next_page_token, {**filters, "item": "Mate"}),
        ):
            assert token
            refusal = await frontend.refused(pb.ListDropsRequest(page_token=token, **others), ANN)
            assert refusal.facts == {"field": "page_token"}

    async def test_a_page_token_of_another_list_is_refused(self, frontend: Frontend) -> None:
        await frontend.bench.place(delay_s=1)
        page = await frontend.call(pb.ListDropsRequest(page_size=1), ANN)
        refusal = await frontend.refused(
            pb.ListDropsRequest(page_token=page.next_page_token, states=[pb.Drop.STATE_UNKNOWN]),
            ANN,
        )
        assert refusal.facts == {"field": "page_token"}
