"""What sessions need from the rest of the frontend, as protocols."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from drink_frontend.domain.entities import Account, Drop, Machine, Slot
from drink_frontend.domain.ports import Clock
from drink_frontend.sessions.encoding import Pages
from drink_frontend.usecases.permits import Permit
from drink_frontend.usecases.placing import DropOrder

T_co = TypeVar("T_co", covariant=True)


class View(Protocol[T_co]):
    """Something to be shown; `drink_frontend.usecases.views` says how new it is."""

    def at_hand(self, name: str, /) -> T_co | None:
        """The one of that name, if it is in memory."""

    async def get(self, name: str, /) -> T_co:
        """The one of that name; raises what its use case raises."""


class Views(Protocol):
    """What can be shown without asking the database each time."""

    @property
    def accounts(self) -> View[Account]:
        """Users' accounts."""

    @property
    def machines(self) -> View[Machine]:
        """Machines with their slots."""


class Accounts(Protocol):
    """The use cases of accounts; `drink_frontend.usecases.accounts` says what each may raise."""

    async def login_password(self, name: str, password: str, origin: str, /) -> Account:
        """The account that a name and password belong to."""

    async def login_ibutton(self, ibutton: str, origin: str, /) -> Account:
        """The account that an iButton belongs to."""

    async def balance(self, name: str, /) -> Account:
        """A user's account as it stands now."""

    async def find(self, name: str, /) -> Account | None:
        """A user's account, if there is one."""

    async def add_credits(
        self, actor: Account, request_id: str, name: str, credits_added: int, /
    ) -> Account:
        """Moves credits to a user, or back if negative."""

    async def transfer(
        self, sender: Account, request_id: str, recipient: str, credits_sent: int, /
    ) -> Account:
        """Sends credits; gives the sender's account after it."""

    async def create(
        self, actor: str, name: str, /, *, password: str | None = None, readmit: bool = False
    ) -> Account:
        """Makes a user, or opens a closed account again."""

    async def change(
        self,
        actor: str,
        name: str,
        /,
        *,
        password: str | None = None,
        admin: bool | None = None,
        closed: bool | None = None,
    ) -> Account:
        """Changes what is given."""


class Permits(Protocol):
    """What ends when that by which somebody logged in is no longer good."""

    def hold(self, permit: Permit, end: Callable[[], None], /) -> Callable[[], None]:
        """Has `end` called, once, when it is no longer good; returns what gives the permit back."""


class Drops(Protocol):
    """The use cases of drops; `drink_frontend.usecases.drops` says what each may raise."""

    async def place(self, order: DropOrder, /) -> Drop:
        """Reserves durably, or finds the drop that the same request made before."""

    async def outcome(self, drop_id: str, /) -> Drop:
        """Waits until there is an answer for who asked."""


class Machines(Protocol):
    """The use cases of machines; `drink_frontend.usecases.machines` says what each may raise."""

    async def list(self) -> Sequence[Machine]:
        """All machines, by name."""

    async def get(self, name: str, /) -> Machine:
        """One machine."""

    async def update_slot(
        self,
        actor: Account,
        machine: str,
        number: int,
        /,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        available: int | None = None,
    ) -> Slot:
        """Changes what is given."""


class Notes(Protocol):
    """The audit log, as far as people write into it."""

    async def add(self, actor: str, words: str, /) -> None:
        """Keeps what a person has to say; no words mean that the person was here.

        Raises:
            FieldInvalidError: it is too long.
        """


def _request_id() -> str:
    # 128 random bits: the same id twice would make the second drop the first one.
    return f"session-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What every session of a server uses.

    Attributes:
        accounts: Logging in, credits.
        permits: Whether a login still counts.
        drops: Buying.
        machines: What there is to buy.
        notes: The audit log.
        views: What is only shown.
        clock: Time.
        version: Of this service, for VERSION and the greeting of 1999.
        started_ms: When it started, in ms since the epoch.
        shutdown: Stops the service gracefully, to be started again if True; None where an
            administrator may not do that from a session.
        pages: Machines' slots in words.
        request_id: Makes an id for each command that moves credits.
        choose: Picks one of the slots that RAND may drop.
    """

    accounts: Accounts
    permits: Permits
    drops: Drops
    machines: Machines
    notes: Notes
    views: Views
    clock: Clock
    version: str
    started_ms: int
    shutdown: Callable[[bool], None] | None = None
    pages: Pages = field(default_factory=Pages)
    request_id: Callable[[], str] = _request_id
    choose: Callable[[Sequence[Slot]], Slot] = secrets.choice
