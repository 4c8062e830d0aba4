"""What the use cases need from the world, as protocols.

A unit of work is a plain function over a Transaction. It runs whole or not at all, alone, on the
storage's own thread, and may run more than once before it is committed; so it computes, reads and
writes through the Transaction and touches nothing else. `Storage.write` returns its value only
after the commit is durable.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import (
    Account,
    Alarm,
    AuditKind,
    AuditRecord,
    Claim,
    Drop,
    Entry,
    Machine,
    Peer,
    Queue,
    Reach,
    Slot,
)
from drink_frontend.domain.ledger import AccountKind, Transfer
from drink_frontend.domain.stock import Place, Sensor

T = TypeVar("T")


class AccountTable(Protocol):
    """Accounts, their credentials and tokens."""

    def get(self, name: str) -> Account | None:
        """The account with that name, of any kind."""

    def by_ibutton(self, digest: str) -> Account | None:
        """The account that the iButton with that digest logs in."""

    def by_token(self, digest: str, now_ms: int) -> Account | None:
        """The account that the bearer token with that digest stands for, if it has not expired."""

    def list_users(self) -> Sequence[Account]:
        """Every user's account, by name."""

    def add(
        self,
        name: str,
        kind: AccountKind,
        now_ms: int,
        *,
        admin: bool = False,
        password_hash: str | None = None,
    ) -> None:
        """Makes an account without credits; AlreadyExistsError if there is one of that name."""

    def update(
        self,
        name: str,
        *,
        admin: bool | None = None,
        closed: bool | None = None,
        password_hash: str | None = None,
        ibutton_digest: str | None = None,
    ) -> None:
        """Changes what is given.

        Raises:
            AlreadyExistsError: the iButton belongs to another account.
        """

    def add_token(self, digest: str, account: str, expires_ms: int) -> None:
        """Keeps a bearer token's digest."""

    def remove_tokens(self, account: str) -> None:
        """Forgets every bearer token of the account."""


class LedgerTable(Protocol):
    """Transfers. They are only ever added."""

    def add(self, transfer: Transfer) -> None:
        """Writes a transfer and changes the balances of its two accounts."""

    def by_request(self, actor: str, request_id: str) -> Transfer | None:
        """The MOVE that this request made."""

    def entries(self, account: str, before: int | None, limit: int) -> Sequence[Entry]:
        """Up to `limit` entries of the account with a sequence below `before`, newest first."""


class MachineTable(Protocol):
    """Machines, slots and what their agents last said."""

    def get(self, name: str) -> Machine | None:
        """The machine with its slots."""

    def alone(self, name: str) -> Machine | None:
        """The machine without its slots."""

    def with_slot(self, name: str, number: int) -> tuple[Machine, Queue] | None:
        """The machine with that one of its slots, if it has it, and what waits for it."""

    def list(self) -> Sequence[Machine]:
        """All machines with their slots, by name."""

    def slot(self, machine: str, number: int) -> Slot | None:
        """One slot."""

    def by_token(self, digest: str) -> str | None:
        """Name of the machine whose agent's token has that digest."""

    def add(self, name: str, display_name: str, location: str) -> None:
        """Makes an enabled machine without slots; AlreadyExistsError if there is one."""

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        location: str | None = None,
        enabled: bool | None = None,
        token_digest: str | None = None,
    ) -> None:
        """Changes what is given."""

    def add_slot(self, machine: str, number: int, item: str, price: int, now_ms: int) -> None:
        """Makes an enabled, empty slot; AlreadyExistsError if there is one."""

    def update_slot(
        self,
        machine: str,
        number: int,
        now_ms: int,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        on_hand: int | None = None,
        sensor: Sensor | None = None,
    ) -> None:
        """Changes what is given; a new `on_hand` counts as loaded or taken out by hand."""

    def move_item(
        self, machine: str, number: int, source: Place, target: Place, now_ms: int
    ) -> None:
        """Moves one item of the slot from one place to another."""

    def set_temperature(self, name: str, celsius: float | None) -> None:
        """Keeps what the board's thermometer last said."""

    def open_link(
        self, name: str, journal_id: str, journal_sequence: int, frontend: str, reach: Reach
    ) -> int:
        """Counts the machine's epoch up, keeps who has the new link, and returns the epoch."""

    def retire_link(self, name: str) -> None:
        """Counts the machine's epoch up, so that its present link gives no more commands."""

    def claims(self) -> Sequence[Claim]:
        """What is kept of each machine's newest link, by name."""

    def keep_claim(self, claim: Claim) -> None:
        """Keeps who has the link and how far a command gets on it, unless there is a newer one."""

    def saw_journal(self, name: str, journal_id: str, journal_sequence: int) -> None:
        """Raises the journal's highest record number seen, if it is that journal."""


class DropTable(Protocol):
    """Drops. The row of a drop is also its place in its machine's queue."""

    def get(self, drop_id: str) -> Drop | None:
        """One drop."""

    def by_request(self, account: str, request_id: str) -> Drop | None:
        """The drop that this request made."""

    def add(self, drop: Drop) -> Drop:
        """Keeps a new drop, and returns it with its `sequence`, which is counted here."""

    def move(
        self,
        drop: Drop,
        target: State,
        cause: Cause,
        now_ms: int,
        *,
        decided_by: str | None = None,
        epoch: int | None = None,
        journal_id: str | None = None,
        revision: int | None = None,
    ) -> Drop:
        """Changes the state, with the times that go with it, and returns the drop as it is then.

        An AssertionError if its state is another one than of `drop`, which was read in this unit.
        """

    def saw_revision(self, drop_id: str, revision: int) -> None:
        """Raises the highest revision of its agent's result seen."""

    def next_reserved(self, machine: str) -> Drop | None:
        """The machine's longest waiting RESERVED drop, for a unit that moves it.

        None while an earlier one is DISPATCHED.
        """

    def ready_machines(self) -> Sequence[str]:
        """Machines that have a RESERVED drop and none that is DISPATCHED."""

    def scheduled(self, machine: str) -> int:
        """How many of the machine's drops are SCHEDULED."""

    def in_state(self, state: State, machine: str | None = None) -> Sequence[Drop]:
        """Drops in an open state, oldest first, of one machine or all. Not for final states."""

    def due(self, now_ms: int) -> Sequence[Drop]:
        """SCHEDULED drops whose time has come, oldest first."""

    def next_due_ms(self) -> int | None:
        """When the next SCHEDULED drop is due."""

    def list(
        self,
        account: str | None,
        states: Iterable[State],
        before: int | None,
        limit: int,
    ) -> Sequence[Drop]:
        """Up to `limit` drops with a sequence below `before`, newest first.

        `account` None means everyone's, no `states` means all.
        """


class FrontendTable(Protocol):
    """The frontends that serve on this database."""

    def list(self) -> Sequence[Peer]:
        """All of them, the one that started first first."""

    def beat(self, peer: Peer) -> None:
        """Counts the beats of a frontend up; makes it known if it is not."""

    def remove(self, peer: Peer) -> bool:
        """Forgets a frontend, unless it has beaten since `peer` was read; whether it did."""


class AuditTable(Protocol):
    """The audit log. Records are only ever added."""

    def add(self, record: AuditRecord) -> None:
        """Writes a record."""

    def list(
        self,
        *,
        drop_id: str | None = None,
        kinds: Iterable[AuditKind] = (),
        before: int | None = None,
        limit: int,
    ) -> Sequence[AuditRecord]:
        """Up to `limit` records that match, newest first."""


class AlarmTable(Protocol):
    """Counts of what happens too often to keep a record of each time."""

    def add(self, alarm: Alarm) -> None:
        """Adds to the count of the machine's alarm of that kind, or makes the alarm."""

    def list(self) -> Sequence[Alarm]:
        """All alarms, the one that happened last first."""


class Transaction(Protocol):
    """One unit of work's view of everything that is kept."""

    @property
    def accounts(self) -> AccountTable:
        """Accounts, credentials, tokens."""

    @property
    def ledger(self) -> LedgerTable:
        """Transfers."""

    @property
    def machines(self) -> MachineTable:
        """Machines and slots."""

    @property
    def drops(self) -> DropTable:
        """Drops."""

    @property
    def frontends(self) -> FrontendTable:
        """The frontends that serve."""

    @property
    def audit(self) -> AuditTable:
        """The audit log."""

    @property
    def alarms(self) -> AlarmTable:
        """Counted alarms."""

    def exercise(self) -> None:
        """Asks for everything that the service does with what is kept, without doing any of it."""


class Changed(Protocol):
    """What commits changed."""

    @property
    def machines(self) -> Collection[str]:
        """Names of machines, those of changed slots included."""

    @property
    def accounts(self) -> Mapping[str, Account | None]:
        """Accounts as they were committed, by name; None where only that is known."""


class Changes(Protocol):
    """Tells, after each commit, what it changed."""

    def drop(self, drop_id: str) -> "DropSubscription":
        """Wakes when the drop has changed."""

    def machine(self, name: str | None) -> "Subscription":
        """Wakes when the machine, or with None any machine, has changed."""

    def elsewhere(self) -> "ElsewhereSubscription":
        """Wakes when another process has changed anything, within a second or so."""

    def tell(self, told: Callable[[Changed | None], None]) -> None:
        """Has a plain function called with what commits changed; None: it may be anything.

        It hears of a commit of this process before anybody whom that commit answers, and of other
        processes' as `elsewhere` does.
        """


class Subscription(Protocol):
    """A wake-up that is set by every change since it was last awaited. A context manager."""

    def __enter__(self) -> Self:
        """Starts listening."""

    def __exit__(self, *error: object) -> None:
        """Stops listening."""

    async def changed(self) -> None:
        """Waits for a change; returns at once if one came since the last wait."""


class DropSubscription(Subscription, Protocol):
    """A wake-up that knows what this process has just committed."""

    @property
    def latest(self) -> Drop | None:
        """The drop as it stands, if its last change is a recent commit of this process.

        None: it has to be read.
        """


class ElsewhereSubscription(Protocol):
    """A wake-up by what other processes commit. A context manager."""

    def __enter__(self) -> Self:
        """Starts listening."""

    def __exit__(self, *error: object) -> None:
        """Stops listening."""

    async def changed(self) -> Collection[str] | None:
        """Waits for commits; names the machines that they changed. None: it may be anything."""


class Storage(Protocol):
    """Everything that is kept, durably."""

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Runs a unit of work and returns its value after its commit is durable.

        A cancelled caller changes nothing: the unit is carried out all the same.

        Raises:
            DrinkError: the unit raised it and was undone.
            StorageUnavailableError: the queue is full, or the commit failed.
            OutcomeUnknownError: nobody knows whether the commit failed.
        """

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Runs a query on the latest committed state; it must not write.

        Raises:
            StorageUnavailableError: the queue is full or the database does not answer.
        """

    @property
    def changes(self) -> Changes:
        """Tells what commits changed."""

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on the same database at the same time."""


@dataclass(frozen=True, slots=True)
class Held:
    """A link of this frontend.

    Attributes:
        epoch: Its number; None while it is being opened, when the newest may be its.
        reach: How far a command gets on it.
    """

    epoch: int | None
    reach: Reach


class Links(Protocol):
    """The agents' links to this frontend, as far as the use cases care."""

    def wake(self, machine: str) -> None:
        """Says that the machine has a drop to dispatch."""

    def command(self, drop: Drop) -> None:
        """Sends the command of a drop whose dispatch was committed, if its link is still here."""

    def doubt(self, machine: str, epoch: int) -> None:
        """Says that a drop may be dispatched on that link whose command is not sent: ends it.

        At its next Hello the agent says what it did not receive.
        """

    def held(self, machine: str) -> Held | None:
        """The machine's link here, if there is one or one is being opened."""

    def supersede(self, machine: str, epoch: int) -> None:
        """Ends the machine's link here if it is older than `epoch`."""

    def release(self) -> None:
        """Ends every link, so that the agents look for another frontend."""


class Clock(Protocol):
    """Time. What must be right rests on `monotonic`; `now_ms` is for people and schedules."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds; never jumps."""


class Randomness(Protocol):
    """Ids and secrets."""

    def drop_id(self) -> str:
        """A new drop id: 26 characters of [0-9A-Z], in order of time within clock accuracy."""

    def id(self) -> str:
        """A new id for anything else."""

    def token(self) -> str:
        """A new secret with 256 random bits, in URL-safe characters."""


class PasswordHasher(Protocol):
    """Password hashes, computed where they block nobody."""

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many wait already.
        """

    async def verify(self, password_hash: str | None, password: str, lane: str = "") -> bool:
        """Whether the password fits; takes as long for None as for a real hash.

        Args:
            password_hash: Of the account; None if there is no such account.
            password: What was given.
            lane: Whose turn it is: lanes that wait get their turns one after the other.

        Raises:
            RateLimitedError: too many wait already.
        """
