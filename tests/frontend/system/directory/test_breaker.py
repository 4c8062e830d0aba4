"""When a service that fails is asked, and when not."""

from drink_frontend.system.directory.breaker import Breaker


def test_it_opens_after_failures_one_after_another() -> None:
    breaker = Breaker(3, 10)
    assert not breaker.failed(0)
    assert not breaker.failed(0)
    breaker.worked()
    assert [breaker.failed(1) for _ in range(3)] == [False, False, True]
    assert breaker.is_open
    assert not breaker.lets_through(10.9)


def test_while_it_is_open_one_in_each_pause_tries() -> None:
    breaker = Breaker(1, 10)
    assert breaker.lets_through(0)
    assert breaker.failed(0)
    assert [breaker.lets_through(now) for now in (5, 10, 10, 19, 20)] == [
        False,
        True,
        False,
        False,
        True,
    ]
    # Another failure says nothing new, and puts off the next try.
    assert not breaker.failed(25)
    assert not breaker.lets_through(34)
    breaker.worked()
    assert all(breaker.lets_through(34) for _ in range(3))
