import asyncio

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drink_frontend.domain.errors import RequestIdReusedError
from drink_frontend.sessions.codec import Garbage
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.dialects import CLASSIC, DIALECTS, DRINKD, DRINKJS, Dialect
from drink_frontend.sessions.reply_codes import ReplyCode
from drink_frontend.sessions.session import ASYNC_HANDLERS, SYNC_HANDLERS
from tests.support.sessions import Typist, World
from tests.support.tasks import cancel

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: d.name)

COMMANDS = [
    b"USER user", b"PASS pw", b"PASS wrong", b"STAT", b"STAT 1", b"DROP 1", b"DROP 3", b"DROP 1 5",
    b"drop x", b"WHOAMI", b"GETBALANCE", b"MACHINE ld", b"MACHINES", b"TEMP", b"RAND", b"FOO",
    b"SENDCREDITS 1 user2", b"", b" ", b"QUIT", b'EDITSLOT 1 "a b" 1 1 1 true', b"x" * 600, b"\0",
]  # fmt: skip


def test_every_verb_is_carried_out_by_something() -> None:
    assert set(SYNC_HANDLERS) | set(ASYNC_HANDLERS) == set(Verb)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([c for c in COMMANDS if c not in {b"STAT", b"MACHINES"}])))
async def test_one_line_has_one_reply(world: World, lines: list[bytes]) -> None:
    typist = Typist(world, DRINKJS)
    for line in lines:
        if not typist.hung_up:
            said = await typist.send(line + b"\n")
            assert said.count(b"\r\n") == 1
            assert said.endswith(b"\r\n")


@pytest.mark.parametrize(
    ("line", "looks_up"),
    [
        ("GETBALANCE", 0),
        ("WHOAMI", 0),
        ("SENDCREDITS 1 user2", 1),
        ("DROP 1", 1),
        ("RAND", 1),
        ("ADDCREDITS user 1", 1),
        ("EDITUSER user 7", 1),
        ("CHPASS admin new", 1),
    ],
)
async def test_what_changes_something_never_rests_on_what_is_in_memory(
    world: World, line: str, looks_up: int
) -> None:
    typist = await Typist(world).login("admin")
    await typist.type("WHOAMI")
    before = world.calls["balance"]
    assert "OK" in await typist.type(line)
    assert min(world.calls["balance"] - before, 1) == looks_up


class TestEmptyLines:
    @pytest.mark.parametrize("line", ["", "   ", "\r"])
    async def test_are_nothing_in_classic(self, world: World, line: str) -> None:
        assert await Typist(world).type(line) == ""

    async def test_are_unknown_commands_in_the_others(self, world: World) -> None:
        assert await Typist(world, DRINKJS).type("") == "ERR 415 Invalid command\r\n"
        assert await Typist(world, DRINKD).type("") == "ERR Invalid command\n"


class TestAccess:
    @every_dialect
    @pytest.mark.parametrize(
        "line",
        [
            "WHOAMI", "GETBALANCE", "DROP 1", "DROP x", "RAND", "SENDCREDITS 1 user2",
            "ADDCREDITS user 5", "EDITSLOT 1 Coke 50 13 0 true", "EDITSLOT 1 Coke -5 1 0 x",
            "ADDUSER x", "RMUSER x", "SETADMIN x true", "EDITUSER x 5", "ISVALIDUSER x",
            "QUERYADMIN x", "LOG", "SHUTDOWN",
            "CHPASS user new",
        ],
    )  # fmt: skip
    async def test_needs_a_login(self, world: World, dialect: Dialect, line: str) -> None:
        typist = Typist(world, dialect, may_stop=True)
        said = dialect.texts[ReplyCode.LOGIN_NEEDED] + dialect.eol
        assert await typist.type(line) == said
        assert world.accounts["user"].posted == 100
        assert not world.drops
        assert not world.stopped

    @pytest.mark.parametrize(
        "line",
        [
            "ADDCREDITS user 5", "EDITSLOT 1 Coke 50 13 0 true", "EDITSLOT x y z 1 2 3",
            "ADDUSER x", "RMUSER x", "SETADMIN x maybe", "EDITUSER x 5", "ISVALIDUSER x",
            "QUERYADMIN x", "LOG", "SHUTDOWN -r",
        ],
    )  # fmt: skip
    async def test_needs_an_administrator(self, world: World, line: str) -> None:
        typist = await Typist(world, may_stop=True).login("user")
        assert await typist.type(line) == "ERR 200 Access denied.\n"
        assert not world.stopped

    @pytest.mark.parametrize(
        "line",
        [
            "STAT", "TEMP", "MACHINE ld", "MACHINES", "SERVERSTAT", "LOCATION", "VERSION",
            "UPTIME", "ACCTMGRCHK", "QUIT",
        ],
    )  # fmt: skip
    async def test_needs_nothing(self, world: World, line: str) -> None:
        assert "OK " in await Typist(world).type(line)

    async def test_a_closed_account_is_logged_out(self, world: World) -> None:
        typist = await Typist(world).login("user2")
        admin = await Typist(world).login("admin")
        assert await admin.type("RMUSER user2") == "OK User removed.\n"
        assert await typist.type("WHOAMI") == "ERR 204 You need to login.\n"

    async def test_administrators_are_asked_for_each_time(self, world: World) -> None:
        typist = await Typist(world).login("admin")
        await typist.type("SETADMIN user2 true")
        assert await typist.type("SETADMIN admin false") == "OK Admin flag set.\n"
        assert await typist.type("ADDCREDITS user 5") == "ERR 200 Access denied.\n"


class TestFaults:
    async def test_an_unknown_exception_ends_one_command_and_says_nothing_of_itself(
        self, world: World
    ) -> None:
        typist = await Typist(world).login()
        world.broken["place"] = [ZeroDivisionError("secret detail")]
        with structlog.testing.capture_logs() as logged:
            assert await typist.type("DROP 1") == "ERR 103 Unknown Failure.\n"
        (report,) = [entry for entry in logged if entry["event"] == "session_fault"]
        assert len(report["incident"]) == 8
        assert await typist.type("WHOAMI") == "OK Username: user\n"

    async def test_an_error_that_cannot_be_is_a_fault(self, world: World) -> None:
        typist = await Typist(world).login()
        world.broken["place"] = [RequestIdReusedError("x")]
        assert await typist.type("DROP 1") == "ERR 103 Unknown Failure.\n"

    async def test_secrets_reach_no_log(self, world: World) -> None:
        world.broken["login_password"] = [ZeroDivisionError()]
        with structlog.testing.capture_logs() as logged:
            typist = Typist(world)
            for line in (
                "USER user", "PASS s3cret", "USER user", "PASS s3cret", "AUTH user s3cret",
                "IBUTTON 5ec7e75ec7e75ec7", "CHPASS user s3cret", "PASSs3cret", "PAS s3cret",
            ):  # fmt: skip
                await typist.type(line)
        assert any(entry["event"] == "session_fault" for entry in logged)
        assert "s3cret" not in repr(logged)
        assert "5ec7" not in repr(logged)


class TestHangingUp:
    @every_dialect
    async def test_quit(self, world: World, dialect: Dialect) -> None:
        typist = Typist(world, dialect)
        said = {"classic": "OK Disconnecting.\n", "drinkjs": "Good Bye\r\n"}
        assert await typist.type("quit") == said.get(dialect.name, "OK Goodbye\n")
        assert typist.hung_up

    async def test_fault_8_three_failed_logins(self, world: World) -> None:
        typist = Typist(world)
        for attempt in ("AUTH user x", "IBUTTON 0000000000000000"):
            assert await typist.type(attempt) == "ERR 202 Invalid username or password.\n"
            assert not typist.hung_up
        await typist.login()
        assert not typist.hung_up
        assert await typist.type("AUTH user2 x") == "ERR 202 Invalid username or password.\n"
        assert typist.hung_up


class TestInterjections:
    @every_dialect
    async def test_only_another_drop_and_only_in_drinkjs(
        self, world: World, dialect: Dialect
    ) -> None:
        world.holding = True
        typist = await Typist(world, dialect, "ld").login()
        slot = dialect.first_slot
        assert typist.session.answer_now(f"DROP {slot}") is None
        handling = asyncio.create_task(typist.session.answer_pending())
        await world.placed.wait()
        warning = None
        if dialect is DRINKJS:
            warning = b"WARN 152 Drop in progress, please wait before dropping again\r\n"
        for text in (f"DROP {slot}", "rand", "DROP x"):
            answer = typist.session.interject(text)
            assert (answer and b"".join(answer.parts)) == warning
        for event in ("STAT", "", "DROP", Garbage.NOT_TEXT):
            said = typist.session.interject(event)
            assert (said is None) or event == "DROP"
        await world.settle()
        assert await handling is not None
        assert typist.session.interject(f"DROP {slot}") is None


class TestFarewell:
    async def test_says_why(self, world: World) -> None:
        typist = Typist(world)
        assert typist.session.last_line(ReplyCode.IDLE) == b"ERR 450 Timeout, disconnecting.\n"

    async def test_tells_of_the_drop_under_way(self, world: World) -> None:
        world.holding = True
        typist = await Typist(world, CLASSIC).login()
        handling = asyncio.ensure_future(typist.send(b"DROP 1\n"))
        await world.placed.wait()
        await asyncio.sleep(0)
        assert typist.session.only_waits
        (drop,) = world.drops
        said = f"ERR 103 Unknown Failure. Credits held, drop {drop.id}\n"
        assert typist.session.last_line(ReplyCode.NOT_READY).decode() == said
        await cancel(handling)
