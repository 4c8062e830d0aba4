"""Sums of statistics on the command line."""

from drink_frontend.domain.statistics import FIRST, Kind, cover
from drink_frontend.storage.statistics import Selection
from tests.frontend.admin.conftest import Operator


def test_the_sums_are_made_anew_in_the_zone_of_the_settings(operator: Operator) -> None:
    assert "no time zone yet" in operator.admin("statistics", "show")
    assert operator.admin("statistics", "rebuild") == "All drops are counted (UTC).\n"
    operator.set("statistics.time_zone", "Europe/Berlin")
    assert "(UTC)" in operator.admin("statistics", "show")
    assert operator.admin("statistics", "rebuild") == "All drops are counted (Europe/Berlin).\n"
    everything = Selection("", Kind.DAY, cover(10_000_101, 99_981_231))
    rows = operator.look(
        lambda drink: drink.storage.read(lambda tx: tx.statistics.sums(everything, FIRST, 9))
    )
    assert rows == []


def test_a_wrong_zone_is_refused(operator: Operator) -> None:
    operator.set("statistics.time_zone", "Mars/Olympus")
    result = operator.type("admin", "statistics", "rebuild")
    assert result.exit_code == 2
    assert "statistics.time_zone" in result.stderr
