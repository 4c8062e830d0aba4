"""What ended a session, hung a server or did worse in one of the ancestors. Nothing of it here."""

import asyncio
import ssl

import pytest

from drink_frontend.sessions.dialects import CLASSIC, DRINKJS
from tests.support.session_servers import Serve
from tests.support.sessions import Caller, Typist, World

INJECTIONS = [
    "'", "''", "' OR '1'='1", "1;DROP TABLE accounts", "1' --", "*", "*)(uid=*", "(|(uid=*))", "\\",
    "%s%s%s%n", "{0.__class__}", "../../etc/passwd", "$(reboot)", "`reboot`", "<script>", "|",
]  # fmt: skip
"""Metacharacters of SQL, LDAP, shells, formats and paths."""


@pytest.mark.parametrize("number", ["-1", "0", "100", "2147483648", "9" * 30, "1e9", "0x1", "NaN"])
@pytest.mark.parametrize(
    "line", ["DROP {}", "STAT {}", "DROP 1 {}", "RAND {}", "SENDCREDITS {} user2", "EDITUSER x {}"]
)
async def test_numbers_of_all_sizes(world: World, line: str, number: str) -> None:
    typist = await Typist(world).login("admin")
    said = await typist.type(line.format(number))
    assert said.count("\n") == 1
    assert said.startswith(("ERR 4", "ERR 203", "OK "))
    assert await typist.type("WHOAMI") == "OK Username: admin\n"


async def test_drinkjs_a_session_pays_for_each_of_its_drops(world: World) -> None:
    typist = await Typist(world, DRINKJS).login()
    said = [await typist.type("DROP 1") for _ in range(3)]
    assert said == ["OK:  Dropping drink\r\n"] * 2 + ["ERR 203 User is poor.\r\n"]
    assert world.accounts["user"].posted == 0


async def test_drinkjs_credits_moved_elsewhere_are_not_overwritten(world: World) -> None:
    user, admin = await Typist(world, DRINKJS).login(), await Typist(world).login("admin")
    await admin.type("ADDCREDITS user 50")
    await user.type("DROP 1")
    assert await user.type("GETBALANCE") == "OK: 100\r\n"


async def test_drinkjs_nobody_drops_without_a_login_however_cheap(world: World) -> None:
    await world.change_slot("d", 1, price=0)
    assert await Typist(world, DRINKJS).type("DROP 1") == "ERR 204 You need to login.\r\n"
    assert not world.drops


async def test_drinkjs_a_free_item_is_dropped_for_a_user(world: World) -> None:
    await world.change_slot("d", 1, price=0)
    assert await (await Typist(world).login()).type("DROP 1") == "OK Credits remaining: 100\n"


async def test_drinkjs_a_refused_drop_has_one_reply(world: World) -> None:
    await world.change_slot("d", 5, available=0)
    typist = await Typist(world, DRINKJS).login()
    assert await typist.type("DROP 5") == "ERR 102 Slot disabled.\r\n"


async def test_drinkjs_the_same_user_again_may_log_in(world: World) -> None:
    typist = await Typist(world, DRINKJS).login()
    assert await typist.type("USER user") == "OK: \r\n"
    assert await typist.type("PASS pw") == "OK: 100\r\n"


@pytest.mark.parametrize("name", ["toString", "__proto__", "constructor", "hasOwnProperty"])
async def test_drinkjs_machine_tostring(world: World, name: str) -> None:
    assert (await Typist(world, DRINKJS).type(f"MACHINE {name}")).startswith("ERR 414 ")


@pytest.mark.parametrize("dialect", [CLASSIC, DRINKJS], ids=lambda d: d.name)
@pytest.mark.parametrize("evil", INJECTIONS)
async def test_metacharacters_in_every_argument(world: World, dialect: object, evil: str) -> None:
    typist = await Typist(world, dialect).login("admin")  # type: ignore[arg-type]
    before = dict(world.accounts), dict(world.machines)
    for line in (
        "DROP {}", "DROP 1 {}", "STAT {}", "MACHINE {}", "GETBALANCE {}", "SENDCREDITS 1 {}",
        "SENDCREDITS {} user", "ADDCREDITS {} 1", "ADDCREDITS user {}", "EDITUSER {} 1",
        "EDITUSER user 1 {}", "EDITSLOT {} a 1 1 1 true", "EDITSLOT 1 a {} 1 1 true", "RMUSER {}",
        "SETADMIN {} true", "SETADMIN user {}", "QUERYADMIN {}", "ADDUSER {}", "CHPASS {} x",
        "ISVALIDUSER {}", "SHUTDOWN {}", "{}",
    ):  # fmt: skip
        said = await typist.type(line.format(f'"{evil}"'))
        assert said.startswith(("ERR ", "OK 5 Slots", '1 "', "OK: 50", "OK false", "OK: false"))
        assert said.endswith(dialect.eol)  # type: ignore[attr-defined]
    assert (dict(world.accounts), dict(world.machines)) == before


@pytest.mark.parametrize("evil", INJECTIONS)
async def test_metacharacters_in_a_login(world: World, evil: str) -> None:
    for line in (f'AUTH "{evil}" pw', f'AUTH user "{evil}"', f'IBUTTON "{evil}"'):
        assert await Typist(world).type(line) == "ERR 202 Invalid username or password.\n"


@pytest.mark.parametrize("line", ['DROP "1', 'USER "user', 'EDITSLOT 1 "Coke 50 13 0 true', '"'])
async def test_quotes_left_open(world: World, line: str) -> None:
    typist = await Typist(world).login("admin")
    before = world.machines["d"]
    assert (await typist.type(line)).count("\n") == 1
    assert world.machines["d"] == before


@pytest.mark.parametrize(
    "sent", [b"EDITSLOT 1 Co\x07ke 1 1 1 true\n", b"DROP\t1\n", b"DROP 1\x01\n", b"MACHINE \xe9\n",
             b"\xff\xff\n", b"\x1b[A\n", b"\xc2\x85\n"],
)  # fmt: skip
async def test_control_bytes_and_what_is_no_text(world: World, sent: bytes) -> None:
    typist = await Typist(world).login("admin")
    assert await typist.send(sent) == b"ERR 406 Invalid parameters.\n"
    assert await typist.type("WHOAMI") == "OK Username: admin\n"
    assert not world.drops


async def test_a_tls_client_on_the_plain_port(serve: Serve) -> None:
    server = await serve()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(*server.addresses[0], ssl=context, server_hostname="drink")
    async with Caller(server) as caller:
        assert await caller.read() == b"OK Welcome to Big Drink\n"


async def test_junk_of_all_kinds_leaves_others_served(serve: Serve) -> None:
    server = await serve()
    async with Caller(server) as other:
        await other.read()
        for junk in (
            b"\0" * 10_000,
            b"\n" * 10_000,
            bytes(range(256)) * 40,
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            async with Caller(server) as caller:
                caller.send(junk + b"\nQUIT\n")
                assert (await caller.read_all()).endswith(b"OK Disconnecting.\n")
            assert await other.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"
