"""What units of work name beforehand is put together for a batch."""

from drink_frontend.storage.needs import Needs, together


def test_needs_are_put_together() -> None:
    one = Needs(drops={"1"}, slots={("d", 1)}, new_drops=1, new_transfers=1)
    other = Needs(drops={"1", "2"}, tokens={"t"}, new_transfers=1)
    whole = together([one, None, other])
    assert whole == Needs(
        drops={"1", "2"}, slots={("d", 1)}, tokens={"t"}, new_drops=1, new_transfers=2
    )
    # Those of the units stay as they are.
    assert one.drops == {"1"}


def test_nothing_may_be_named() -> None:
    assert together([None]) == Needs()
