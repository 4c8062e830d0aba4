"""A reader of events that is killed at random sees each change once, while sales go on."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import event_service_pb2 as pb
from drink_frontend.rpc.event_conversion import parse_cursor
from drink_frontend.storage.event_codec import decode
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading
from scripts.client import Client
from scripts.local_system import LocalSystem
from scripts.plan import SlotPlan
from scripts.processes import wait_until
from tests.integration.audited_system import (
    ADMIN,
    ALICE,
    COUPLE,
    DATABASE,
    PRICE,
    AuditedSystem,
)
from tests.integration.test_several_frontends import MACHINES, PLAN, insist
from tests.integration.two_frontends import TwoFrontendSystem
from tests.support.postgres import execute

ROOT = Path(__file__).resolve().parents[2]

KILLS = 4
"""Times that the reader is killed at least."""

LIMIT_S = 60

MINUTES = float(os.environ.get("MINUTES", "60"))
"""How long the slow form lasts."""

SLOTS = range(1, 4)
"""Slots of each machine that sells beside two frontends."""

FULL = replace(
    PLAN,
    machines=tuple(
        replace(machine, slots=tuple(SlotPlan(number, "Coke", 1, 10_000) for number in SLOTS))
        for machine in PLAN.machines
    ),
    users=(replace(ALICE, credits=100_000), ADMIN),
)
"""Cans and credits for an hour: 25 drops a second."""


def present_cursor(client: Client) -> str:
    """Where events begin that have not happened yet."""
    watch = client.events.WatchEvents(
        pb.WatchEventsRequest(), metadata=client.metadata, timeout=LIMIT_S
    )
    first = next(watch)
    watch.cancel()
    return str(first.cursor)


@dataclass
class Reader:
    """A program that follows events, one process after the other.

    Attributes:
        file: What it has read.
        token: Its bearer token.
        process: It, while it runs.
    """

    file: Path
    token: str
    process: subprocess.Popen[bytes] | None = None
    _read: list[list[str]] = field(default_factory=list)
    _size: int = 0

    def start(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.event_reader", address, str(self.file)],
            cwd=ROOT,
            env={**os.environ, "TOKEN": self.token},
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def read(self) -> list[list[str]]:
        """What it has read: the first line is the cursor where it began."""
        with self.file.open("rb") as file:
            file.seek(self._size)
            whole, end, _ = file.read().rpartition(b"\n")
        self._size += len(whole) + len(end)
        self._read += [line.split(" ") for line in whole.decode().splitlines()]
        return self._read

    def gets_further(self, than: int) -> Callable[[], bool]:
        """Whether it has read more; it may also have ended with its frontend."""
        return lambda: (
            len(self.read) > than or (self.process is not None and self.process.poll() is not None)
        )


@contextmanager
def reader_of(system: LocalSystem, folder: Path) -> Iterator[Reader]:
    admin = system.client(ADMIN)
    file = folder / "events"
    file.write_text(f"{present_cursor(admin)} BEGIN here\n")
    (token,) = [value for key, value in admin.metadata if key == "authorization"]
    reader = Reader(file, str(token).removeprefix("Bearer "))
    admin.close()
    try:
        yield reader
    finally:
        reader.kill()


@contextmanager
def sales(buyers: Sequence[tuple[Sequence[Client], Sequence[str]]]) -> Iterator[None]:
    """Buys from each buyer's slots in turn, one can after the other, at the clients in turn."""
    over = threading.Event()

    def buy(clients: Sequence[Client], slots: Sequence[str]) -> None:
        for slot in cycle(slots):
            if over.is_set():
                break
            with suppress(grpc.RpcError, AssertionError):
                insist(clients, slot)

    threads = [threading.Thread(target=buy, args=each) for each in buyers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def killed_at_random(
    reader: Reader,
    addresses: Sequence[str],
    lasts_s: float,
    rng: random.Random,
    between: Callable[[int], None] = lambda _: None,
) -> None:
    """Starts the reader at any of the frontends and kills it, again and again."""
    ends_at, kills = time.monotonic() + lasts_s, 0
    while kills < KILLS or time.monotonic() < ends_at:
        reader.start(rng.choice(addresses))
        further = len(reader.read) + rng.choice([0, 0, 1, 5, 20])
        wait_until(reader.gets_further(further), "the reader gets further", LIMIT_S)
        reader.kill()
        kills += 1
        between(kills)


def assert_each_once_in_order(
    reader: Reader, address: str, stored: Callable[[], list[tuple[int, str]]]
) -> None:
    """What was read is what the database has stored since the reader began."""
    begin = parse_cursor(reader.read[0][0])
    assert begin is not None
    expected = [
        (sequence, position, event.kind.value)
        for sequence, changes in stored()
        for position, event in enumerate(decode(changes), 1)
        if (sequence, position) > (begin.sequence, begin.position)
    ]
    assert len(expected) > KILLS
    reader.start(address)
    wait_until(lambda: len(reader.read) > len(expected), "the reader has read all", LIMIT_S)
    reader.kill()
    seen = []
    for text, kind, _ in reader.read[1 : len(expected) + 1]:
        cursor = parse_cursor(text)
        assert cursor is not None
        seen.append((cursor.sequence, cursor.position, kind))
    assert seen == expected


def stored_in(system: AuditedSystem) -> list[tuple[int, str]]:
    """The rows of events in the system's SQLite database."""
    with reading(StorageSettings(path=system.folder / DATABASE)) as connection:
        return list(connection.execute("SELECT sequence, changes FROM events ORDER BY sequence"))


def on_two_frontends(folder: Path, lasts_s: float) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with TwoFrontendSystem(folder / "system", FULL) as system:
        system.install()
        system.start()
        system.begin()
        system.link("d", system)
        system.link("ld", system.other)
        clients = system.at_both(ALICE)
        addresses = [each.address for each in system.both]
        d, ld, s = ([f"{machine}/{number}" for number in SLOTS] for machine in MACHINES)
        with reader_of(system, folder) as reader:
            with sales([(clients, d), (clients[::-1], ld), (clients, s)]):
                killed_at_random(reader, addresses, lasts_s, rng)
            assert_each_once_in_order(
                reader,
                rng.choice(addresses),
                lambda: [
                    (int(sequence), str(changes))
                    for sequence, changes in execute(
                        system.settings, "SELECT sequence, changes FROM events ORDER BY sequence"
                    )
                ],
            )
        for client in clients:
            client.close()
        system.audit()


def test_fault_72_a_reader_killed_at_random_sees_each_change_once_at_either_of_two_frontends(
    tmp_path: Path,
) -> None:
    """Invariant 28."""
    on_two_frontends(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 600)
def test_fault_72_a_reader_killed_at_random_sees_each_change_once_for_long(
    tmp_path: Path,
) -> None:
    """Invariant 28: for an hour, or for as many minutes as the variable MINUTES says."""
    on_two_frontends(tmp_path, MINUTES * 60)


def test_fault_72_a_reader_sees_each_change_once_while_its_frontend_is_killed(
    tmp_path: Path,
) -> None:
    """Invariant 28, on SQLite."""
    rng = random.Random(1)
    with AuditedSystem(tmp_path / "system", COUPLE, tmp_path) as system:
        system.install()
        system.start()
        system.begin()
        client = system.client(ALICE)

        def restart(kills: int) -> None:
            if kills % 2:
                system.frontend.kill()
                system.start_frontend()

        with reader_of(system, tmp_path) as reader:
            with sales([((client,), ["d/1"]), ((client,), ["ld/1"])]):
                killed_at_random(reader, [system.address], 0, rng, restart)
            system.wait_ready("d", "ld")
            assert_each_once_in_order(reader, system.address, lambda: stored_in(system))
        client.close()


def events_about(client: Client, account: str, cursor: str, count: int) -> list[pb.Event]:
    """The first events about an account after a cursor."""
    request = pb.WatchEventsRequest(cursor=cursor, account=account)
    watch = client.events.WatchEvents(
        request, metadata=client.metadata, timeout=LIMIT_S, wait_for_ready=True
    )
    found: list[pb.Event] = []
    while len(found) < count:
        found += next(watch).events
    watch.cancel()
    assert len(found) == count
    return found


def shown(event: pb.Event) -> tuple[str, str, str]:
    """The kind of an event about an account, the account's name, and who caused it."""
    named = event.drop.account if event.kind == pb.Event.KIND_DROP else event.account.name
    kind = pb.Event.Kind.Name(event.kind).removeprefix("KIND_")
    return kind, named.removeprefix("accounts/"), event.actor


def buys_and_gets_another_name(system: AuditedSystem) -> accounts.Account:
    """Makes carola, who buys a can and sends what is left, and calls her caroline."""
    root, methods = system.root, system.root.accounts
    make = accounts.CreateAccountRequest(name="accounts/carola", password="correct-horse")
    made = root.call(methods.CreateAccount, make).account
    gift = accounts.TransferCreditsRequest(request_id="gift", recipient=made.name, credits=60)
    system.alice.call(system.alice.accounts.TransferCredits, gift)
    buyer = Client(system.address, "carola", "correct-horse")
    buyer.drop("d/1")
    rest = accounts.TransferCreditsRequest(
        request_id="sent", recipient="accounts/admin", credits=60 - PRICE
    )
    buyer.call(buyer.accounts.TransferCredits, rest)
    rename = accounts.UpdateAccountRequest(name=made.name, new_name="caroline")
    renamed = root.call(methods.UpdateAccount, rename).account
    assert (renamed.name, renamed.id) == ("accounts/caroline", made.id)
    assert buyer.account() == renamed
    buyer.close()
    return renamed


def test_a_reader_sees_a_change_of_name_and_an_erasure_and_nothing_keeps_the_names(
    tmp_path: Path,
) -> None:
    with AuditedSystem(tmp_path / "system", COUPLE, tmp_path) as system:
        system.install()
        system.start()
        system.begin()
        root, methods = system.root, system.root.accounts
        begin = present_cursor(root)
        account = buys_and_gets_another_name(system)
        anyone = f"accounts/{account.id}"
        # Made, given, placed, held, dispatched, dispensed, paid, sent, renamed.
        told = events_about(root, "accounts/Caroline", begin, 9)
        assert [shown(event)[0] for event in told].count("DROP") == 3
        assert {shown(event)[1] for event in told} == {"caroline"}
        assert shown(told[-2]) == ("CREDITS", "caroline", "caroline")
        assert shown(told[-1]) == ("ACCOUNT", "caroline", "admin")

        close = accounts.UpdateAccountRequest(name=anyone, closed=True)
        root.call(methods.UpdateAccount, close)
        erased = root.call(methods.EraseAccount, accounts.EraseAccountRequest(name=anyone)).account
        assert (erased.name, erased.id, erased.closed) == (anyone, account.id, True)
        rest = events_about(root, anyone, told[-1].cursor, 2)
        assert shown(rest[-1]) == ("ACCOUNT", account.id, "admin")
        assert rest[-1].account == erased
        # A frontend that starts has nothing in memory.
        system.frontend.kill()
        system.start_frontend()
        again = events_about(root, anyone, begin, 11)
        assert [event.cursor for event in again] == [event.cursor for event in [*told, *rest]]
        assert {shown(event)[1] for event in again} == {account.id}
        assert {event.actor for event in again} == {
            *("admin", "alice", "frontend", "agent:d", account.id)
        }
        assert "carol" not in "".join(changes for _, changes in stored_in(system))
        system.wait_ready("d", "ld")
        system.audit()
