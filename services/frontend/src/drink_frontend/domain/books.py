"""What a unit of work sees of the things that are kept, a protocol for each kind of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

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
    Proof,
    Queue,
    Reach,
    Slot,
)
from drink_frontend.domain.ledger import AccountKind, Transfer
from drink_frontend.domain.stock import Place, Sensor


class AccountTable(Protocol):
    """Accounts, their credentials and tokens."""

    def get(self, name: str) -> Account | None:
        """The account with exactly that name, of any kind."""

    def find(self, name: str) -> Account | None:
        """The account that somebody means by a name: that one, or the only one alike but for case.

        None where several are alike, which only those made by release 0.1.0 can be.
        """

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
        """Makes an account without credits.

        Raises:
            AlreadyExistsError: there is one of that name, or one that differs from it only in case.
        """

    def readmit(
        self,
        name: str,
        now_ms: int,
        *,
        admin: bool,
        password_hash: str | None,
        ibutton_digest: str | None,
    ) -> None:
        """Opens a closed account again, with these credentials and tokens, and no others.

        Raises:
            AlreadyExistsError: the iButton belongs to another account.
        """

    def administrators(self) -> Mapping[str, bool]:
        """The open accounts that administer, each with whether it has something to log in with."""

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

    def remove_ibutton(self, name: str) -> None:
        """Forgets the account's iButton, if it has one."""

    def add_token(
        self, digest: str, account: str, expires_ms: int, made_by: Proof = Proof.PASSWORD
    ) -> None:
        """Keeps a bearer token's digest, and by what its owner had logged in."""

    def remove_tokens(self, account: str, made_by: Proof | None = None) -> None:
        """Forgets every bearer token of the account, or those that were made so.

        Of tokens from before this was kept, nobody knows; they count as made so.
        """


class LedgerTable(Protocol):
    """Transfers. They are only ever added."""

    def add(self, transfer: Transfer) -> None:
        """Writes a transfer and changes the balances of its two accounts."""

    def by_request(self, actor: str, request_id: str) -> Transfer | None:
        """The MOVE that this request made."""

    def grants(self, request_id: str) -> Sequence[Transfer]:
        """The MOVEs from or to funding that requests of that id made, whoever asked."""

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
