import json

import pytest

from drink_cli.commands.admin_alarms import NEXT
from drink_cli.errors import Exit
from drink_frontend.domain.alarms import AlarmKind
from tests.cli.conftest import Drink


def about(drink: Drink, drop: str, *options: str) -> dict[str, object]:
    """The alarm about a drop, as JSON."""
    listed = json.loads(drink("--json", "admin", "alarms", *options).output)
    (found,) = [each for each in listed if each["subject"] == f"drops/{drop}"]
    return dict(found)


def test_an_unknown_drop_is_an_alarm_until_it_is_resolved(
    administrator: Drink, unknown: str
) -> None:
    alarm = about(administrator, unknown, "--machine", "d", "--kind", "drop-unknown")
    number = str(alarm["alarm"])
    assert (alarm["kind"], alarm["state"]) == ("DROP_UNKNOWN", "open")
    assert alarm["severity"] == "warning"
    shown = administrator("admin", "alarms").output
    assert unknown in shown
    assert "admin drops resolve" in shown
    assert administrator("admin", "alarm", "close", number).exit_code == Exit.REFUSED

    said = administrator("admin", "alarm", "acknowledge", number).output
    assert said == f"{number}: acknowledged by admin\n"
    assert about(administrator, unknown)["state"] == "acknowledged"
    why = ("--why", "I looked into the machine")
    administrator("admin", "drops", "resolve", unknown, "--not-dispensed", *why)
    closed = about(administrator, unknown, "--closed")
    assert (closed["closed_by"], closed["acknowledged_by"]) == ("admin", "admin")


def test_what_is_not_there_or_wrong_is_told(administrator: Drink) -> None:
    empty = administrator("admin", "alarms", "--machine", "nowhere")
    assert empty.output == "nothing to look at\n"
    assert administrator("admin", "alarms", "--kind", "nothing").exit_code == Exit.USAGE
    assert administrator("admin", "alarm", "acknowledge", "x").exit_code == Exit.USAGE
    missing = administrator("admin", "alarm", "close", "99999999")
    assert missing.exit_code == Exit.NOT_FOUND


def test_alarms_are_for_administrators(alice: Drink) -> None:
    assert alice("admin", "alarms").exit_code == Exit.FORBIDDEN


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_kind_has_a_next_action(kind: AlarmKind) -> None:
    assert NEXT[kind.value]
