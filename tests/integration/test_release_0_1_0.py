"""The first release beside the present version: its agent, frontend, stubs and database."""

import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import ListMachinesRequest
from drink_agent.reader.emulator import EmulatedReader
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.transaction import Transaction
from scripts.books import compare
from scripts.processes import BIN, ProcessFailedError, run
from tests.integration.audited_system import (
    ADMIN,
    ALICE,
    COUPLE,
    PRICE,
    AuditedSystem,
    id_of,
    outcome,
    verify,
)
from tests.integration.test_events import sales
from tests.integration.test_first_can import client_of_readme
from tests.integration.test_several_frontends import MACHINES, PLAN
from tests.integration.two_frontends import TwoFrontendSystem
from tests.releases import release
from tests.support import ids, programs
from tests.support.books import found, token
from tests.support.databases import fresh_sqlite

DISPENSED = ("DISPENSED", "BOARD_ACK")
REFUSED = ("NOT_DISPENSED", "BOARD_REFUSED")

LIMIT_S = 60

WITH_READERS = replace(
    COUPLE,
    agent=COUPLE.agent
    | {"reader": 'type = "serial"\nport = "{machine}.reader"\nbackoff_limit_s = 1.0'},
)

LOOK_UP = """
import sqlite3, sys
site, database, *digests = sys.argv[1:]
sys.path.insert(0, site)
from drink_frontend.storage.accounts import _BY_TOKEN
from drink_frontend.storage.sqlite_engine import DIALECT
from drink_frontend.storage.statements import Executor
executor = Executor(sqlite3.connect(database).cursor(), DIALECT)
for digest in digests:
    row = executor.one(_BY_TOKEN, digest=digest, now_ms=0)
    print(digest, row[0] if row else "nobody")
"""
"""Looks tokens up as the first release does, and prints whom each stands for."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of the first release."""
    return release.install(release.FIRST, tmp_path_factory.mktemp("released"))


def tap_cards(system: AuditedSystem) -> None:
    """Holds cards to the reader of d; its agent tells a frontend that does not know the message."""
    agent = system.agents["d"]
    reader = EmulatedReader(system.folder / "d.reader")
    agent.wait_for("reader_opened")
    for card in ("04A2B3C4", "0BADCAFE"):
        reader.tap(card)
        assert outcome(system.alice.drop("d/1")) == DISPENSED
    reader.unplug()
    agent.wait_for("reader_lost")
    assert [each["event"] for each in agent.events()].count("link_up") == 1


def sell(system: AuditedSystem) -> list[Drop]:
    """Buys a can, and one that the board refuses; returns both drops."""
    system.begin()
    sold = system.alice.drop("d/1")
    assert outcome(sold) == DISPENSED
    system.boards["d"].fault("refuse", slot=2)
    refused = system.alice.drop("d/2")
    assert outcome(refused) == REFUSED
    return [sold, refused]


@pytest.mark.parametrize(("old_frontend", "old_agent"), [(False, True), (True, False)])
def test_fault_22_the_released_agent_or_frontend_works_with_the_present_one(
    tmp_path: Path, released: Path, old_frontend: bool, old_agent: bool
) -> None:
    system = AuditedSystem(
        tmp_path / "system",
        COUPLE if old_agent else WITH_READERS,
        tmp_path,
        frontend_commands=released if old_frontend else BIN,
        agent_commands=released if old_agent else BIN,
    )
    with system:
        system.set_up()
        if old_frontend:
            tap_cards(system)
        sell(system)
        system.agents["d"].kill()
        system.start_agent("d")
        sell(system)
        system.frontend.kill()
        for agent in system.agents.values():
            agent.mark()
        system.start_frontend()
        for agent in system.agents.values():
            agent.wait_for("link_up")
        system.wait_ready("d", "ld")
        sell(system)
        assert not compare(system, system.root, system.untruths).problems


def test_fault_57_what_the_released_agent_takes_for_a_sale_holds_the_credits(
    tmp_path: Path, released: Path
) -> None:
    """Invariant 8: it reports DISPENSED because of a sensor that a refused command has changed."""
    plan = replace(COUPLE, response_limit_s=1.0)
    system = AuditedSystem(tmp_path / "system", plan, tmp_path, agent_commands=released)
    with system:
        system.set_up()
        system.begin()
        system.boards["d"].fault("found_empty_silent", slot=1)
        lost = system.alice.drop("d/1")
        assert outcome(lost) == ("UNKNOWN", "BOARD_SILENT")
        assert system.alice.account().held_credits == PRICE
        history = system.admin("drops", "show", id_of(lost))
        assert '"outcome": "DISPENSED", "reported_cause": "SENSOR"' in history
        assert "NOT_DISPENSED OPERATOR" in system.resolve(lost, dispensed=False)
        assert system.alice.account().held_credits == 0


def test_fault_22_a_client_with_the_released_stubs_buys_from_the_present_frontend(
    tmp_path: Path, released: Path
) -> None:
    with AuditedSystem(tmp_path / "system", COUPLE, tmp_path) as system:
        system.set_up()
        stubs = released.parent / "site"
        path = f"import sys; sys.path.insert(0, {str(stubs)!r})\n"
        done = programs.run(
            *(sys.executable, "-c", path + client_of_readme()),
            *(system.address, ALICE.name, ALICE.password, "machines/d/slots/1"),
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "DISPENSED Coke 50"


def test_fault_22_each_method_of_the_released_stubs_is_answered_as_an_old_program_expects(
    tmp_path: Path, released: Path
) -> None:
    with AuditedSystem(tmp_path / "system", COUPLE, tmp_path) as system:
        system.set_up()
        done = programs.run(
            *(sys.executable, Path(__file__).with_name("client_0_1_0.py")),
            *(released.parent / "site", system.address),
            *(ALICE.name, ALICE.password, ADMIN.name, ADMIN.password),
        )
        assert done.returncode == 0, done.stderr
        protos = FileDescriptorSet.FromString(release.protos(release.FIRST).read_bytes())
        methods = {
            method.name
            for file in protos.file
            for service in file.service
            for method in service.method
            # The agent's own, of which other tests are.
            if service.name != "MachineLinkService"
        }
        assert set(done.stdout.split()) == methods
        assert not verify(system.folder / "drink.db")


def test_the_first_release_does_not_find_a_token_with_some_rights_only(
    tmp_path: Path, released: Path
) -> None:
    """It does not know scopes: should it ever run on the database, it must refuse the token."""
    settings = fresh_sqlite(tmp_path)
    engine = SqliteEngine(settings, exclusive=False)
    connection = engine.connect(read_only=False)
    connection.begin()
    rows = IdentityMap(connection.executor)
    tx = Transaction(rows, 9)
    found(tx)
    for scope in Scope:
        tx.tokens.add(token(scope.value, scope=scope))
    rows.store()
    connection.commit()
    connection.close()
    with closing(sqlite3.connect(settings.path)) as database:
        # It looks for accounts by their names: without this it would find nobody for any token.
        database.execute("UPDATE accounts SET name = id WHERE name = 'alice'")
        database.commit()
    looked = programs.run(
        sys.executable, "-c", LOOK_UP, released.parent / "site", settings.path, *Scope
    )
    whose = [f"ALL {ids.ALICE}", *(f"{each} nobody" for each in Scope if each != Scope.ALL)]
    assert looked.stdout.splitlines() == whose, looked.stderr


def test_fault_39_two_frontends_of_the_first_release_are_exchanged_while_people_buy(
    tmp_path: Path, released: Path
) -> None:
    """All stop for the migration, which frontends of before neither survive nor start after."""
    with TwoFrontendSystem(
        tmp_path / "system", PLAN, frontend_commands=released, agent_commands=released
    ) as system:
        system.install()
        system.start()
        system.begin()
        system.link("d", system)
        system.link("ld", system.other)
        alices = system.at_both(ALICE)
        before = [alice.drop("d/1") for alice in alices]
        with sales([(alices, ["ld/1"]), (alices[::-1], ["s/1"])]):
            with pytest.raises(ProcessFailedError, match="stop all of them first"):
                run(["drink-frontend", "--config=frontend.toml", "migrate"], system.folder)
            before += [alice.drop("d/1") for alice in alices]
            for each in system.both:
                each.frontend.stop()
            # It refuses settings of later versions before it looks at the database.
            shutil.copy(system.folder / "frontend.toml", system.folder / "released.toml")
            for each in system.both:
                each.exchange_frontend(BIN)
            system.migrate()
            with pytest.raises(ProcessFailedError, match="newer schema revision"):
                run(
                    [str(released / "drink-frontend"), "--config=released.toml", "serve"],
                    system.folder,
                )
            system.revive()
            for each in system.both:
                each.wait_ready(*MACHINES)
            after = [alice.drop("d/1") for alice in alices]
        assert [outcome(alices[1].get(drop.name)) for drop in before + after] == [DISPENSED] * 6
        for alice in alices:
            found = alice.call(alice.machines.ListMachines, ListMachinesRequest()).machines
            assert {machine.agent_version for machine in found} == {release.FIRST}
            alice.close()
        system.audit()


def test_fault_39_a_database_of_the_first_release_is_upgraded_with_its_drops_for_good(
    tmp_path: Path, released: Path
) -> None:
    folder = tmp_path / "system"
    with AuditedSystem(
        folder, COUPLE, tmp_path, frontend_commands=released, agent_commands=released
    ) as old:
        old.set_up()
        before = sell(old)
        old.stop()
        plan = old.plan
    with AuditedSystem(folder, plan, tmp_path, agent_commands=released) as new:
        new.migrate()
        new.start()
        assert [new.alice.get(drop.name).state for drop in before] == [
            drop.state for drop in before
        ]
        sell(new)
        assert not verify(folder / "drink.db")
        new.stop()
    with AuditedSystem(folder, plan, tmp_path, frontend_commands=released) as old:
        old.exchange_frontend(released)
        # The first release knows nothing of what the new one keeps, and says so.
        with pytest.raises(ProcessFailedError, match="newer schema revision"):
            old.start_frontend()
        assert not verify(folder / "drink.db")
