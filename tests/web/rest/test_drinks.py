import asyncio
from pathlib import Path
from typing import Any

import pytest

from drink.v1 import account_service_pb2 as accounts
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Reach
from tests.support.rpc_frontend import PASSWORD
from tests.web.rest.client import Client, Reply
from tests.web.visitor import LIMIT_S, House, away_house, running_house

COKE = {"machine": "d", "slot": 1}


async def ordered(house: House, body: Any, *report: Any, **headers: str) -> Reply:
    """The answer to a drop that the machine reports so."""
    asking = asyncio.create_task(Client(house).ask("POST", "/drinks/drop", body, **headers))
    drop = await house.frontend.followed_drop()
    await house.frontend.dispense(drop, *report)
    return await asking


async def test_the_machines_are_shown_to_anybody(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house, "").ask("GET", "/drinks")
        assert reply.status == 200
        d, ld = reply.body["machines"]
        assert (d["name"], d["display_name"], d["is_online"]) == ("d", "D", True)
        coke, tea = d["slots"]
        assert (coke["number"], coke["active"], coke["empty"], coke["count"]) == (1, True, False, 3)
        assert (coke["item"]["name"], coke["item"]["price"]) == ("Coke", 50)
        assert coke["machine"] == tea["machine"] == d["id"] != ld["id"]
        assert coke["item"] == ld["slots"][0]["item"] != tea["item"]
        assert reply.body["message"] == "Successfully retrieved machine contents for d, ld"


async def test_one_machine_is_shown_by_its_name(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        client = Client(house, "")
        reply = await client.ask("GET", "/drinks?machine=ld")
        assert [machine["name"] for machine in reply.body["machines"]] == ["ld"]
        assert (await client.ask("GET", "/drinks?machine=nope")).status == 400


async def test_a_machine_that_is_away_and_an_empty_slot_are_shown_so(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.reach(Reach.OFFLINE, "ld")
        await house.bench.change_slot("d", 2, available=0, enabled=False)
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            while (
                known.machines["machines/ld"].reach != 1
                or known.machines["machines/d"].slots[1].enabled
            ):
                await known.changed(known.version)
        d, ld = (await Client(house, "").ask("GET", "/drinks")).body["machines"]
        assert ld["is_online"] is False
        tea = d["slots"][1]
        assert (tea["active"], tea["empty"], tea["count"]) == (False, True, 0)


async def test_a_can_that_fell_is_the_only_success(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await ordered(house, COKE)
        assert reply.status == 200
        assert reply.body == {"message": "Drop successful!", "drinkBalance": 150}
        assert await house.bench.credits() == (150, 0)


async def test_a_can_that_did_not_fall_costs_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await ordered(house, COKE, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
        assert reply.status == reply.body["errorCode"] == 500
        assert reply.body["error"].startswith("Nothing fell, and nothing is paid: the machine refu")
        assert reply.body["state"] == "NOT_DISPENSED"
        assert await house.bench.credits() == (200, 0)


async def test_what_nobody_knows_is_neither_sold_nor_failed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await ordered(house, COKE, State.UNKNOWN, Cause.BOARD_SILENT)
        name = (await house.frontend.kept_drops())[0].id
        assert reply.status == 504
        assert reply.body == {
            "error": "Nobody can tell whether it fell. 50 credits are held, "
            f"drop {name}. Do not try again.",
            "errorCode": 504,
            "drop": name,
            "state": "UNKNOWN",
        }
        assert await house.bench.credits() == (200, 50)


async def test_a_drop_that_takes_too_long_is_told_as_it_stands(tmp_path: Path) -> None:
    async with running_house(tmp_path, rest={"drop_limit_s": 0.1}) as house:
        reply = await Client(house).ask("POST", "/drinks/drop", COKE)
        assert reply.status == 504
        assert reply.body["state"] == "RESERVED"
        assert "It is still on its way. 50 credits are held" in reply.body["error"]


@pytest.mark.parametrize("key", ["order-1", '"order-1"'])
async def test_a_repeat_with_the_same_key_is_the_same_drop(tmp_path: Path, key: str) -> None:
    async with running_house(tmp_path) as house:
        first = await ordered(house, COKE, **{"idempotency-key": "order-1"})
        again = await Client(house).ask("POST", "/drinks/drop", COKE, **{"idempotency-key": key})
        assert again.body == first.body
        (drop,) = await house.frontend.kept_drops()
        assert drop.request_id == "order-1"


async def test_a_key_of_another_request_is_refused(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        key = {"idempotency-key": "order-1"}
        await ordered(house, COKE, **key)
        other = {"machine": "d", "slot": 2}
        assert (await Client(house).ask("POST", "/drinks/drop", other, **key)).status == 422
        for wrong in ("", "a b", '"', "x" * 65):
            sent = {"idempotency-key": wrong}
            assert (await Client(house).ask("POST", "/drinks/drop", COKE, **sent)).status == 400
        assert len(await house.frontend.kept_drops()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"machine": "d"}, 400),
        ({}, 400),
        ([], 400),
        (b"", 400),
        (b"{", 400),
        (b"[" * 10_000, 400),
        (b'{"machine": "d", "slot": ' + b"9" * 10_000 + b"}", 400),
        ({"machine": "d", "slot": "1"}, 400),
        ({"machine": "d", "slot": True}, 400),
        ({"machine": "d", "slot": 100}, 400),
        ({"machine": "d/../x", "slot": 1}, 400),
        ({"machine": 7, "slot": 1}, 400),
        ({"machine": "nope", "slot": 1}, 400),
        ({"machine": "d", "slot": 9}, 400),
        ({"machine": "d" * 20_000, "slot": 1}, 413),
    ],
)
async def test_a_wrong_order_buys_nothing(tmp_path: Path, body: Any, status: int) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house).ask("POST", "/drinks/drop", body)
        assert reply.status == reply.body["errorCode"] == status
        assert await house.frontend.kept_drops() == []


async def test_a_body_of_another_type_is_refused_and_a_charset_is_not(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        client = Client(house)
        plain = {"content-type": "text/plain"}
        assert (await client.ask("POST", "/drinks/drop", COKE, **plain)).status == 400
        await ordered(house, COKE, **{"content-type": "Application/JSON; charset=utf-8"})


async def test_refusals_have_the_statuses_that_clients_know(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        client, bench = Client(house), house.bench
        for user in ("", "nobody"):
            assert (await Client(house, user).ask("POST", "/drinks/drop", COKE)).status == 401
        await bench.change_slot("d", 2, available=0)
        assert (await client.ask("POST", "/drinks/drop", {"machine": "d", "slot": 2})).status == 400
        await bench.change_slot("d", 1, price=5_000)
        poor = await client.ask("POST", "/drinks/drop", COKE)
        assert (poor.status, poor.body["message"]) == (402, "INSUFFICIENT_CREDITS")
        await bench.reach(Reach.OFFLINE, "ld")
        away = await client.ask("POST", "/drinks/drop", {"machine": "ld", "slot": 1})
        assert (away.status, away.body["error"]) == (500, "The machine is not connected.")
        assert await house.frontend.kept_drops() == []


async def test_a_token_that_may_only_drop_drops(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        password = accounts.PasswordCredentials(account="accounts/ann", password=PASSWORD)
        login = accounts.LoginRequest(password=password, scope=accounts.TOKEN_SCOPE_DROP)
        token = (await house.frontend.call(login)).token
        sent = {"authorization": f"Bearer {token}"}
        assert (await ordered(house, COKE, **sent)).body["drinkBalance"] == 150
        assert (await Client(house).ask("GET", "/users", **sent)).status == 401


async def test_without_a_frontend_nobody_can_tell_whether_it_was_ordered(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    sent = {"authorization": "Bearer x", "content-type": "application/json"}
    answer = await visitor.ask("POST", "/drinks/drop", b'{"machine": "d", "slot": 1}', sent)
    assert answer.status == 504
    assert '"idempotencyKey":"rest-' in answer.text
    assert (await visitor.get("/drinks")).status == 503
    await site.api.close()
