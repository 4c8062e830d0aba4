"""What the RPCs ask of the use cases, as protocols; the use cases document each operation."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, Drop, LedgerEntry, Machine, Proof, Slot
from drink_frontend.links.messages import AgentMessage, FrontendMessage
from drink_frontend.usecases.permits import Permit
from drink_frontend.usecases.placing import DropOrder


class Drops(Protocol):
    """Placing, following and cancelling drops."""

    async def place(self, order: DropOrder) -> Drop:
        """Reserves durably, or finds the drop that the same request made before."""

    async def outcome(self, drop_id: str) -> Drop:
        """Waits for the drop's outcome."""

    def watch(self, drop_id: str) -> AsyncIterator[Drop]:
        """The drop now and after each change, until its final state."""

    async def find(self, caller: Account, request_id: str) -> Drop:
        """The caller's drop that a request made."""

    async def get(self, caller: Account, drop_id: str) -> Drop:
        """One drop of the caller, or any for an administrator."""

    async def list(
        self,
        caller: Account,
        account: str | None,
        states: Sequence[State],
        before: int | None,
        limit: int,
    ) -> Sequence[Drop]:
        """Drops of an account, or with None everyone's, newest first."""

    async def cancel(self, caller: Account, drop_id: str) -> Drop:
        """Cancels a drop that has not been dispatched."""


class Accounts(Protocol):
    """Logging in, and accounts and their credits."""

    async def login_password(self, name: str, password: str, origin: str) -> Account:
        """The account, for its password; `origin` is the peer's address."""

    async def login_ibutton(self, ibutton: str, origin: str) -> Account:
        """The account, for its iButton."""

    async def issue_token(self, account: Account, proof: Proof) -> tuple[str, int]:
        """A new bearer token, and when it expires in milliseconds since the epoch."""

    async def authenticate(self, token: str) -> Account:
        """The account that a bearer token stands for."""

    def recall(self, token_digest: str) -> Account | None:
        """The account that a token stood for when it was last asked about."""

    def forget(self, token_digest: str) -> None:
        """The token was found not to be good any more."""

    async def balance(self, name: str) -> Account:
        """The caller's own account as it stands."""

    async def get(self, caller: Account, name: str) -> Account:
        """The caller's own account, or any for an administrator."""

    async def add_credits(
        self, actor: Account, request_id: str, name: str, credits_added: int
    ) -> Account:
        """Moves credits between the funding account and a user; the user's account after it."""

    async def transfer(
        self, sender: Account, request_id: str, recipient: str, credits_sent: int
    ) -> Account:
        """Moves credits between users; the sender's account after it."""

    async def entries(
        self, caller: Account, name: str, before: int | None, limit: int
    ) -> Sequence[LedgerEntry]:
        """What moved on an account, newest first."""


class Permits(Protocol):
    """What ends when that by which somebody was let in is no longer good."""

    def held(self, permit: Permit, end: Callable[[], None]) -> AbstractContextManager[None]:
        """Has `end` called, once, when the permit is no longer good while the context lasts."""


class Balances(Protocol):
    """Users' accounts, to be shown."""

    async def get(self, name: str) -> Account:
        """The account with at least what this frontend has told anybody of it."""


class Machines(Protocol):
    """Machines and their slots."""

    async def list(self) -> Sequence[Machine]:
        """All machines, by name."""

    async def get(self, name: str) -> Machine:
        """One machine."""

    def watch(self, names: Sequence[str]) -> AsyncIterator[Machine]:
        """These machines, or without names all, now and each again after a change."""

    async def update_slot(
        self,
        actor: Account,
        machine: str,
        number: int,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        available: int | None = None,
    ) -> Slot:
        """Changes what is given of a slot."""

    async def authenticate(self, token: str) -> str:
        """The machine that an agent's token stands for."""


class Links(Protocol):
    """The agents' links."""

    def accepts(self, machine: str, size_bytes: int) -> bool:
        """Counts a message of the machine's agent; False if it has sent too much."""

    def serve(
        self, machine: str, incoming: AsyncIterator[AgentMessage], address: str = ""
    ) -> AsyncIterator[FrontendMessage]:
        """Runs one link until it ends: takes what the agent says, yields what it is told."""
