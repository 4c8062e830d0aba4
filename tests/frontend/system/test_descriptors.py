import resource

import pytest

from drink_frontend.system.descriptors import raise_file_limit, share_out


def test_the_open_file_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = min(hard, 1_024)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowered, hard))
    try:
        assert raise_file_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_everybody_gets_what_is_wanted_where_it_fits() -> None:
    budget = share_out(100_000, reserved=256, sessions=16_384, calls=4_096)
    assert (budget.reserved, budget.sessions, budget.calls) == (256, 16_384, 4_096)


def test_fault_66_a_low_limit_is_shared_and_the_reserve_is_kept() -> None:
    budget = share_out(1_024, reserved=256, sessions=16_384, calls=4_096)
    assert (budget.sessions, budget.calls) == (384, 384)


def test_what_one_kind_leaves_goes_to_the_other() -> None:
    budget = share_out(1_024, reserved=256, sessions=16_384, calls=100)
    assert (budget.sessions, budget.calls) == (668, 100)
    budget = share_out(1_024, reserved=256, sessions=50, calls=4_096)
    assert (budget.sessions, budget.calls) == (50, 718)


@pytest.mark.parametrize("open_max", [8, 64, 200, 256, 257, 1_024, 1 << 30])
def test_fault_66_no_more_is_given_away_than_there_is(open_max: int) -> None:
    budget = share_out(open_max, reserved=256, sessions=16_384, calls=4_096)
    assert budget.reserved + budget.sessions + budget.calls <= open_max
    assert min(budget.reserved, budget.sessions, budget.calls) >= 1
