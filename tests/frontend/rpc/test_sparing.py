"""What strangers can cause to be logged: a few lines, and how many more there would have been."""

from drink_frontend.rpc.sparing import Sparing

STRETCH_S = 60


def test_what_was_held_back_is_counted_for_the_next_that_passes() -> None:
    sparing = Sparing(2, STRETCH_S)
    assert [sparing.passes(1.0) for _ in range(5)] == [0, 0, None, None, None]
    assert sparing.passes(STRETCH_S + 0.9) is None
    assert [sparing.passes(STRETCH_S + 1.0) for _ in range(3)] == [4, 0, None]
