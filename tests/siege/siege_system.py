"""The system that is besieged: real processes, the frontend under compose.yaml's limits."""

import itertools
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink_frontend.domain.rate_limiter import RateLimiter
from scripts.client import CALL_LIMIT_S, Client
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.siege.attacks import Needs, Target
from tests.siege.confine import Confinement
from tests.support.ports import free_port, with_own_ports
from tests.support.postgres import fresh_postgres

CANS = 10_000
"""Cans of each slot, the most that one may have."""

SLOTS = 4
"""Slots of each machine that have cans; there is one more, which is empty."""

CREDITS = 1_000_000
"""What each buyer begins with; a can costs one."""

MOTOR_S = 0.08
"""Seconds that a motor runs: long enough that the system has time to spare."""

CALLER_MACHINES, TYPIST_MACHINES = ("a", "b"), ("c", "e")
"""Where honest buyers buy, over gRPC and in sessions; a small system has the first of each."""

HONEST_MACHINES = CALLER_MACHINES + TYPIST_MACHINES

STOLEN = "x"
"""The machine whose token was stolen, and where nobody else buys."""

CALLERS = tuple(UserPlan(f"caller-{m}", f"password-{m}", CREDITS) for m in CALLER_MACHINES)
TYPISTS = tuple(UserPlan(f"typist-{m}", f"password-{m}", CREDITS) for m in TYPIST_MACHINES)
NEWCOMER = UserPlan("newcomer", "password-n", CREDITS)
"""Comes, logs in, looks, and leaves, again and again."""
MALLORY = UserPlan("mallory", "password-m", CREDITS)
"""Buys as well, and attacks."""
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

HONEST = frozenset(user.name for user in (*CALLERS, *TYPISTS, NEWCOMER, ADMIN))

AT_ONCE = 5
"""Requests under way while the attacker's past is made; as many drops of one account may wait at
one machine."""

CALLS_PER_S, CALLS_BURST = 50, 250
"""How fast it is made: a little slower than the frontend lets one account call."""

PAST_BURST = 1_200
"""Cancellations and transfers that the attacker may make for its past, beside the usual rate."""


def _machine(name: str) -> MachinePlan:
    slots = [SlotPlan(number, f"Can {number}", 1, CANS) for number in range(1, SLOTS + 1)]
    return MachinePlan(name, f"Machine {name}", (*slots, SlotPlan(SLOTS + 1, "Air", 1, 0)))


class SiegeSystem(LocalSystem):
    """An installation whose frontend is confined, and whose attackers have some past.

    Args:
        folder: Where its files are.
        confinement: The frontend's limits.
        needs: Which ports it has.
        engine: `sqlite` or `postgres`.
        pairs: Machines for buyers over gRPC, and as many for buyers in sessions.
    """

    def __init__(
        self,
        folder: Path,
        confinement: Confinement,
        needs: Needs,
        engine: str,
        pairs: int = len(CALLER_MACHINES),
    ) -> None:
        self.caller_machines = CALLER_MACHINES[:pairs]
        self.typist_machines = TYPIST_MACHINES[:pairs]
        self.tls_session_port, self.drinkjs_port, self.finger_port = (
            free_port(),
            free_port(),
            free_port(),
        )
        self._database = fresh_postgres().url if engine == "postgres" else None
        tls = 'tls_certificate = "certs/server.pem"\ntls_key = "certs/server.key"'
        frontend = {
            "[sessions.listeners]": f"[[sessions.listeners]]\nport = {self.tls_session_port}\n{tls}"
            f'\n[[sessions.listeners]]\nport = {self.drinkjs_port}\ndialect = "drinkjs"',
            "sessions.finger": f'port = {self.finger_port}\ndefault_machine = "a"',
        }
        for section, name in (("drops", "cancels_burst"), ("accounts", "transfers_burst")):
            frontend[section] = f"{name} = {PAST_BURST}"
        agent: dict[str, str] = {}
        if needs is Needs.TLS:
            frontend["rpc"], agent["link"] = tls, 'ca_file = "certs/ca.pem"'
        plan = Plan(
            machines=tuple(map(_machine, (*self.caller_machines, *self.typist_machines, STOLEN))),
            users=(*CALLERS, *TYPISTS, NEWCOMER, MALLORY, ADMIN),
            motor_s=MOTOR_S,
            frontend=frontend,
            agent=agent,
        )
        super().__init__(folder, with_own_ports(plan))
        self._needs = needs
        self.frontend.prefix = confinement.prefix

    @property
    def _storage(self) -> str:
        return f'url = "{self._database}"' if self._database else super()._storage

    def install(self) -> None:
        """Makes everything, certificates too."""
        super().install()
        self.admin("certs", "init", "--folder=certs")
        self.admin("certs", "server", "--folder=certs", "localhost", "127.0.0.1")
        if self._needs is Needs.TLS:
            self.authority = self.folder / "certs" / "ca.pem"

    def stored_bytes(self) -> int:
        """How large the database is."""
        if self._database:
            with psycopg.connect(self._database, autocommit=True) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                assert row is not None
                return int(row[0])
        # The file itself grows only when the journal beside it is copied into it.
        with closing(sqlite3.connect(self.folder / "drink.db")) as database:
            pages, size = (
                database.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "page_size")
            )
        return int(pages) * int(size)

    def target(self, past: int) -> Target:
        """What the attackers know, once they have bought and given away this much."""
        mallory, admin = self.client(MALLORY), self.client(ADMIN)
        pace = RateLimiter(burst=CALLS_BURST, interval_s=1 / CALLS_PER_S)
        try:
            _buy_and_cancel(mallory, past, pace)
            _give_away(mallory, past // 4, pace)
            own = [mallory.drop(f"{STOLEN}/1") for _ in range(8)]
            listing = drops.ListDropsRequest(parent="accounts/-", page_size=50)
            every = admin.call(admin.drops.ListDrops, listing).drops
        finally:
            admin.close()
            mallory.close()
        prefix = f"machines/{STOLEN}/"
        return Target(
            rpc_port=self.rpc_port,
            session_port=self.session_port,
            tls_session_port=self.tls_session_port,
            drinkjs_port=self.drinkjs_port,
            finger_port=self.finger_port,
            tls=self._needs is Needs.TLS,
            buyer=MALLORY.name,
            password=MALLORY.password,
            token=mallory.metadata[0][1].removeprefix("Bearer "),
            machine=STOLEN,
            machine_token=(self.folder / f"{STOLEN}.token").read_text().strip(),
            drops=[drop.name.removeprefix("drops/") for drop in own],
            other_drops=[
                drop.name.removeprefix("drops/") for drop in every if prefix not in drop.slot
            ],
            slot=f"machines/{HONEST_MACHINES[0]}/slots/{SLOTS + 1}",
        )


def _some(count: int, pace: RateLimiter, calls: int) -> Iterator[int]:
    """Sizes of portions of what is done at once, each when its calls may be made."""
    for done in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - done)
        while wait_s := pace.take_if_free("", time.monotonic(), size * calls):
            time.sleep(wait_s)
        yield size


def _id() -> str:
    return str(uuid.uuid4())


def _buy_and_cancel(client: Client, count: int, pace: RateLimiter) -> None:
    for size in _some(count, pace, 2):
        calls = [client.start(f"{STOLEN}/1", _id(), delay_s=300) for _ in range(size)]
        cancels: list[Any] = [
            client.drops.CancelDrop.future(
                drops.CancelDropRequest(name=call.result().drop.name),
                metadata=client.metadata,
                timeout=CALL_LIMIT_S,
            )
            for call in calls
        ]
        for cancel in cancels:
            cancel.result()


def _give_away(client: Client, count: int, pace: RateLimiter) -> None:
    recipients = itertools.cycle(user.name for user in (*CALLERS, *TYPISTS))
    for size in _some(count, pace, 1):
        calls: list[Any] = [
            client.accounts.TransferCredits.future(
                accounts.TransferCreditsRequest(
                    request_id=_id(), recipient=f"accounts/{next(recipients)}", credits=1
                ),
                metadata=client.metadata,
                timeout=CALL_LIMIT_S,
            )
            for _ in range(size)
        ]
        for call in calls:
            call.result()
