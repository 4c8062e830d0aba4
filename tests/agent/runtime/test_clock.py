import time

from drink_agent.runtime.clock import boot_id, boot_time_s


def test_the_clock_counts_from_boot_and_does_not_go_back() -> None:
    first, second = boot_time_s(), boot_time_s()
    assert 0 < first <= second
    assert first >= time.monotonic() - 1


def test_the_boot_id_stays_the_same() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36
