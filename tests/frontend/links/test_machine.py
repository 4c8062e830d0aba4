"""What the agents of one machine may send."""

from drink_frontend.links.machine import BYTES_PER_MESSAGE, MachineRates
from drink_frontend.links.settings import LinkSettings

SETTINGS = LinkSettings(
    messages_per_s=10,
    messages_burst=100,
    unexpected_per_s=1,
    unexpected_burst=10,
    opening_interval_s=4,
    openings_burst=2,
    status_interval_s=2,
    statuses_burst=1,
    log_line_interval_s=5,
    log_lines_burst=2,
)


def test_fault_68_messages_count_by_their_number_and_size() -> None:
    rates = MachineRates(SETTINGS)
    assert all(rates.message(0, 10) for _ in range(50))
    assert rates.message(0, 49 * BYTES_PER_MESSAGE)
    assert not rates.message(0, 10)
    assert rates.message(0.1, 10)


def test_fault_68_messages_that_nobody_waits_for_have_a_limit_of_their_own() -> None:
    rates = MachineRates(SETTINGS)
    assert [rates.unexpected(0) for _ in range(11)] == [True] * 10 + [False]
    assert rates.message(0, 10)


def test_fault_68_links_and_changes_of_status_say_how_long_to_wait() -> None:
    rates = MachineRates(SETTINGS)
    assert [rates.opening_wait_s(0) for _ in range(3)] == [0, 0, 4]
    assert [rates.status_wait_s(0) for _ in range(2)] == [0, 2]


def test_fault_68_the_next_log_line_says_how_many_were_left_out() -> None:
    rates = MachineRates(SETTINGS)
    assert [rates.log_line(0) for _ in range(4)] == [0, 0, None, None]
    assert rates.log_line(5) == 2
    assert rates.log_line(10) == 0
