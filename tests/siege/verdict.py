"""What one attack came to, and which promises it broke."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.measure import percentile
from drink_frontend.config import LogSettings
from drink_frontend.loglines.filter import ALWAYS
from tests.siege.confine import MEMORY_MAX
from tests.siege.watch import Logged

RATE_LEAST = 0.8
"""The share of their rate that honest buyers keep at least."""

P99_MOST = 2.0
"""How many times as long as before the slowest hundredth of their drops may take."""

LINES_MOST = 100
"""Log lines a minute that an attack may cause."""

PAID_FOR = ("drop_reserved",)
"""Events that hold credits of the buyer who causes them. All of them are logged, and none counts as
a line that an attack may cause without limit."""

NEWCOMERS_LEAST = 0.8
"""The share of newcomers from other addresses than the attackers' that are served at least."""

NO_ANSWER = "nothing"
"""What health said if it did not answer in time."""

SOLD_LATELY_S = 6.0
"""Seconds without any drop after which a frontend that says SERVING does not serve."""

SELLS_WITHIN_S = 1.0
"""Seconds within which a drop must have gone well for NOT_SERVING to be untrue."""


@dataclass(frozen=True)
class Span:
    """What honest clients saw in some time.

    Attributes:
        seconds: How long it was.
        latencies_s: Of the drops that were answered in it.
        pending_s: How long those have waited that were not answered at its end.
        failures: Why tries of buyers failed.
        newcomers: How many newcomers came.
        turned_away: Why newcomers were not served.
    """

    seconds: float
    latencies_s: Sequence[float]
    pending_s: Sequence[float] = ()
    failures: Sequence[str] = ()
    newcomers: int = 0
    turned_away: Sequence[str] = ()

    @property
    def per_second(self) -> float:
        """Drops a second."""
        return len(self.latencies_s) / self.seconds

    @property
    def p99_ms(self) -> float:
        """Milliseconds of the slowest hundredth; who still waits counts with what it waited."""
        waited = [*self.latencies_s]
        slowest = max(waited, default=0.0)
        waited += [pending for pending in self.pending_s if pending > slowest]
        return percentile(waited, 0.99) * 1000 if waited else float("inf")


@dataclass(frozen=True)
class Row:
    """One attack from one kind of address.

    Attributes:
        attack: Its name.
        who: Who can do it.
        what: What was done.
        origin: `others` or `same`: the attackers' addresses, beside the honest clients' one.
        before: Honest clients before it.
        during: Meanwhile.
        after: Afterwards.
        memory_kib: The most memory that the frontend held.
        files: The most files that it had open.
        stored_bytes: By how much the database grew.
        logged: What the frontend logged meanwhile.
        health: What health answered, each with whether it was true.
        killed: How the frontend ended, if it did.
        done: What the attackers counted.
        recovered: Whether every honest client was served again afterwards, without a restart.
    """

    attack: str
    who: str
    what: str
    origin: str
    before: Span
    during: Span
    after: Span
    memory_kib: int
    files: int
    stored_bytes: int
    logged: Logged
    health: Sequence[tuple[str, bool]]
    killed: str = ""
    done: Mapping[str, int] = field(default_factory=dict)
    recovered: bool = True

    @property
    def name(self) -> str:
        """Attack and origin."""
        return self.attack if self.origin == "others" else f"{self.attack}@{self.origin}"

    @property
    def lines_per_minute(self) -> float:
        """Log lines about the attack in a minute.

        An attack shorter than a minute is scaled, but never above what the limit of log lines lets
        through in any minute: the first lines of each event, and what all events share.
        """
        scaled = {
            event: count * 60 / self.during.seconds
            for event, count in self.logged.attack.items()
            if event not in PAID_FOR
        }
        limit = LogSettings().repeats_per_minute_max + ALWAYS * len(scaled)
        return min(sum(scaled.values()), limit)

    @property
    def untrue(self) -> list[str]:
        """What health said that was not so."""
        return [answer for answer, true in self.health if not true]

    def broken(self, *, timed: bool = True) -> list[str]:
        """The promises that did not hold, for people.

        Args:
            timed: Whether rates and times count as well.
        """
        return [*self._broken_always(), *(self._broken_times() if timed else ())]

    def _broken_always(self) -> Iterator[str]:
        if not self.during.latencies_s:
            yield "nothing was sold"
        if self.killed:
            yield f"the frontend was killed: {self.killed}"
        elif not self.recovered:
            yield "honest clients were not served afterwards"
        if self.memory_kib << 10 > MEMORY_MAX:
            yield f"{self.memory_kib >> 10} MB of memory"
        if lies := [answer for answer in self.untrue if answer != NO_ANSWER]:
            yield f"health said {', '.join(sorted(set(lies)))} ({len(lies)} times)"
        if not self.logged.attack:
            yield "silent in the log"
        if self.lines_per_minute > LINES_MOST:
            yield f"{self.lines_per_minute:.0f} log lines a minute"
        if self.logged.raw:
            yield f"{len(self.logged.raw)} log lines are no JSON"
        if self.logged.secret:
            yield f"{len(self.logged.secret)} log lines tell a secret"
        if self.logged.mistakes:
            yield f"{len(self.logged.mistakes)} log lines about mistakes of the program"

    def _broken_times(self) -> Iterator[str]:
        # Whoever asks from the attackers' address is a newcomer there.
        if NO_ANSWER in self.untrue and self.origin == "others":
            yield f"health said nothing ({self.untrue.count(NO_ANSWER)} times)"
        if self.during.per_second < RATE_LEAST * self.before.per_second:
            share = self.during.per_second / self.before.per_second
            yield f"rate fell to {share:.2f}"
        if self.during.p99_ms > P99_MOST * self.before.p99_ms:
            yield f"p99 rose {self.during.p99_ms / self.before.p99_ms:.1f} times"
        away, came = len(self.during.turned_away), self.during.newcomers
        if self.origin == "others" and came and away > (1 - NEWCOMERS_LEAST) * came:
            yield f"{away} of {came} newcomers were not served"


def health_truth(
    answers: Iterable[tuple[float, bool | None]], sold: Sequence[float]
) -> list[tuple[str, bool]]:
    """What health answered, each with whether it was true.

    Args:
        answers: When it was asked, and whether it said SERVING; None: it did not answer.
        sold: When drops went well.
    """
    told = []
    for at, serving in answers:
        if serving is None:
            told.append((NO_ANSWER, False))
        elif serving:
            lately = any(at - SOLD_LATELY_S <= each <= at + SELLS_WITHIN_S for each in sold)
            told.append(("SERVING", lately))
        else:
            sells = any(abs(each - at) <= SELLS_WITHIN_S for each in sold)
            told.append(("NOT_SERVING", not sells))
    return told
