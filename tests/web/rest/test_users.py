import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.web.rest.client import Client
from tests.web.visitor import away_house, running_house


async def test_a_member_sees_the_own_balance_as_a_text(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.dispatched()
        reply = await Client(house).ask("GET", "/users/credits?uid=ann")
        assert reply.body == {
            "message": "Retrieved user with uid 'ann'",
            "user": {"uid": "ann", "cn": "ann", "drinkBalance": "150"},
        }


async def test_only_administrators_see_others(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        for uid in ("bob", "nobody"):
            assert (await Client(house).ask("GET", f"/users/credits?uid={uid}")).status == 401
        root = Client(house, "root")
        found = await root.ask("GET", "/users/credits?uid=bob")
        assert found.body["user"]["drinkBalance"] == "100"
        nobody = await root.ask("GET", "/users/credits?uid=nobody")
        assert nobody.status == 400
        assert nobody.body["error"] == "The requested uid does not belong to any user."


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?uid=", 400), ("?uid=a%20b", 400), ("?ibutton=0123456789ABCDEF", 501)],
)
async def test_who_is_not_named_is_not_found(tmp_path: Path, query: str, status: int) -> None:
    async with running_house(tmp_path) as house:
        root = Client(house, "root")
        assert (await root.ask("GET", f"/users/credits{query}")).status == status
        assert (await Client(house, "").ask("GET", f"/users/credits{query}")).status == 401


async def test_administrators_list_users_with_balances_as_numbers(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.accounts.create("test", "gone")
        await house.bench.accounts.change("test", "gone", closed=True)
        await house.bench.accounts.change("test", "bob", credit_limit=70)
        reply = await Client(house, "root").ask("GET", "/users")
        balances = {user["uid"]: user["drinkBalance"] for user in reply.body["users"]}
        assert balances == {"ann": 200, "bob": 100, "root": 0}
        assert reply.body["message"] == "Retrieved 3 users"
        assert (await Client(house).ask("GET", "/users")).status == 401


async def test_more_users_than_a_page_are_all_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drink_web.rest.users.PAGE_ROWS", 2)
    async with running_house(tmp_path) as house:
        root = Client(house, "root")
        assert len((await root.ask("GET", "/users")).body["users"]) == 3
        monkeypatch.setattr("drink_web.rest.users.USERS_MAX", 2)
        reply = await root.ask("GET", "/users")
        assert len(reply.body["users"]) == 2
        assert reply.body["message"] == "Retrieved the first 2 users, and there are more"


@pytest.mark.parametrize("wanted", [320, "320"])
async def test_a_balance_is_brought_to_a_number(tmp_path: Path, wanted: Any) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.dispatched()
        root = Client(house, "root")
        body = {"uid": "ann", "drinkBalance": wanted}
        reply = await root.ask("PUT", "/users/credits", body)
        assert reply.body == {
            "message": "Drink balance updated from 150 credits to 320 credits for user 'ann'"
        }
        assert await house.bench.credits() == (370, 50)
        # What Tonic does: it adds to what it was shown.
        (ann, *_) = (await root.ask("GET", "/users")).body["users"]
        await root.ask("PUT", "/users/credits", {**body, "drinkBalance": ann["drinkBalance"] + 5})
        assert await house.bench.credits() == (375, 50)


async def test_a_repeated_change_is_made_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        root, key = Client(house, "root"), {"idempotency-key": "once"}
        body = {"uid": "ann", "drinkBalance": 300}
        for _ in range(2):
            assert (await root.ask("PUT", "/users/credits", body, **key)).status == 200
        assert await house.bench.credits() == (300, 0)
        await house.bench.transfers.send(await house.bench.account("ann"), "s", "bob", 10)
        # The balance has moved since: the key may not move it back a second time.
        assert (await root.ask("PUT", "/users/credits", body, **key)).status == 422
        assert await house.bench.credits() == (290, 0)


async def test_credits_that_move_in_the_same_moment_are_not_lost(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        bench, root = house.bench, Client(house, "root")
        bench.storage.gate.clear()
        body = {"uid": "ann", "drinkBalance": 300}
        asking = asyncio.create_task(root.ask("PUT", "/users/credits", body))
        await asyncio.wait_for(bench.storage.waiting.wait(), 20)
        bench.storage.gate.set()
        # The transfer is written first: the change has seen 200 and waits at the gate behind it.
        sending = bench.transfers.send(await bench.account("ann"), "s", "bob", 10)
        await asyncio.gather(sending, asking)
        total = (await bench.credits())[0] + (await bench.credits("bob"))[0]
        assert asking.result().status == 200
        assert (total, (await bench.credits("bob"))[0]) in {(410, 110), (400, 110)}


async def test_only_administrators_change_balances(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        for uid, wanted in (("ann", 500), ("ann", 200), ("nobody", 1)):
            body = {"uid": uid, "drinkBalance": wanted}
            for user in ("ann", ""):
                reply = await Client(house, user).ask("PUT", "/users/credits", body)
                assert reply.status == 401
        assert await house.bench.credits() == (200, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"uid": "ann"}, 400),
        ({"drinkBalance": 5}, 400),
        ({"uid": "ann", "drinkBalance": 1.5}, 400),
        ({"uid": "ann", "drinkBalance": True}, 400),
        ({"uid": "ann", "drinkBalance": None}, 400),
        ({"uid": "ann", "drinkBalance": "many"}, 400),
        ({"uid": "ann", "drinkBalance": 1_000_001}, 400),
        ({"uid": "ann", "drinkBalance": -1}, 402),
        ({"uid": "nobody", "drinkBalance": 5}, 400),
        ({"uid": 7, "drinkBalance": 5}, 400),
        ({"uid": "../root", "drinkBalance": 5}, 400),
    ],
)
async def test_a_wrong_change_changes_nothing(tmp_path: Path, body: Any, status: int) -> None:
    async with running_house(tmp_path) as house:
        assert (await Client(house, "root").ask("PUT", "/users/credits", body)).status == status
        assert await house.bench.credits() == (200, 0)


async def test_without_a_frontend_nothing_is_claimed(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    sent = {"authorization": "Bearer x", "content-type": "application/json"}
    body = b'{"uid": "ann", "drinkBalance": 5}'
    assert (await visitor.ask("PUT", "/users/credits", body, sent)).status == 503
    assert (await visitor.get("/users", authorization="Bearer x")).status == 503
    await site.api.close()
