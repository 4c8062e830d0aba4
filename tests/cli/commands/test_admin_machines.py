import json
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from tests.cli.conftest import Drink


def test_machines_are_listed_with_their_times_and_versions(administrator: Drink) -> None:
    administrator("admin", "machine", "add", "never", "Never linked")

    header, *lines = administrator("admin", "machine", "list").output.splitlines()
    rows = {
        row["machine"]: row
        for row in json.loads(administrator("--json", "admin", "machine", "list").output)
    }

    assert header.split()[:4] == ["MACHINE", "NAME", "REACH", "SINCE"]
    d, never = (next(line for line in lines if line.startswith(name)) for name in ("d ", "never "))
    assert version("drink-machine-agent") in d
    assert never.split() == ["never", "Never", "linked", "offline"]
    assert rows["d"]["reach"] == "ready"
    assert rows["d"]["reach_time"].startswith("20")
    # Its board may not have read its thermometer yet.
    d_times = rows["d"]["temperature_celsius"], rows["d"]["temperature_time"]
    assert d_times.count(None) in {0, 2}
    # No known board tells its firmware.
    assert (rows["d"]["agent_version"], rows["d"]["firmware_version"]) == (
        version("drink-machine-agent"),
        "",
    )
    assert (rows["never"]["reach_time"], rows["never"]["agent_version"]) == (None, "")


def test_a_machine_is_made_with_slots_and_a_token(administrator: Drink, tmp_path: Path) -> None:
    said = administrator("admin", "machine", "add", "new", "New one", "--location", "Room 5").output
    slot = administrator(
        "admin", "slot", "add", "new/1", "--item", "Tea", "--price", "30", "--available", "4"
    ).output
    path = tmp_path / "new.token"
    administrator("admin", "machine", "token", "new", "--output", str(path))

    assert said == "new: New one, Room 5\n"
    assert slot == "new/1 sells Tea for 30 credits, 4 left\n"
    assert len(path.read_text().strip()) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    shown = json.loads(administrator("--json", "machines", "new").output)
    assert [(row["slot"], row["state"]) for row in shown] == [("new/1", "offline")]


def test_a_machine_is_taken_out_of_service_and_back(administrator: Drink) -> None:
    administrator("admin", "machine", "add", "old", "Old one")

    assert (
        "out of service" in administrator("admin", "machine", "change", "old", "--disable").output
    )
    assert (
        "out of service"
        not in administrator(
            "admin", "machine", "change", "old", "--enable", "--display-name", "Older one"
        ).output
    )
    assert administrator("admin", "machine", "change", "old").exit_code == Exit.USAGE
    assert (
        administrator("admin", "machine", "change", "none", "--enable").exit_code == Exit.NOT_FOUND
    )


def test_what_is_there_is_not_made_again(administrator: Drink) -> None:
    assert administrator("admin", "machine", "add", "d", "D").exit_code == Exit.REFUSED
    assert administrator("admin", "machine", "add", "D!", "D").exit_code == Exit.USAGE
    terms = ("--item", "Tea", "--price", "1")
    assert administrator("admin", "slot", "add", "d/1", *terms).exit_code == Exit.REFUSED
    assert administrator("admin", "slot", "add", "none/1", *terms).exit_code == Exit.NOT_FOUND


def test_a_token_is_not_lost_to_a_file_that_is_there(
    administrator: Drink, system: LocalSystem, tmp_path: Path
) -> None:
    def digest() -> object:
        with closing(sqlite3.connect(system.folder / "drink.db")) as database:
            return database.execute("SELECT token_digest FROM machines WHERE name = 'd'").fetchone()

    path = tmp_path / "token"
    path.write_text("mine")
    before = digest()

    result = administrator("admin", "machine", "token", "d", "--output", str(path))

    assert result.exit_code == Exit.USAGE
    assert path.read_text() == "mine"
    assert digest() == before != (None,)


def test_a_token_is_taken_away(administrator: Drink, tmp_path: Path) -> None:
    administrator("admin", "machine", "add", "taken", "Taken one")
    path = tmp_path / "token"

    said = administrator("admin", "machine", "token", "taken", "--revoke")
    both = administrator("admin", "machine", "token", "taken", "--revoke", "--output", str(path))
    nowhere = administrator("admin", "machine", "token", "none", "--revoke")

    assert said.output == "taken: its token is refused from now on\n"
    assert both.exit_code == Exit.USAGE
    assert not path.exists()
    assert nowhere.exit_code == Exit.NOT_FOUND


def test_no_file_stays_of_a_token_that_was_refused(administrator: Drink, tmp_path: Path) -> None:
    path = tmp_path / "token"

    result = administrator("admin", "machine", "token", "none", "--output", str(path))

    assert result.exit_code == Exit.NOT_FOUND
    assert not path.exists()


def test_a_slot_is_changed(administrator: Drink) -> None:
    said = administrator(
        "admin", "slot", "change", "d/2",
        "--item", "Tea", "--price", "55", "--available", "3", "--disable",
    ).output  # fmt: skip

    assert said == "d/2 sells Tea for 55 credits, 3 left, out of service\n"
    assert administrator("admin", "slot", "change", "d/2").exit_code == Exit.USAGE

    administrator(
        "admin", "slot", "change", "d/2",
        "--item", "Dew", "--price", "50", "--available", "40", "--enable",
    )  # fmt: skip


def test_a_slot_is_loaded_taken_from_and_counted(administrator: Drink) -> None:
    def admin(*arguments: str) -> str:
        return administrator("admin", "slot", *arguments).output

    administrator("admin", "machine", "add", "stock", "Stock")
    admin("add", "stock/1", "--item", "Tea", "--price", "30", "--available", "4")
    assert admin("load", "stock/1", "6", "--why", "box") == "stock/1: loaded, +6 is 10\n"
    once = ("take", "stock/1", "1", "--lost", "--request-id", "broken")
    assert admin(*once) == admin(*once) == "stock/1: lost, -1 is 9\n"
    assert admin("take", "stock/1", "2") == "stock/1: taken out, -2 is 7\n"
    assert admin("count", "stock/1", "8", "--was", "7") == "stock/1: counted, +1 is 8\n"

    again = administrator("admin", "slot", "count", "stock/1", "8", "--was", "7")
    assert (again.exit_code, "8 left, not 7" in again.output) == (Exit.REFUSED, True)
    assert administrator("admin", "slot", "take", "stock/1", "9").exit_code == Exit.REFUSED
    assert administrator("admin", "slot", "load", "stock/1", "0").exit_code == Exit.USAGE
    assert administrator("admin", "slot", "count", "stock/9", "1").exit_code == Exit.NOT_FOUND

    shown = json.loads(administrator("--json", "admin", "slot", "movements", "stock/1").output)
    assert [(row["kind"], row["change"], row["on_hand"]) for row in shown] == [
        ("counted", 1, 8),
        ("taken out", -2, 7),
        ("lost", -1, 9),
        ("loaded", 6, 10),
        ("loaded", 4, 4),
    ]
    assert {(row["slot"], row["actor"]) for row in shown} == {("stock/1", "admin")}
    lost = administrator("admin", "slot", "movements", "stock/1", "--kind", "lost").output
    assert len(lost.splitlines()) == 2
    early = ("--before", "2020-01-01", "--since", "2019-01-01")
    none = administrator("--json", "admin", "slot", "movements", *early).output
    assert json.loads(none) == []
    unknown = administrator("admin", "slot", "movements", "--kind", "eaten")
    assert (unknown.exit_code, "taken out" in unknown.output) == (Exit.USAGE, True)


def test_a_slot_that_runs_low_says_so_and_an_empty_one_is_deleted(administrator: Drink) -> None:
    administrator("admin", "machine", "add", "low", "Low")
    said = administrator(
        "admin", "slot", "add", "low/1",
        "--item", "Tea", "--price", "30", "--available", "4", "--capacity", "9",
    ).output  # fmt: skip
    assert said == "low/1 sells Tea for 30 credits, 4 left\n"
    said = administrator("admin", "slot", "change", "low/1", "--low-stock", "4").output
    assert said == "low/1 sells Tea for 30 credits, 4 left, low stock\n"
    shown = json.loads(administrator("--json", "machines", "low").output)
    assert [row["low_stock"] for row in shown] == [True]

    assert administrator("admin", "slot", "load", "low/1", "6").exit_code == Exit.REFUSED
    assert administrator("admin", "slot", "delete", "low/1").exit_code == Exit.REFUSED
    administrator("admin", "slot", "take", "low/1", "4")
    assert administrator("admin", "slot", "delete", "low/1").output == "low/1 is deleted\n"
    assert administrator("admin", "slot", "delete", "low/1").exit_code == Exit.NOT_FOUND
    assert json.loads(administrator("--json", "machines", "low").output) == []
