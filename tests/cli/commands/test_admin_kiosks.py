import json

from drink_cli.errors import Exit
from tests.cli.conftest import Drink


def test_a_kiosk_is_paired_listed_and_ended(administrator: Drink) -> None:
    pair = ("admin", "kiosks", "pair", "d", "--name", "by the door")
    made = json.loads(administrator("--json", *pair).output)
    assert (made["machine"], made["name"], len(made["pairing_code"])) == ("d", "by the door", 8)
    listed = json.loads(administrator("--json", "admin", "kiosks", "list").output)
    (kiosk,) = [each for each in listed if each["kiosk"] == made["kiosk"]]
    assert (kiosk["state"], "pairing_code" in kiosk) == ("waits for its code", False)
    assert "by the door" in administrator("admin", "kiosks", "list").output
    assert "pairing code" in administrator(*pair).output

    unpair = ("admin", "kiosks", "unpair", made["kiosk"])
    assert administrator(*unpair).output == f"kiosk {made['kiosk']} ended\n"
    assert administrator(*unpair).exit_code == Exit.NOT_FOUND


def test_what_is_wrong_is_told(administrator: Drink) -> None:
    assert administrator("admin", "kiosks", "pair", "nowhere").exit_code == Exit.NOT_FOUND
    assert administrator("admin", "kiosks", "unpair", "x").exit_code == Exit.USAGE


def test_kiosks_are_for_administrators(alice: Drink) -> None:
    assert alice("admin", "kiosks", "list").exit_code == Exit.FORBIDDEN
    assert alice("admin", "kiosks", "pair", "d").exit_code == Exit.FORBIDDEN
