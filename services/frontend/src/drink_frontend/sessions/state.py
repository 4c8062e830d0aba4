"""What a session remembers between commands, and what several commands do with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from drink_frontend.domain.entities import Account, Machine
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.limits import SLOT_MAX
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.phrases import Phrase, Refused
from drink_frontend.sessions.services import Services
from drink_frontend.usecases.permits import Permit

T = TypeVar("T")

RETRY_DELAYS_S = (0.1, 0.4, 1.6)
"""Seconds before an interrupted change is asked for again, under the same request_id. Two seconds
outlast a database's fail-over in most cases, and a person at a prompt waits that long."""


class SessionState:
    """One client's session.

    Args:
        services: What it uses.
        dialect: How it speaks.
        origin: The client's address.
        machine: Name of the machine that it starts with; None until MACHINE chooses one.
    """

    __slots__ = (
        "_caller",
        "_give_back",
        "_machine_shown",
        "_permit",
        "account",
        "claimed",
        "dialect",
        "drop_id",
        "dropping",
        "has_logged_in",
        "ibutton_used",
        "logging_in",
        "login_failures",
        "machine",
        "on_revoked",
        "origin",
        "services",
        "since_ms",
    )

    def __init__(
        self, services: Services, dialect: Dialect, origin: str, machine: str | None
    ) -> None:
        self.services = services
        self.dialect = dialect
        self.origin = origin
        self.machine = machine
        self.account: str | None = None
        """Name of the account that is logged in."""
        self.since_ms = 0
        """Since when that account is one, as it logged in."""
        self._permit: Permit | None = None
        self._give_back: Callable[[], None] | None = None
        self.on_revoked: Callable[[], None] = self.log_out
        """Called when the login is no longer good."""
        self.has_logged_in = False
        """Whether somebody has logged in so far."""
        self.ibutton_used = False
        """Whether whoever is logged in showed an iButton."""
        self.claimed: str | None = None
        """Name that USER gave, until PASS uses it up."""
        self._caller: Account | None = None
        self._machine_shown: Machine | None = None
        self.login_failures = 0
        """Failed logins so far."""
        self.logging_in = False
        """Whether a login is under way, which may have to wait for its turn."""
        self.dropping = False
        """Whether DROP or RAND is under way."""
        self.drop_id: str | None = None
        """The drop whose outcome is awaited."""

    def log_in(self, account: Account, ibutton: str | None = None) -> None:
        """The account has logged in, by an iButton with that digest or else by its password."""
        self.log_out()
        self.account, self.since_ms = account.name, account.since_ms
        self.has_logged_in = True
        self.ibutton_used = ibutton is not None
        password_hash = account.password_hash if ibutton is None else None
        self._permit = Permit(account.name, ibutton=ibutton, password_hash=password_hash)
        self.hold_permit()

    def hold_permit(self) -> None:
        """Holds the permit of who is logged in: `on_revoked` is called when it ends."""
        self.give_permit_back()
        if self._permit is not None:
            self._give_back = self.services.permits.hold(self._permit, self.on_revoked)

    def has_password(self, account: Account) -> None:
        """Who is logged in has changed his password; a login by the old one counts as by the new.

        To be called while no permit is held.
        """
        if self._permit is not None and self._permit.ibutton is None:
            self._permit = Permit(account.name, password_hash=account.password_hash)

    def give_permit_back(self) -> None:
        """Nobody needs to be told any more that the login is no longer good."""
        if self._give_back is not None:
            self._give_back()
            self._give_back = None

    def log_out(self) -> None:
        """Forgets who is logged in or about to be."""
        self.give_permit_back()
        self._permit = None
        self.account = None
        self.claimed = None
        self.ibutton_used = False

    @property
    def caller(self) -> Account:
        """The account that gives the command, as it stood then; for commands that need a login."""
        assert self._caller is not None, "identify() comes first"
        return self._caller

    @property
    def machine_shown(self) -> Machine:
        """The session's machine, for commands that show it."""
        assert self._machine_shown is not None, "look() comes first"
        return self._machine_shown

    def recall_caller(self) -> bool:
        """Whether the account that gives a command is in memory, good enough for showing."""
        if self.account is not None:
            self._caller = self.services.views.accounts.at_hand(self.account)
        return self._caller is not None and self._is_still(self._caller)

    def recall_machine(self) -> bool:
        """Whether the session's machine is in memory."""
        if self.machine is not None:
            self._machine_shown = self.services.views.machines.at_hand(self.machine)
        return self._machine_shown is not None

    async def identify(self, *, to_show: bool = False) -> Account:
        """Looks up the account that gives a command.

        Args:
            to_show: Whether the command only shows something.

        Raises:
            Refused: nobody is logged in, or the account has been closed since, also if it was added
                again.
        """
        if self.account is None:
            raise Refused(Phrase.LOGIN_NEEDED)
        services = self.services
        read = services.views.accounts.get if to_show else services.accounts.balance
        self._caller = await read(self.account)
        if not self._is_still(self._caller):
            self.log_out()
            raise Refused(Phrase.LOGIN_NEEDED)
        return self._caller

    def _is_still(self, account: Account) -> bool:
        """Whether the account is the one that logged in.

        It is not if it was closed, or added again since, or has got another password after it
        logged in by one.
        """
        permit = self._permit
        by_password = permit if permit is not None and permit.ibutton is None else None
        if by_password is not None and by_password.password_hash != account.password_hash:
            return False
        return not account.closed and account.since_ms == self.since_ms

    async def look(self) -> None:
        """Looks up the session's machine, to show it.

        Raises:
            Refused: none is chosen.
            MachineNotFoundError: it does not exist.
        """
        self._machine_shown = await self.services.views.machines.get(self.machine_name())

    def forget_seen(self) -> None:
        """The command has been carried out; ten thousand idle sessions need no copy of all this."""
        self._caller = None
        self._machine_shown = None

    async def chosen_machine(self) -> Machine:
        """The session's machine, as it stands now; for commands that do not only show it.

        Raises:
            Refused: none is chosen.
            MachineNotFoundError: it does not exist.
        """
        return await self.services.machines.get(self.machine_name())

    def machine_name(self) -> str:
        """Name of the session's machine.

        Raises:
            Refused: none is chosen.
        """
        if self.machine is None:
            raise Refused(Phrase.NO_MACHINE)
        return self.machine

    def slot_number(self, said: int) -> int:
        """The number of the slot that the dialect calls `said`.

        Raises:
            Refused: no machine can have it.
        """
        number = said - self.dialect.first_slot + 1
        if not 1 <= number <= SLOT_MAX:
            raise Refused(Phrase.UNKNOWN_SLOT)
        return number


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Does what is safe to do twice, again for as long as the database does not answer.

    Raises:
        StorageUnavailableError: it still does not.
    """
    for delay_s in RETRY_DELAYS_S:
        try:
            return await attempt()
        except StorageUnavailableError:
            await asyncio.sleep(delay_s)
    return await attempt()
