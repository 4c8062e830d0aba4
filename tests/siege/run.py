"""Runs attack after attack on a system that sells; measures before, during and after each."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import pinned
from scripts.processes import ProcessFailedError, wait_until
from tests.siege.attacker import Order
from tests.siege.attacks import Attack, Needs, Origin, Target
from tests.siege.confine import FILES_MAX, Confinement, confined
from tests.siege.every import ATTACKS
from tests.siege.honest import Honest, Tally
from tests.siege.siege_system import MALLORY, SiegeSystem
from tests.siege.verdict import Row, Span, health_truth
from tests.siege.watch import Watch, read_log

ROOT = Path(__file__).resolve().parent.parent.parent
"""Where this repository is."""

CALM_LIMIT_S = 60.0
"""Seconds within which a system sells again after an attack."""

ATTACKER_LIMIT_S = 20.0
"""Seconds that the attackers' process may take to begin, and to end."""

SECRETS = ("stolen-but-secret", "Bearer secret", MALLORY.password)
"""What attackers send that no log may tell; tokens come to it."""


@dataclass(frozen=True)
class Sizes:
    """How long and how much.

    Attributes:
        before_s: Seconds of calm that are measured.
        during_s: Seconds of each attack.
        after_s: Seconds afterwards.
        past: Drops that the attacking buyer has made before.
        pairs: Honest buyers over gRPC, each at a machine, and as many in sessions.
    """

    before_s: float
    during_s: float
    after_s: float
    past: int
    pairs: int = 2


FULL = Sizes(8, 20, 6, 900)
QUICK = Sizes(3, 6, 2, 900)
SHORT = Sizes(1, 4, 1, 100, pairs=1)
"""For the tests, which assert no times."""


@dataclass(frozen=True)
class Options:
    """What is to be done.

    Attributes:
        attacks: Which ones.
        sizes: How long.
        seed: Of every choice of the attackers.
        engine: `sqlite` or `postgres`.
        files_max: Files that the frontend may have open.
        pin: Whether system and attackers get a core each.
        tell: Takes each row as soon as it is there.
    """

    attacks: Sequence[tuple[Attack, Origin]]
    sizes: Sizes
    seed: int
    engine: str = "sqlite"
    files_max: int = FILES_MAX
    pin: bool = True
    tell: Callable[[Row], None] = lambda _: None


@dataclass(frozen=True)
class Report:
    """What a siege came to.

    Attributes:
        rows: One for each attack and origin.
        limits: What enforced the frontend's limits.
        books: What the auditor of the books found; nothing if they are sound.
    """

    rows: Sequence[Row]
    limits: str
    books: Sequence[str]


def chosen(names: Sequence[str]) -> list[tuple[Attack, Origin]]:
    """Attacks by name, each with its origins; `name@same` is one of them; no names: all.

    Raises:
        KeyError: there is no such attack.
    """
    pairs = []
    for name in names or ATTACKS:
        plain, _, origin = name.partition("@")
        attack = ATTACKS[plain]
        origins = [Origin(origin)] if origin else attack.origins
        pairs += [(attack, each) for each in origins]
    return pairs


def besiege(folder: Path, options: Options) -> Report:
    """Runs one.

    Args:
        folder: For its files, which are kept.
        options: What is to be done.
    """
    rows: list[Row] = []
    books: list[str] = []
    with confined(options.files_max) as confinement:
        for needs in Needs:
            pairs = [pair for pair in options.attacks if pair[0].needs is needs]
            if not pairs:
                continue
            with standing(folder / needs, confinement, needs, options) as ground:
                for attack, origin in pairs:
                    rows.append(ground.fight(attack, origin))
                    options.tell(rows[-1])
                books += ground.audit()
    return Report(rows, confinement.kind, books)


@contextmanager
def standing(
    folder: Path, confinement: Confinement, needs: Needs, options: Options
) -> Iterator["Ground"]:
    """A system that sells, with its honest clients."""
    cores = os.sched_getaffinity(0)
    with contextlib.ExitStack() as stack:
        if options.pin:
            stack.enter_context(pinned(0))
        system = stack.enter_context(
            SiegeSystem(folder, confinement, needs, options.engine, options.sizes.pairs)
        )
        system.install()
        system.start()
        # Who fails at TLS has no past.
        target = system.target(options.sizes.past if needs is Needs.PLAIN else SHORT.past)
        honest = stack.enter_context(Honest(system))
        watch = stack.enter_context(Watch(system.frontend))
        core = max(cores) if options.pin else None
        ground = Ground(system, confinement, options, target, honest, watch, core)
        ground.wait_calm()
        yield ground


class Ground:
    """A system and its honest clients, and what is measured of them.

    Args:
        system: Runs.
        confinement: Its frontend's limits.
        options: What is to be done.
        target: What the attackers know.
        honest: The honest clients, which are there.
        watch: Looks at the frontend.
        core: The attackers' core, if they have one.
    """

    def __init__(
        self,
        system: SiegeSystem,
        confinement: Confinement,
        options: Options,
        target: Target,
        honest: Honest,
        watch: Watch,
        core: int | None,
    ) -> None:
        self._system = system
        self._confinement = confinement
        self._options = options
        self._target = target
        self._honest = honest
        self._watch = watch
        self._core = core
        self._ended = 0.0
        self._is_paused = False

    def fight(self, attack: Attack, origin: Origin) -> Row:
        """One attack, and what came of it."""
        if self._is_paused:
            # Or the attackers' addresses could not connect yet.
            self._restart()
        row = self._measure(attack, origin)
        row = replace(row, recovered=self._recover())
        if not row.logged.attack and not row.killed:
            # What may be logged in a minute was perhaps used up by the attack before it.
            self._restart()
            row = self._measure(attack, origin)
            row = replace(row, recovered=self._recover())
        self._is_paused = "connections_paused" in row.logged.attack
        return row

    def _restart(self) -> None:
        self._system.frontend.stop()
        self._system.start_frontend()
        self.wait_calm()

    def audit(self) -> Iterator[str]:
        """What does not agree in the books."""
        try:
            self._system.admin("verify")
        except ProcessFailedError as error:
            yield str(error)

    def _recover(self) -> bool:
        """Whether the system sells again by itself; if not, its frontend is started again."""
        frontend = self._system.frontend
        if frontend.running:
            with contextlib.suppress(TimeoutError):
                self.wait_calm(self._ended)
                return True
            frontend.kill()
        # As compose's restart policy does.
        self._system.start_frontend()
        self.wait_calm()
        return False

    def wait_calm(self, since: float | None = None) -> None:
        """Waits until every honest buyer has bought, and newcomers were served.

        Args:
            since: Monotonic seconds from when on that counts; None for now.
        """
        since = time.monotonic() if since is None else since
        try:
            wait_until(lambda: not self._honest.unserved(since), "", CALM_LIMIT_S)
        except TimeoutError:
            if unserved := self._honest.unserved(since):
                raise TimeoutError(
                    f"not served within {CALM_LIMIT_S:g} s: {', '.join(unserved)}"
                ) from None

    def _measure(self, attack: Attack, origin: Origin) -> Row:
        sizes, system, honest = self._options.sizes, self._system, self._honest
        kills, late = self._confinement.killed(), ""
        start = time.monotonic()
        time.sleep(sizes.before_s)
        if left := self._end(kills):
            late = f"{left}, by what was left of the attack before"
            self._recover()
            kills = self._confinement.killed()
        pid = system.frontend.pid
        stored, log_start = system.stored_bytes(), system.frontend.log.stat().st_size
        attacked = time.monotonic()
        done = self._attack(attack, origin)
        self._ended = ended = time.monotonic()
        log_end = system.frontend.log.stat().st_size
        grown = system.stored_bytes() - stored
        time.sleep(sizes.after_s)
        end = time.monotonic()
        samples = [each for each in self._watch.between(attacked, end) if each.pid == pid]
        sold = [at for buyer in honest.buyers for at, _ in list(buyer.tally.drops)]
        asked = [each for each in list(honest.health.answers) if attacked <= each[0] <= ended]
        secrets = (*SECRETS, self._target.token, self._target.machine_token)
        return Row(
            attack=attack.name,
            who=attack.who,
            what=attack.what,
            origin=origin,
            before=_span(honest, start, attacked),
            during=_span(honest, attacked, ended),
            after=_span(honest, ended, end),
            memory_kib=max((sample.memory_kib for sample in samples), default=0),
            files=max((sample.files for sample in samples), default=0),
            stored_bytes=grown,
            logged=read_log(system.frontend.log, log_start, log_end, secrets),
            health=health_truth(asked, sold),
            killed=late or self._end(kills),
            done=done,
        )

    def _end(self, kills_before: int) -> str:
        """How the frontend ended, if it did."""
        if self._system.frontend.running:
            return ""
        kills = self._confinement.killed() - kills_before
        code = self._system.frontend.wait()
        return f"exit code {code}" + (f", {kills} killed for want of memory" if kills else "")

    def _attack(self, attack: Attack, origin: Origin) -> dict[str, int]:
        """Has the attackers' process attack, and returns what it counted."""
        seconds = self._options.sizes.during_s
        order = Order(
            attack.name,
            origin,
            seconds,
            f"{self._options.seed}/{attack.name}/{origin}",
            self._target.to_json(),
            self._core,
        )
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.siege.attacker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                out, _ = process.communicate(order.to_json() + "\n", seconds + ATTACKER_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
                return {"attackers did not end": 1}
            if process.returncode:
                errors.seek(0)
                raise ProcessFailedError(f"{attack.name}: {errors.read()}")
        done: dict[str, int] = json.loads(out.splitlines()[-1])
        return done


def _span(honest: Honest, start: float, end: float) -> Span:
    """What honest clients saw in some time."""

    def within(pairs: Sequence[tuple[float, object]]) -> list[object]:
        return [what for at, what in list(pairs) if start <= at < end]

    def failures(tallies: Sequence[Tally]) -> list[str]:
        return [str(why) for tally in tallies for why in within(tally.failures)]

    buyers = [buyer.tally for buyer in honest.buyers]
    newcomers = [newcomer.tally for newcomer in honest.newcomers]
    turned_away = failures(newcomers)
    latencies = [
        latency for tally in buyers for at, latency in list(tally.drops) if start <= at < end
    ]
    pending = [end - tally.asked for tally in buyers if tally.asked and tally.asked < end]
    served = sum(len(within(tally.drops)) for tally in newcomers)
    return Span(
        end - start,
        latencies,
        pending,
        failures(buyers),
        served + len(turned_away),
        turned_away,
    )
