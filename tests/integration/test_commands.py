"""The command line of the frontend: what an installation is set up and looked after with."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.processes import BIN
from tests.integration.audited_system import COUPLE, DATABASE, AuditedSystem, id_of, outcome
from tests.support import programs
from tests.support.ports import free_port

PLAN = replace(COUPLE, metrics_port=free_port())

IMPORTED = (
    # Their other columns are what a board reports, at any time.
    "SELECT name, display_name, location, enabled, token_digest FROM machines",
    "SELECT machine, number, item, price, enabled, on_hand, dispensed FROM slots",
    "SELECT * FROM accounts",
    "SELECT * FROM transfers",
)

DOCUMENTED = Path(__file__).parents[2] / "docs" / "configuration.md"


def run(system: AuditedSystem, command: str, *more: str, text: str = "") -> tuple[int, str, str]:
    """Exit code, output and errors of `drink-frontend`."""
    done = programs.run(
        *(BIN / "drink-frontend", "--config=frontend.toml", *command.split(), *more),
        cwd=system.folder,
        input=text,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def admin(system: AuditedSystem, command: str, *more: str, text: str = "") -> str:
    """What a command answers that does what it is asked to."""
    code, output, errors = run(system, f"admin {command}", *more, text=text)
    assert (code, errors) == (0, "")
    return output


def test_a_machine_is_set_up_and_looked_after(system: AuditedSystem) -> None:
    assert admin(system, "machine add v", "Vending", "--location=NRH") == ""
    assert admin(system, "slot add v 1 --item=Tea --price=20 --available=3") == ""
    assert admin(system, "slot change v 1 --price=25 --available=4 --disabled") == ""
    assert admin(system, "machine change v --display-name=Vendor") == ""
    listed = admin(system, "machine list").splitlines()
    assert listed[0].split()[:4] == ["machine", "slot", "item", "price"]
    tea = next(line for line in listed if line.startswith("v "))
    assert tea.split() == ["v", "1", "Tea", "25", "4", "0", "0", "0", "UNSPECIFIED", "no"]


def test_a_token_is_shown_once_or_written_where_only_its_owner_reads(system: AuditedSystem) -> None:
    admin(system, "machine add t", "Token")
    shown = admin(system, "machine token t").strip()
    assert re.fullmatch(r"[\w-]{32,}", shown)
    assert admin(system, "machine token t --output=t.secret") == ""
    file = system.folder / "t.secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() != shown
    code, _, errors = run(system, "admin machine token t --output=t.secret")
    assert code == 1
    assert "t.secret exists already" in errors


def test_a_user_is_set_up_with_a_password_from_a_pipe(system: AuditedSystem) -> None:
    assert admin(system, "user add dave --password", text="first-secret\n") == ""
    assert "300 credits available" in admin(system, "credits add dave 300 --request-id=gift")
    assert "300 credits available" in admin(system, "credits add dave 300 --request-id=gift")
    assert "0 credits available" in admin(system, "credits add dave -- -300")
    assert admin(system, "user change dave --password --admin", text="second-secret\n") == ""
    listed = admin(system, "user list")
    assert re.search(r"^dave +0 +0 +yes +0 +0$", listed, re.MULTILINE)
    assert "secret" not in listed + system.frontend.log.read_text()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("machine add d Again", "ALREADY_EXISTS"),
        ("machine change x --disabled", "MACHINE_NOT_FOUND"),
        ("slot change d 9 --price=5", "SLOT_NOT_FOUND"),
        ("user change nobody --closed", "ACCOUNT_NOT_FOUND"),
        ("credits add bob 0", "FIELD_INVALID"),
        ("drops show nothing", "DROP_NOT_FOUND"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    system: AuditedSystem, command: str, expected: str
) -> None:
    code, output, errors = run(system, f"admin {command}")
    assert (code, output) == (1, "")
    assert errors.startswith(f"{expected}: ")


def test_drops_are_listed_shown_and_decided_when_nobody_can_tell(system: AuditedSystem) -> None:
    system.boards["d"].fault("disconnect", slot=1, seconds=0.3)
    lost = system.alice.drop("d/1")
    assert outcome(lost) == ("UNKNOWN", "BOARD_LOST")
    identity = id_of(lost)
    assert identity in admin(system, "drops list --state=UNKNOWN --account=alice")
    alarms = admin(system, "alarms")
    assert f"DROP_UNKNOWN  drops/{identity}  50 credits held" in alarms
    assert "BOARD_LOST" in alarms
    code, _, errors = run(system, f"admin drops resolve {identity} --dispensed")
    assert code != 0
    assert "--why" in errors
    assert "DISPENSED OPERATOR" in admin(
        system, f"drops resolve {identity} --dispensed", "--why=one can short"
    )
    shown = admin(system, f"drops show {identity}")
    for word in ("RESERVE", "DISPATCH", "LOSE", "DECIDE_DISPENSED", "one can short"):
        assert word in shown
    code, _, errors = run(system, f"admin drops resolve {identity} --dispensed --why=again")
    assert code == 1
    assert errors.startswith("DROP_NOT_UNKNOWN: ")


def test_an_import_is_carried_out_once(system: AuditedSystem) -> None:
    def imported() -> list[list[tuple[object, ...]]]:
        with closing(sqlite3.connect(system.folder / DATABASE)) as database:
            return [database.execute(query).fetchall() for query in IMPORTED]

    before = imported()
    assert admin(system, "import plan.toml") == ""
    assert imported() == before
    (system.folder / "bad.toml").write_text("[[machines]]\nname = 'x'\n")
    code, _, errors = run(system, "admin import bad.toml")
    assert code == 1
    assert "machines.0.display_name" in errors


def test_the_books_are_verified_and_the_frontend_asked_for_its_health(
    system: AuditedSystem,
) -> None:
    assert admin(system, "verify") == "The books agree.\n"
    assert run(system, "health") == (0, "SERVING\n", "")
    code, output, errors = run(system, "health --json")
    told = json.loads(output)
    assert (code, errors, told["details"]) == (0, "", None)
    assert (told["status"], told["reasons"]) == ("SERVING", [])
    assert told["database"]["schema_as_known"] is True
    assert told["machines"]["total"] >= len(PLAN.machines)
    system.frontend.stop()
    assert run(system, "health")[:2] == (1, "NOT_SERVING\n")
    code, output, _ = run(system, "health --json")
    assert (code, json.loads(output)["reasons"]) == (1, ["no_answer"])
    assert run(system, "migrate")[0] == 0
    system.start_frontend()


def test_the_settings_in_force_are_shown_and_their_reference_is_the_documented_one(
    system: AuditedSystem,
) -> None:
    code, output, _ = run(system, "config check")
    assert code == 0
    assert json.loads(output)["rpc"]["port"] == system.rpc_port
    assert run(system, "config reference")[1] == DOCUMENTED.read_text()
