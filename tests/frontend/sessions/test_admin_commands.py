import asyncio

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import BalanceChangedError, StorageUnavailableError
from drink_frontend.sessions.dialects import DIALECTS, DRINKD, DRINKJS, Dialect
from tests.support.sessions import Typist, World, until

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: d.name)


@pytest.fixture
async def admin(world: World) -> Typist:
    return await Typist(world, may_stop=True).login("admin")


async def test_add_credits(world: World, admin: Typist) -> None:
    assert await admin.type("ADDCREDITS user 5") == "OK Added credits.\n"
    assert await admin.type("ADDCREDITS user -105") == "OK Added credits.\n"
    assert world.accounts["user"].posted == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ADDCREDITS user", "406 Invalid parameters."),
        ("ADDCREDITS user x", "402 Invalid credits."),
        ("ADDCREDITS user 0", "402 Invalid credits."),
        ("ADDCREDITS user 99999999999", "402 Invalid credits."),
        ("ADDCREDITS user -101", "203 User is poor."),
        ("ADDCREDITS nobody 5", "410 Invalid user."),
        ("ADDCREDITS ') OR ('1'='1 5", "406 Invalid parameters."),
        ("ADDCREDITS *)(uid=* 5", "410 Invalid user."),
    ],
)
async def test_add_credits_refusals(world: World, admin: Typist, line: str, said: str) -> None:
    assert await admin.type(line) == f"ERR {said}\n"
    assert world.accounts["user"].posted == 100


async def test_edit_user_brings_credits_to_a_number(world: World, admin: Typist) -> None:
    assert await admin.type("EDITUSER user 30") == "OK Changes saved.\n"
    assert world.accounts["user"].posted == 30
    assert not world.accounts["user"].admin
    assert await admin.type("EDITUSER user 30 true") == "OK Changes saved.\n"
    assert world.accounts["user"].admin
    assert world.calls["set_posted"] == 1
    assert await admin.type("EDITUSER nobody 5") == "ERR 410 Invalid user.\n"
    assert await admin.type("EDITUSER user 1000001") == "ERR 402 Invalid credits.\n"


@pytest.mark.parametrize(
    ("changes", "said", "posted"),
    [(4, "OK Changes saved.", 30), (5, "ERR 103 Unknown Failure.", 100)],
)
async def test_edit_user_counts_again_if_credits_move_meanwhile(
    world: World, admin: Typist, changes: int, said: str, posted: int
) -> None:
    world.broken["set_posted"] = [BalanceChangedError("x", posted=1) for _ in range(changes)]
    assert await admin.type("EDITUSER user 30") == f"{said}\n"
    assert (world.accounts["user"].posted, world.calls["set_posted"]) == (posted, 5)


async def test_edit_user_leaves_held_credits_beside_the_number(world: World, admin: Typist) -> None:
    world.holding = True
    buyer = await Typist(world).login("user")
    dropping = asyncio.create_task(buyer.type("DROP 1"))
    await world.placed.wait()
    assert await admin.type("EDITUSER user 30") == "OK Changes saved.\n"
    account = world.accounts["user"]
    assert (account.unheld, account.posted) == (30, 30 + account.held)
    assert account.held
    await world.settle()
    await dropping


@pytest.mark.parametrize(
    ("dialect", "slot"), [(DRINKD, 0), (DRINKJS, 1)], ids=["drinkd", "drinkjs"]
)
async def test_edit_slot(world: World, dialect: Dialect, slot: int) -> None:
    typist = await Typist(world, dialect).login("admin")
    said = await typist.type(f'editslot {slot} "Cherry Coke" 60 43 307 false')
    assert said.startswith("OK")
    assert "Changes saved." in said
    coke = world.machines["d"].slots[0]
    assert (coke.item, coke.price, coke.on_hand, coke.enabled) == ("Cherry Coke", 60, 43, False)
    assert coke.dispensed == 0, "how often it dropped is in the books"


@pytest.mark.parametrize(("name", "price"), [("Cola", 61), ("Coke", 60), ("Cola", 60)])
async def test_edit_slot_changes_a_slot_that_sells_an_item(
    world: World, admin: Typist, name: str, price: int
) -> None:
    item = await world.bench.items.create("test", "Cola", 60)
    await world.change_slot("d", 1, sold_item=item.number)
    assert await admin.type(f"EDITSLOT 1 {name} {price} 43 0 true") == "OK Changes saved.\n"
    slot = world.machines["d"].slots[0]
    assert (slot.item, slot.price, slot.on_hand) == (name, price, 43)
    is_same = (name, price) == ("Cola", 60)
    assert slot.item_number == (item.number if is_same else None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("EDITSLOT 1 Coke 50 13 0", "406 Invalid parameters."),
        ('EDITSLOT 1 "Coke 50 13 0 true', "406 Invalid parameters."),
        ('EDITSLOT 1 "" 50 13 0 true', "406 Invalid parameters."),
        ("EDITSLOT 9 Coke 50 13 0 true", "409 Invalid slot."),
        ("EDITSLOT 0 Coke 50 13 0 true", "409 Invalid slot."),
        ("EDITSLOT -1 Coke 5 13 0 true", "409 Invalid slot."),
        ("EDITSLOT x Coke 50 13 0 true", "409 Invalid slot."),
        ("EDITSLOT 1 Coke -5 13 0 true", "401 Invalid cost."),
        ("EDITSLOT 1 Coke 50 99999 0 true", "408 Invalid quantity."),
        ("EDITSLOT 1 Coke 50 13 x true", "405 Invalid num_dropped."),
        ("EDITSLOT 1 Coke 50 13 0 1", "404 Invalid enable flag."),
    ],
)
async def test_edit_slot_refusals(world: World, admin: Typist, line: str, said: str) -> None:
    before = world.machines["d"]
    assert await admin.type(line) == f"ERR {said}\n"
    assert world.machines["d"] == before


async def test_users_come_and_go(world: World, admin: Typist) -> None:
    assert await admin.type("ISVALIDUSER new") == "OK false User is not known.\n"
    assert await admin.type("ADDUSER new secret") == "OK User created.\n"
    assert await admin.type("ADDUSER new") == "ERR 412 User already registered.\n"
    assert await admin.type("ISVALIDUSER new") == "OK true User is known.\n"
    assert await Typist(world).type("AUTH new secret") == "OK Credits: 0\n"
    assert await admin.type("RMUSER new") == "OK User removed.\n"
    assert await admin.type("ISVALIDUSER new") == "OK false User is not known.\n"
    assert "202" in await Typist(world).type("AUTH new secret")
    assert await admin.type("RMUSER nobody") == "ERR 410 Invalid user.\n"
    assert await admin.type("ADDUSER -x") == "ERR 410 Invalid user.\n"


async def test_a_removed_user_is_added_again_and_old_sessions_end(
    world: World, admin: Typist
) -> None:
    user = await Typist(world).login("user")
    assert await admin.type("RMUSER user") == "OK User removed.\n"
    assert await admin.type("ADDUSER user another") == "OK User created.\n"
    assert world.accounts["user"].posted == 100
    assert await user.type("GETBALANCE") == "ERR 204 You need to login.\n"
    assert await Typist(world).type("AUTH user another") == "OK Credits: 100\n"
    assert "202" in await Typist(world).type("AUTH user pw")
    assert await admin.type("ADDUSER user third") == "ERR 412 User already registered.\n"


@pytest.mark.parametrize("line", ["SETADMIN admin false", "RMUSER admin", "EDITUSER admin 9 false"])
async def test_the_last_administrator_is_told_that_he_is(
    world: World, admin: Typist, line: str
) -> None:
    said = "ERR 200 Access denied: this is the last administrator.\n"
    assert await admin.type(line) == said
    assert world.calls["set_posted"] == 0


async def test_admin_flags(world: World, admin: Typist) -> None:
    assert await admin.type("QUERYADMIN user") == "OK false User is not an administrator.\n"
    assert await admin.type("SETADMIN user true") == "OK Admin flag set.\n"
    assert await admin.type("QUERYADMIN user") == "OK true User is an administrator.\n"
    assert await admin.type("SETADMIN user maybe") == "ERR 400 Invalid admin flag.\n"
    assert await admin.type("SETADMIN nobody true") == "ERR 410 Invalid user.\n"
    assert await admin.type("QUERYADMIN nobody") == "ERR 410 Invalid user.\n"


async def test_passwords(world: World, admin: Typist) -> None:
    user = await Typist(world).login()
    assert await user.type("CHPASS user new") == "OK Password changed.\n"
    assert await user.type("CHPASS user2 new") == "ERR 200 Access denied.\n"
    assert await user.type("CHPASS nobody new") == "ERR 200 Access denied.\n"
    assert await user.type('CHPASS user ""') == "ERR 407 Invalid password.\n"
    assert await admin.type("CHPASS user2 other") == "OK Password changed.\n"
    assert await admin.type("CHPASS nobody other") == "ERR 410 Invalid user.\n"
    for name, password in (("user", "new"), ("user2", "other"), ("admin", "pw")):
        assert "OK" in await Typist(world).type(f"AUTH {name} {password}")


async def test_log(world: World, admin: Typist) -> None:
    assert await admin.type('LOG filled the "big"  one') == "OK Message added to log file.\n"
    assert await admin.type("LOG") == "OK Message added to log file.\n"
    notes = await world.bench.audit(AuditKind.NOTE)
    words = ['filled the "big"  one', ""]
    assert [(note.actor, note.facts["words"]) for note in notes] == [
        ("admin", said) for said in words
    ]
    assert await admin.type("LOG " + "x" * 300) == "ERR 406 Invalid parameters.\n"


async def test_shutdown(world: World, admin: Typist) -> None:
    assert await admin.type("SHUTDOWN") == "OK Shutting down server.\n"
    assert await admin.type("SHUTDOWN -r") == "OK Rebooting.\n"
    assert await admin.type("SHUTDOWN now") == "ERR 411 Invalid reboot flag.\n"
    assert world.stopped == [False, True]


async def test_shutdown_where_it_is_not_allowed(world: World) -> None:
    typist = await Typist(world).login("admin")
    assert await typist.type("SHUTDOWN") == "ERR 451 Not implemented.\n"


@every_dialect
async def test_without_a_database(world: World, dialect: Dialect) -> None:
    typist = await Typist(world, dialect).login("admin")
    for line, operation, words in (
        ("ADDUSER x", "create", "Unable to create user."),
        ("RMUSER user", "change", "Could not remove user."),
        ("SETADMIN user true", "change", "Unable to set admin flag."),
        ("EDITSLOT 1 Coke 50 13 0 true", "update_slot", "Unknown Failure."),
        ("LOG x", "add", "Unknown Failure."),
    ):
        world.broken[operation] = [StorageUnavailableError("x")]
        said = await typist.type(line)
        assert said.startswith("ERR ")
        assert said.endswith(words + dialect.eol)


async def test_fault_70_who_changes_his_own_password_stays_logged_in(world: World) -> None:
    """Every other session of his ends, and so does this one at the next change by another."""
    other, user = await Typist(world).login(), await Typist(world).login()
    admin = await Typist(world).login("admin")
    await user.type("CHPASS user new")
    await until(lambda: world.permits_held == ["admin", "user"])
    assert await user.type("WHOAMI") == "OK Username: user\n"
    assert await other.type("WHOAMI") == "ERR 204 You need to login.\n"

    await admin.type("CHPASS user newest")
    assert await user.type("WHOAMI") == "ERR 204 You need to login.\n"
    assert await admin.type("WHOAMI") == "OK Username: admin\n"
