"""State of a session between its commands, and operations that several commands need."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from drink_frontend.domain.entities import Account, Machine
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.limits import SLOT_MAX
from drink_frontend.sessions.context import Services
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.reply_codes import Refused, ReplyCode
from drink_frontend.usecases.permits import Permit

T = TypeVar("T")

RETRY_DELAYS_S = (0.1, 0.4, 1.6)
"""Seconds before an interrupted change is tried again with the same request_id. Two seconds outlast
most fail-overs of a database, and a person at a prompt waits that long."""


class SessionState:
    """State of one client's session.

    Args:
        services: The use cases.
        dialect: The listener's dialect.
        origin: Address of the client.
        machine: Name of the machine that the session begins with; None until MACHINE chooses one.

    Attributes:
        account: Id of the account that is logged in.
        username: Argument of USER, until PASS consumes it.
        ibutton_used: Whether the login was by iButton.
        has_logged_in: Whether a login has succeeded in this session.
        login_failures: Failed logins so far.
        logging_in: Whether a login is in progress; it may wait for its turn.
        drop_id: Id of the drop whose outcome the session waits for.
        on_revoked: Called when the login is no longer valid.
    """

    __slots__ = (
        "_caller",
        "_permit",
        "_release",
        "_since_ms",
        "_target",
        "account",
        "dialect",
        "drop_id",
        "has_logged_in",
        "ibutton_used",
        "logging_in",
        "login_failures",
        "machine",
        "on_revoked",
        "origin",
        "services",
        "username",
    )

    def __init__(
        self, services: Services, dialect: Dialect, origin: str, machine: str | None
    ) -> None:
        self.services = services
        self.dialect = dialect
        self.origin = origin
        self.machine = machine
        self.account: str | None = None
        self.username: str | None = None
        self.ibutton_used = False
        self.has_logged_in = False
        self.login_failures = 0
        self.logging_in = False
        self.drop_id: str | None = None
        self.on_revoked: Callable[[], None] = self.log_out
        self._since_ms = 0
        self._permit: Permit | None = None
        self._release: Callable[[], None] | None = None
        self._caller: Account | None = None
        self._target: Machine | None = None

    # The login.

    def log_in(self, account: Account, ibutton: str | None = None) -> None:
        """Logs in an account.

        Args:
            account: The account, as it was authenticated.
            ibutton: Digest of the iButton or card; None for a login by password.
        """
        self.log_out()
        self.account, self._since_ms = account.id, account.since_ms
        self.has_logged_in = True
        self.ibutton_used = ibutton is not None
        password_hash = account.password_hash if ibutton is None else None
        self._permit = Permit(account.id, ibutton=ibutton, password_hash=password_hash)
        self.hold_permit()

    def log_out(self) -> None:
        """Ends the login, and forgets the argument of USER."""
        self.release_permit()
        self._permit = None
        self.account = None
        self.username = None
        self.ibutton_used = False

    def hold_permit(self) -> None:
        """Registers the login, so that `on_revoked` is called when it is no longer valid."""
        self.release_permit()
        if self._permit is not None:
            self._release = self.services.permits.hold(self._permit, self.on_revoked)

    def release_permit(self) -> None:
        """Cancels the registration of the login."""
        if self._release is not None:
            self._release()
            self._release = None

    def password_changed(self, account: Account) -> None:
        """Keeps a login by password valid after this session has changed the password.

        No permit may be held meanwhile.
        """
        if self._permit is not None and self._permit.ibutton is None:
            self._permit = Permit(account.id, password_hash=account.password_hash)

    # The account and the machine of the current command.

    @property
    def caller(self) -> Account:
        """The account that gives the current command, as it was read for the command."""
        assert self._caller is not None, "the caller is loaded first"
        return self._caller

    @property
    def target(self) -> Machine:
        """The session's machine, for a command that shows it."""
        assert self._target is not None, "the machine is loaded first"
        return self._target

    def load_cached_caller(self) -> bool:
        """Loads the caller from memory; False if it is not there or the login is not valid."""
        if self.account is not None:
            self._caller = self.services.views.accounts.get_cached(self.account)
        return self._caller is not None and self._is_valid_login(self._caller)

    def load_cached_machine(self) -> bool:
        """Loads the session's machine from memory; False if it is not there."""
        if self.machine is not None:
            self._target = self.services.views.machines.get_cached(self.machine)
        return self._target is not None

    async def load_caller(self, *, cached: bool = False) -> Account:
        """Loads the caller.

        Args:
            cached: Whether it may come from memory: only for a command that changes nothing.

        Raises:
            Refused: no account is logged in, or the login is no longer valid.
        """
        if self.account is None:
            raise Refused(ReplyCode.LOGIN_NEEDED)
        services = self.services
        read = services.views.accounts.get if cached else services.accounts.balance
        self._caller = await read(self.account)
        if not self._is_valid_login(self._caller):
            self.log_out()
            raise Refused(ReplyCode.LOGIN_NEEDED)
        return self._caller

    async def load_machine(self) -> None:
        """Loads the session's machine, to show it.

        Raises:
            Refused: the session has none.
            MachineNotFoundError: it does not exist.
        """
        self._target = await self.services.views.machines.get(self.machine_name())

    def unload(self) -> None:
        """Drops the loaded account and machine: idle sessions need no copy of them."""
        self._caller = None
        self._target = None

    def _is_valid_login(self, account: Account) -> bool:
        """Whether the account is still the one that logged in.

        It is not if it was closed, or created again since, or, after a login by password, has
        another password.
        """
        permit = self._permit
        if (
            permit is not None
            and permit.ibutton is None
            and permit.password_hash != account.password_hash
        ):
            return False
        return not account.closed and account.since_ms == self._since_ms

    def machine_name(self) -> str:
        """Name of the session's machine.

        Raises:
            Refused: the session has none.
        """
        if self.machine is None:
            raise Refused(ReplyCode.NO_MACHINE)
        return self.machine

    def slot_number(self, wire_slot: int) -> int:
        """The number of a slot, from its number in the listener's dialect.

        Raises:
            Refused: no machine has such a slot.
        """
        number = wire_slot - self.dialect.first_slot + 1
        if not 1 <= number <= SLOT_MAX:
            raise Refused(ReplyCode.UNKNOWN_SLOT)
        return number


async def retry_unavailable(operation: Callable[[], Awaitable[T]]) -> T:
    """Runs an idempotent operation, and again while the database does not answer.

    Raises:
        StorageUnavailableError: the last attempt failed as well.
    """
    for delay_s in RETRY_DELAYS_S:
        try:
            return await operation()
        except StorageUnavailableError:
            await asyncio.sleep(delay_s)
    return await operation()
