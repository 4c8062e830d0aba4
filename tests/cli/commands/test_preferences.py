import json

from drink_cli.errors import Exit
from tests.cli.conftest import Drink


def test_preferences_are_shown_and_changed(alice: Drink) -> None:
    said = "language: de-AT; you may appear in rankings\n"
    assert alice("preferences", "--language", "de-at", "--ranked").output == said
    assert alice("preferences").output == said
    cleared = alice("--json", "preferences", "--language", "", "--not-ranked")
    assert json.loads(cleared.output) == {"favourites": [], "ranked": False, "language": ""}
    assert alice("preferences", "--language", "german!").exit_code == Exit.USAGE


def test_favourites_come_and_go(alice: Drink) -> None:
    assert alice("favourites", "add", "d/1").output == "favourites: d/1\n"
    assert alice("favourites", "add", "d/2").output == "favourites: d/1, d/2\n"
    assert alice("favourites", "add", "d/1").output == "favourites: d/1, d/2\n"
    assert alice("favourites", "list").output.split() == ["FAVOURITE", "d/1", "d/2"]
    assert alice("favourites", "remove", "d/1").output == "favourites: d/2\n"
    assert alice("favourites", "remove", "d/1").exit_code == Exit.NOT_FOUND
    assert alice("favourites", "add", "404404").exit_code == Exit.NOT_FOUND
    assert alice("favourites", "add", "d/9").exit_code == Exit.NOT_FOUND
    assert alice("favourites", "remove", "d/2").output == "favourites: none\n"
    assert alice("favourites", "list").output == "there are no favourites\n"
