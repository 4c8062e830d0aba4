from drink_frontend.sessions.buffers import Buffers


class Hoarder:
    def __init__(self, *, known: bool = False) -> None:
        self.known = known
        self.held = 0
        self.cut = False

    def cut_off(self) -> None:
        self.cut = True


def hold(buffers: Buffers, hoarder: Hoarder, size: int) -> None:
    hoarder.held = size
    buffers.note(hoarder, size)


def test_fault_67_past_the_limit_strangers_that_hold_most_are_cut_off() -> None:
    buffers = Buffers(100)
    user, small, large, larger = Hoarder(known=True), Hoarder(), Hoarder(), Hoarder()
    for hoarder, size in ((user, 40), (small, 10), (large, 20), (larger, 30)):
        hold(buffers, hoarder, size)
    assert not any(each.cut for each in (user, small, large, larger)), "exactly the limit"
    hold(buffers, small, 11)
    assert (user.cut, small.cut, large.cut, larger.cut) == (False, False, False, True)


def test_fault_67_users_are_cut_off_when_no_stranger_is_left() -> None:
    buffers = Buffers(100)
    stranger, user, other = Hoarder(), Hoarder(known=True), Hoarder(known=True)
    hold(buffers, stranger, 10)
    hold(buffers, other, 20)
    hold(buffers, user, 71)
    assert (stranger.cut, user.cut, other.cut) == (True, True, False)


def test_what_was_read_meanwhile_does_not_count() -> None:
    buffers = Buffers(100)
    readers = [Hoarder() for _ in range(1_000)]
    for reader in readers:
        hold(buffers, reader, 50)
        reader.held = 0
    assert not any(reader.cut for reader in readers)


def test_who_has_gone_holds_nothing() -> None:
    buffers = Buffers(100)
    first, second = Hoarder(), Hoarder()
    hold(buffers, first, 90)
    buffers.forget(first)
    buffers.forget(first)
    hold(buffers, second, 90)
    hold(buffers, second, 0)
    hold(buffers, first, 90)
    assert not first.cut
    assert not second.cut


def test_not_all_are_looked_at_each_time_at_the_limit() -> None:
    buffers = Buffers(1_000)
    looks = []

    class Watched(Hoarder):
        @property
        def held(self) -> int:
            looks.append(self)
            return 10

        @held.setter
        def held(self, size: int) -> None:
            pass

    for _ in range(10_000):
        buffers.note(Watched(), 10)
    assert len(looks) < 100 * 10_000 / 10
