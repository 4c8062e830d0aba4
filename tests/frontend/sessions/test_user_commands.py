import asyncio
import json

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import (
    DrinkError,
    MachineBusyError,
    RateLimitedError,
    ShuttingDownError,
    StorageUnavailableError,
    TooManyWaitingError,
)
from drink_frontend.sessions.dialects import CLASSIC, DIALECTS, DRINKD, DRINKJS, Dialect
from tests.support.entities import make_machine, make_slot
from tests.support.sessions import Typist, World

HELD = "ERR 103 Unknown Failure. Credits held, drop {}\n"


@pytest.fixture(params=[True, False], ids=["from_memory", "from_database"])
async def world(world: World, request: pytest.FixtureRequest) -> World:
    """What is only shown may come from memory, or not."""
    if not request.param:
        world.forget_views()
    return world


@pytest.fixture
async def typist(world: World) -> Typist:
    """A session in which the user is logged in."""
    return await Typist(world).login()


class TestLogin:
    @pytest.mark.parametrize(
        ("dialect", "wanted", "balance"),
        [
            (CLASSIC, "OK Password required.\n", "OK Credits: 100\n"),
            (DRINKJS, "OK: \r\n", "OK: 100\r\n"),
            (DRINKD, "OK Password required.\n", "OK Credits: 100\n"),
        ],
    )
    async def test_user_and_pass(
        self, world: World, dialect: Dialect, wanted: str, balance: str
    ) -> None:
        typist = Typist(world, dialect)
        assert await typist.type("USER user") == wanted
        assert await typist.type("PASS pw") == balance

    async def test_a_bad_user_and_a_bad_password_sound_the_same(self, world: World) -> None:
        typist = Typist(world)
        said = [await typist.type(f"AUTH {who} x") for who in ("user", "nobody")]
        assert said == ["ERR 202 Invalid username or password.\n"] * 2

    @pytest.mark.parametrize("dialect", [CLASSIC, DRINKJS], ids=lambda d: d.name)
    async def test_a_pass_right_or_wrong_uses_the_user_up(
        self, world: World, dialect: Dialect
    ) -> None:
        typist = Typist(world, dialect)
        needed = f"ERR 201 USER command needs to be issued first.{dialect.eol}"
        assert await typist.type("PASS pw") == needed
        await typist.type("USER user")
        assert (await typist.type("PASS wrong")).startswith("ERR ")
        assert await typist.type("PASS pw") == needed
        await typist.type("USER user")
        assert "100" in await typist.type("PASS pw")
        assert await typist.type("PASS pw") == needed

    async def test_drinkd_knows_who_is_logged_in_already(self, world: World) -> None:
        typist = Typist(world, DRINKD)
        assert await typist.type("PASS pw") == "ERR You need to identify yourself first.\n"
        await typist.login()
        assert await typist.type("PASS pw") == "ERR You're already authenticated!\n"

    async def test_a_new_user_logs_the_old_one_out(self, world: World, typist: Typist) -> None:
        await typist.type("USER user")
        assert await typist.type("WHOAMI") == "ERR 204 You need to login.\n"

    @pytest.mark.parametrize("attempt", ["IBUTTON 0000000000000000", "AUTH user x"])
    async def test_a_failed_login_leaves_nobody_logged_in(self, world: World, attempt: str) -> None:
        typist = await Typist(world).login()
        await typist.type(attempt)
        assert await typist.type("WHOAMI") == "ERR 204 You need to login.\n"

    async def test_ibutton_logs_in_alone(self, world: World) -> None:
        typist = Typist(world)
        assert await typist.type("ibutton 1234567890ABCDEF") == "OK Credits: 100\n"
        assert await typist.type("WHOAMI") == "OK Username: user\n"

    async def test_a_wrong_ibutton_in_drinkjs(self, world: World) -> None:
        assert await Typist(world, DRINKJS).type("IBUTTON bad") == "ERR 207 Invalid Ibutton\r\n"

    async def test_auth_is_both(self, world: World) -> None:
        assert await Typist(world).type("AUTH user pw") == "OK Credits: 100\n"

    async def test_fault_8_a_throttled_login_does_not_count_as_failed(self, world: World) -> None:
        typist = Typist(world)
        world.broken["login_password"] = [RateLimitedError("x", retry_after_seconds=1)] * 5
        for _ in range(5):
            said = await typist.type("AUTH user pw")
            assert said == "ERR 350 Account server subsystem is not ready.\n"
        assert not typist.hung_up


class TestLookingAround:
    async def test_whoami_and_balance(self, world: World, typist: Typist) -> None:
        assert await typist.type("WHOAMI") == "OK Username: user\n"
        assert await typist.type("GETBALANCE") == "OK Credits: 100\n"
        assert await typist.type("GETBALANCE user") == "OK Credits: 100\n"
        assert await typist.type("GETBALANCE user2") == "ERR 200 Access denied.\n"
        assert await typist.type("GETBALANCE nobody") == "ERR 200 Access denied.\n"

    async def test_held_credits_are_not_shown(self, world: World) -> None:
        world.outcomes = [(State.UNKNOWN, Cause.BOARD_SILENT)]
        typist = await Typist(world).login()
        await typist.type("DROP 1")
        assert await typist.type("GETBALANCE") == "OK Credits: 50\n"

    async def test_administrators_see_any_balance(self, world: World) -> None:
        typist = await Typist(world).login("admin")
        assert await typist.type("GETBALANCE user2") == "OK Credits: 30\n"
        assert await typist.type("GETBALANCE nobody") == "ERR 410 Invalid user.\n"

    async def test_drinkjs_ignores_whose_balance(self, world: World) -> None:
        typist = await Typist(world, DRINKJS).login()
        assert await typist.type("GETBALANCE user2") == "OK: 100\r\n"

    @pytest.mark.parametrize("line", ["UPTIME x", "WHOAMI x y", "SERVERSTAT x", "GETBALANCE x y"])
    async def test_drinkjs_ignores_what_its_server_ignored(self, world: World, line: str) -> None:
        typist = await Typist(world, DRINKJS).login()
        assert await typist.type(line) == await typist.type(line.split(maxsplit=1)[0])

    async def test_machine(self, world: World) -> None:
        typist = Typist(world, machine=None)
        for line in ("STAT", "TEMP", "LOCATION"):
            assert await typist.type(line) == "ERR 413 No machine selected.\n"
        assert await typist.type("MACHINE zz") == "ERR 0 Invalid machine.\n"
        assert await typist.type("MACHINE LD") == "ERR 0 Invalid machine.\n"
        assert await typist.type("MACHINE ld") == "OK Welcome to Little Drink\n"
        assert await typist.type("STAT 1") == '1 "Jolt" 20 3 0 true\nOK 1 Slots retrieved\n'
        assert await typist.type("LOCATION") == "OK NRH (South).\n"

    async def test_machines_are_those_that_can_be_reached(self, world: World) -> None:
        typist = Typist(world)
        assert await typist.type("MACHINES") == (
            "d - Big Drink\nld - Little Drink\nOK 2 Machines retrieved\n"
        )
        await world.reach("d", Reach.OFFLINE)
        await world.reach("ld", Reach.BOARD_DOWN)
        assert await typist.type("MACHINES") == "ERR 501 No machines connected.\n"

    async def test_stat(self, world: World) -> None:
        typist = Typist(world)
        assert await typist.type("STAT") == (
            '1 "Coke" 50 13 0 true\n2 "Mountain Dew" 50 15 0 true\n3 "Sprite" 5 1 0 true\n'
            '4 "Dr. Pepper" 10 0 0 true\n5 "Broken" 10 5 0 false\nOK 5 Slots retrieved\n'
        )
        for line in ("STAT 9", "STAT 0", "STAT 100", "STAT x"):
            assert await typist.type(line) == "ERR 409 Invalid slot.\n"

    async def test_stat_of_an_offline_machine_is_what_is_known(self, world: World) -> None:
        await world.reach("d", Reach.OFFLINE)
        assert (await Typist(world).type("STAT")).endswith("OK 5 Slots retrieved\n")

    @pytest.mark.parametrize("dialect", [DRINKJS, DRINKD], ids=lambda d: d.name)
    async def test_stat_ignores_its_argument(self, world: World, dialect: Dialect) -> None:
        assert "5 Slots" in await Typist(world, dialect).type("STAT 1")

    async def test_stat_without_a_database(self, world: World) -> None:
        world.broken["get"] = [StorageUnavailableError("x")] * 2
        not_ready = "ERR 350 Account server subsystem is not ready.\n"
        assert await Typist(world).type("STAT") == not_ready
        offline = "ERR 416 Machine is offline or unreachable\r\n"
        assert await Typist(world, DRINKJS).type("STAT") == offline

    async def test_a_machine_that_is_not_there_is_none(self, world: World) -> None:
        typist = Typist(world, machine="gone")
        assert await typist.type("STAT") == "ERR 413 No machine selected.\n"

    async def test_temperature_is_in_fahrenheit(self, world: World) -> None:
        typist = Typist(world)
        assert await typist.type("TEMP") == "OK 38.3000\n"
        await typist.type("MACHINE ld")
        assert await typist.type("TEMP") == "ERR 351 Unable to determine temperature.\n"

    async def test_serverstat(self, world: World) -> None:
        await world.reach("ld", Reach.OFFLINE)
        said = await Typist(world, DRINKJS).type("SERVERSTAT")
        assert json.loads(said) == {
            "machines": [
                {"machine_name": "Big Drink", "connected": True},
                {"machine_name": "Little Drink", "connected": False},
            ],
            "opcode": "OK",
        }
        assert await Typist(world).type("SERVERSTAT") == f"OK {said.strip()}\n"

    async def test_about_the_service(self, world: World) -> None:
        typist = Typist(world)
        assert await typist.type("VERSION") == "OK Drink 1.2.3\n"
        assert await typist.type("UPTIME") == "OK Up since: Mon, 23 Nov 2026 03:50:40 GMT\n"
        assert await typist.type("ACCTMGRCHK") == "OK Account server subsystem running.\n"
        world.broken["find"] = [StorageUnavailableError("x")]
        not_ready = "ERR 350 Account server subsystem is not ready.\n"
        assert await typist.type("ACCTMGRCHK") == not_ready
        assert await typist.type("CODE 1 abc") == "ERR 451 Not implemented.\n"


class TestSendCredits:
    async def test_moves_ones_own(self, world: World, typist: Typist) -> None:
        assert await typist.type("SENDCREDITS 5 user2") == "OK Credits remaining: 95\n"
        assert world.accounts["user2"].posted == 35
        assert (
            await (await Typist(world, DRINKJS).login()).type("SENDCREDITS 5 user2") == "OK: \r\n"
        )

    @pytest.mark.parametrize(
        ("line", "classic", "drinkjs"),
        [
            ("SENDCREDITS 5 nobody", "410 Invalid user.", "208 Transfer error - user doesnt exist"),
            ("SENDCREDITS 5 user", "410 Invalid user.", "208 Transfer error - user doesnt exist"),
            ("SENDCREDITS 101 user2", "203 User is poor.", "203 User is poor."),
            (
                "SENDCREDITS -5 user2",
                "402 Invalid credits.",
                "210 Send amount must be a positive, whole number",
            ),
            (
                "SENDCREDITS",
                "406 Invalid parameters.",
                "206 Invalid number of args - USAGE: SENDCREDITS <(int) num credits> <username>",
            ),
        ],
    )
    async def test_refusals(self, world: World, line: str, classic: str, drinkjs: str) -> None:
        assert await (await Typist(world).login()).type(line) == f"ERR {classic}\n"
        assert await (await Typist(world, DRINKJS).login()).type(line) == f"ERR {drinkjs}\r\n"
        assert (world.accounts["user"].posted, world.accounts["user2"].posted) == (100, 30)


class TestDrop:
    @pytest.mark.parametrize(
        ("dialect", "line", "said"),
        [
            (CLASSIC, "DROP 1", "OK Credits remaining: 50\n"),
            (DRINKJS, "DROP 1", "OK:  Dropping drink\r\n"),
            (DRINKD, "DROP 0", "OK Credits remaining: 50\n"),
            (DRINKD, "drop 0 now", "OK Credits remaining: 50\n"),
        ],
    )
    async def test_buys(self, world: World, dialect: Dialect, line: str, said: str) -> None:
        typist = await Typist(world, dialect).login()
        assert await typist.type(line) == said
        (drop,) = world.drops
        assert (drop.slot, drop.machine, drop.state) == (1, "d", State.DISPENSED)

    async def test_each_drop_is_a_request_of_its_own(self, world: World) -> None:
        typist = await Typist(world, machine="ld").login()
        for left in (80, 60, 40):
            assert await typist.type("DROP 1") == f"OK Credits remaining: {left}\n"
        assert len({drop.request_id for drop in world.drops}) == 3

    async def test_with_a_delay(self, world: World, typist: Typist) -> None:
        assert await typist.type("DROP 1 300") == "OK Credits remaining: 50\n"
        assert world.drops[0].not_before_ms == world.drops[0].created_ms + 300_000

    @pytest.mark.parametrize(
        ("line", "classic", "drinkjs"),
        [
            ("DROP", "406 Invalid parameters.", "409 Invalid slot."),
            ("DROP x", "409 Invalid slot.", "409 Invalid slot."),
            ("DROP 9", "409 Invalid slot.", "105 Slot not found"),
            ("DROP 0", "409 Invalid slot.", "105 Slot not found"),
            ("DROP 4", "100 Slot empty.", "100 Slot empty."),
            ("DROP 5", "102 Slot disabled.", "102 Slot disabled."),
            ("DROP 1 x", "403 Invalid delay.", "403 Invalid delay"),
            ("DROP 1 -5", "403 Invalid delay.", "403 Invalid delay"),
            ("DROP 1 301", "403 Invalid delay.", "403 Invalid delay"),
        ],
    )
    async def test_refusals(self, world: World, line: str, classic: str, drinkjs: str) -> None:
        assert await (await Typist(world).login()).type(line) == f"ERR {classic}\n"
        assert await (await Typist(world, DRINKJS).login()).type(line) == f"ERR {drinkjs}\r\n"
        assert not world.drops

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("DROP", "ERR You must specify slot\n"),
            ("DROP x", "ERR Invalid slot number.\n"),
            ("DROP 7", "ERR Invalid slot number.\n"),
            ("DROP 3", "ERR Slot appears to be empty\n"),
        ],
    )
    async def test_refusals_in_drinkd(self, world: World, line: str, said: str) -> None:
        assert await (await Typist(world, DRINKD).login()).type(line) == said

    async def test_poor(self, world: World) -> None:
        typist = await Typist(world, machine="ld").login()
        assert await typist.type("DROP 2") == "ERR 203 User is poor.\n"
        typist = await Typist(world, DRINKD, "ld").login()
        assert await typist.type("DROP 1") == "ERR Insuficient Credits.\n"

    async def test_without_a_machine(self, world: World) -> None:
        typist = await Typist(world, machine=None).login()
        assert await typist.type("DROP 1") == "ERR 413 No machine selected.\n"
        assert await typist.type("RAND") == "ERR 413 No machine selected.\n"

    @pytest.mark.parametrize("reach", [Reach.OFFLINE, Reach.BOARD_DOWN])
    async def test_out_of_reach(self, world: World, reach: Reach) -> None:
        await world.reach("d", reach)
        said = "ERR 151 Unable to communicate with hardware. Contact an admin.\n"
        assert await (await Typist(world).login()).type("DROP 1") == said

    async def test_a_disabled_machine(self, world: World) -> None:
        await world.change_machine("d", enabled=False)
        assert await (await Typist(world).login()).type("DROP 1") == "ERR 102 Slot disabled.\n"

    @pytest.mark.parametrize("error", [MachineBusyError, TooManyWaitingError])
    async def test_too_many_drops_wait(self, world: World, error: type[DrinkError]) -> None:
        world.broken["place"] = [error("x")]
        said = "ERR 150 Unable to initialize hardware for drop.\n"
        assert await (await Typist(world).login()).type("DROP 1") == said

    async def test_a_frontend_that_stops(self, world: World) -> None:
        world.broken["place"] = [ShuttingDownError("x")]
        said = "ERR 350 Account server subsystem is not ready.\n"
        assert await (await Typist(world).login()).type("DROP 1") == said

    @pytest.mark.parametrize(
        ("cause", "classic", "drinkjs", "drinkd"),
        [
            (
                cause,
                "101 Drop failed, contact an admin.",
                "150 Unable to initialize hardware for drop.",
                "Machine Failure on drop. Credits remaining: 100",
            )
            for cause in (Cause.BOARD_REFUSED, Cause.BOARD_REFUSED_LATE, Cause.CANCELLED)
        ]
        + [
            (
                cause,
                "151 Unable to communicate with hardware. Contact an admin.",
                "151 Unable to communicate with hardware. Contact an admin.",
                "Unable to communicate with hardware. Contact an admin.",
            )
            for cause in (Cause.MACHINE_OFFLINE, Cause.EXPIRED, Cause.NOT_RECEIVED,
                          Cause.BOARD_UNREACHABLE)
        ],
    )  # fmt: skip
    async def test_fault_44_a_proven_failure_costs_nothing(
        self, world: World, cause: Cause, classic: str, drinkjs: str, drinkd: str
    ) -> None:
        world.outcomes = [(State.NOT_DISPENSED, cause)] * 3
        expected = zip(DIALECTS.values(), (classic, drinkjs, drinkd), strict=True)
        for dialect, said in expected:
            typist = await Typist(world, dialect).login()
            assert await typist.type("DROP 1") == f"ERR {said}{dialect.eol}"
        assert world.accounts["user"].available == 100

    async def test_fault_40_an_unknown_outcome_is_called_unknown(self, world: World) -> None:
        world.outcomes = [(State.UNKNOWN, Cause.BOARD_SILENT)]
        typist = await Typist(world).login()
        said = await typist.type("DROP 1")
        assert said == HELD.format(world.drops[0].id)
        assert await typist.type("GETBALANCE") == "OK Credits: 50\n"

    async def test_answers_only_when_the_outcome_is_known(self, world: World) -> None:
        world.holding = True
        typist = await Typist(world).login()
        answer = asyncio.ensure_future(typist.type("DROP 1"))
        await world.placed.wait()
        await asyncio.sleep(0.02)
        assert not answer.done()
        await world.settle()
        assert await answer == "OK Credits remaining: 50\n"


class TestDropWithoutADatabase:
    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("drink_frontend.sessions.state.RETRY_DELAYS_S", (0.0, 0.0, 0.0))

    async def test_fault_38_the_same_request_finds_out(self, world: World, typist: Typist) -> None:
        world.broken["place"] = [StorageUnavailableError("x")] * 3
        assert await typist.type("DROP 1") == "OK Credits remaining: 50\n"
        assert world.calls["place"] == 4
        assert len(world.drops) == 1

    async def test_fault_38_else_nobody_knows(self, world: World, typist: Typist) -> None:
        world.broken["place"] = [StorageUnavailableError("x")] * 4
        assert await typist.type("DROP 1") == "ERR 103 Unknown Failure.\n"

    async def test_fault_38_of_a_placed_drop_the_id_is_known(self, world: World) -> None:
        typist = await Typist(world).login()
        world.broken["outcome"] = [StorageUnavailableError("x")] * 4
        said = await typist.type("DROP 1")
        assert said == HELD.format(world.drops[0].id)
        assert not typist.session.only_waits


class TestRand:
    async def test_picks_what_is_there_and_affordable(self, world: World) -> None:
        await world.add_machine(
            make_machine(
                "s",
                "Snack",
                [
                    make_slot("s", 1, "Chips", 50, 2),
                    make_slot("s", 2, "Gum", 100, 1),
                    make_slot("s", 3, "Empty", 5, 0),
                    make_slot("s", 4, "Broken", 5, 1, enabled=False),
                    make_slot("s", 5, "Dear", 101, 1),
                ],
            )
        )
        typist = await Typist(world, machine="s").login()
        # The fake picks the last of those that may be picked.
        assert await typist.type("RAND") == "OK Credits remaining: 0\n"
        assert [drop.item for drop in world.drops] == ["Gum"]
        assert await typist.type("RAND") == "ERR 104 No slots available.\n"

    async def test_with_a_delay(self, world: World) -> None:
        typist = await Typist(world, DRINKJS).login()
        assert await typist.type("RAND 5") == "OK:  Dropping drink\r\n"
        assert world.drops[0].not_before_ms == world.drops[0].created_ms + 5_000
        assert await typist.type("RAND x") == "ERR 403 Invalid delay\r\n"
