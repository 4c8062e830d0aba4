"""How much a run measures: all of it, or as much as fits into two minutes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run measures."""

    rounds: int
    """Rounds in which both sides of a row take turns; odd, so that the median is one of them."""
    drops_s: float
    """Seconds of drops in a round."""
    commands_s: float
    """Seconds of session commands in a round."""
    many_sessions: int
    """Sessions of the row with many."""
    idle_sessions: int
    """Open sessions beside which a new one is served."""
    links: int
    """Idle agent links."""
    links_s: float
    """Seconds over which their heartbeats are counted; whole intervals of 10 s."""
    many_drops: int
    """Drops in the large database; the small one has 10,000."""
    start_drops: int
    """Drops in the database of the frontend whose start is timed."""
    start_records: int
    """Records in the journal of the agent whose start is timed."""
    starts: int
    """Starts, of which the median counts."""
    frontends: tuple[int, ...]
    """Frontends on one PostgreSQL database, one measurement for each number."""
    motors_s: tuple[float, ...]
    """Seconds that motors run, one measurement of the links' messages for each."""
    postgres_rounds: int
    """Rounds of the rows on PostgreSQL."""
    statistics_years: int
    """Years of which statistics are asked."""
    statistics_buyers: int
    """Accounts that bought in them, 2.75 items a day each."""
    browsers: int
    """Browsers that watch while nothing changes."""
    browsers_s: float
    """Seconds over which they are counted; whole intervals of 15 s."""
    browsers_beside: int
    """Browsers that watch while others buy."""


FULL = Sizes(
    rounds=5,
    drops_s=5,
    commands_s=3,
    many_sessions=5_000,
    idle_sessions=10_000,
    links=2_000,
    links_s=30,
    many_drops=10_000_000,
    start_drops=1_000_000,
    start_records=100_000,
    starts=5,
    frontends=(1, 2),
    motors_s=(0, 3.5),
    postgres_rounds=3,
    statistics_years=10,
    statistics_buyers=1_000,
    browsers=1_000,
    browsers_s=30,
    browsers_beside=200,
)

QUICK = Sizes(
    rounds=3,
    drops_s=1,
    commands_s=0.5,
    many_sessions=2_000,
    idle_sessions=2_000,
    links=300,
    links_s=10,
    many_drops=100_000,
    start_drops=100_000,
    start_records=100_000,
    starts=1,
    frontends=(1,),
    motors_s=(0,),
    postgres_rounds=1,
    statistics_years=1,
    statistics_buyers=100,
    browsers=1_000,
    browsers_s=15,
    browsers_beside=200,
)

FEW_DROPS = 10_000
"""Drops in the small database."""
