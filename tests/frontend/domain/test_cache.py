"""The bounded cache."""

from drink_frontend.domain.cache import Cache


def test_the_value_that_was_kept_first_makes_room() -> None:
    cache = Cache[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        cache.keep(key, value)
    assert [cache.get_cached(key) for key in ("a", "b", "c")] == [3, None, 4]


def test_a_value_that_is_replaced_takes_no_room_of_another() -> None:
    cache = Cache[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("b", 3)):
        cache.keep(key, value)
    assert [cache.get_cached(key) for key in ("a", "b")] == [1, 3]


def test_what_is_forgotten_is_gone() -> None:
    cache = Cache[str, int](3)
    for key in ("a", "b", "c"):
        cache.keep(key, 1)
    cache.forget("a", "x")
    assert [cache.get_cached(key) for key in ("a", "b")] == [None, 1]
    cache.clear()
    assert cache.get_cached("b") is None
