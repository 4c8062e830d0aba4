"""Connections to PostgreSQL, as the promise needs them."""

import random
import time
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper

from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.settings import StorageSettings

T = TypeVar("T")

log = structlog.get_logger(__name__)

Row = tuple[Any, ...]

SILENCE_S = 10
"""Seconds after which a network that carries nothing is given up: keepalives notice a host that is
gone, the user timeout one that takes nothing any more."""

PREPARED_MAX = 500
"""Prepared statements that a session keeps: more than this program has, each in the few ways in
which its optional parameters can be missing."""

UNBOUND = (
    "SELECT set_config(name, '0', false) FROM pg_settings"
    " WHERE name IN ('transaction_timeout', 'idle_session_timeout')"
)
"""Takes the limits away that a role has by default for things that are bounded here: waiting for a
turn, by lock_timeout, and having nothing to do. The first is in PostgreSQL 17 and newer."""

_DEFAULTS: dict[str, Any] = {
    "application_name": "drink-frontend",
    # A server that only reads may be behind the one that writes, so none of them is asked anything.
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
    "keepalives_idle": SILENCE_S // 2,
    "keepalives_interval": 1,
    "keepalives_count": SILENCE_S // 2,
    "tcp_user_timeout": SILENCE_S * 1000,
}


class GuardedConnection(psycopg.Connection[Row]):
    """The driver's connection, which does not wait for ever for a server that stands still.

    Attributes:
        answer_limit_s: Seconds that an answer may take; then the connection is closed, since what
            comes later is nobody's any more.
    """

    answer_limit_s: float | None = None

    def run(self, statements: str) -> psycopg.Cursor[Row]:
        """Runs statements without parameters, in one message."""
        return self.execute(statements.encode(), prepare=False)

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """See the driver's."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_limit_s)
        except errors._WaitTimeout:  # noqa: SLF001 - what the method is documented to raise
            self.close()
            raise psycopg.OperationalError(
                f"the server did not answer for {self.answer_limit_s:g} s"
            ) from None


class Redial:
    """When a server that could not be reached is tried again, by all connections of a process.

    The first that gets through lets the others through: readers share their work, and one that
    waited longer than the rest would refuse what they could answer.

    Args:
        settings: How long to wait.

    Attributes:
        not_before: Monotonic seconds before which it is not tried.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._failures = 0
        self.not_before = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return time.monotonic() >= self.not_before

    def failed(self) -> None:
        """It was tried in vain; the next time is later, each time more."""
        settings = self._settings
        longest_ms = min(settings.reconnect_max_ms, settings.reconnect_ms * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        # Not a secret.
        wait_s = random.uniform(longest_ms / 2, longest_ms) / 1000  # noqa: S311
        self.not_before = time.monotonic() + wait_s

    def succeeded(self) -> None:
        """It was reached."""
        self._failures, self.not_before = 0, 0.0


def parameters(settings: StorageSettings) -> dict[str, Any]:
    """What a connection is made with, for the driver.

    Raises:
        StorageError: the address or the password's file cannot be read.
    """
    assert settings.url is not None
    try:
        given = conninfo_to_dict(settings.url)
    except psycopg.ProgrammingError as error:
        raise StorageError(f"storage.url cannot be read: {said(error)}") from None
    if settings.password_file is not None:
        try:
            given["password"] = settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"storage.password_file cannot be read: {error}") from None
    return {
        **_DEFAULTS,
        "connect_timeout": settings.connect_limit_s,
        **given,
        "autocommit": True,
    }


def dial(settings: StorageSettings, *, read_only: bool) -> GuardedConnection:
    """A new connection for a writer or a reader.

    Raises:
        psycopg.Error: there is none to be had now.
        StorageError: it cannot be had with these settings.
    """
    # Each statement is one of few and comes again, so it is planned once.
    driver = GuardedConnection.connect(**parameters(settings), prepare_threshold=0)
    try:
        # A number has one type whatever its size, so that each statement has one plan.
        driver.adapters.register_dumper(int, Int8Dumper)
        driver.prepared_max = PREPARED_MAX
        driver.run("; ".join(_session(settings, read_only=read_only)))
        driver.answer_limit_s = _answer_limit_s(settings, read_only=read_only)
    except BaseException:
        driver.close()
        raise
    return driver


def _session(settings: StorageSettings, *, read_only: bool) -> list[str]:
    """The statements that set a session up."""
    if read_only:
        return [
            f"SET statement_timeout = {settings.read_limit_ms}",
            # Time that queries spend in this process, between their statements.
            f"SET idle_in_transaction_session_timeout = {10 * settings.read_limit_ms}",
            UNBOUND,
        ]
    return [
        # None for statements: it would end a commit's wait for a standby and call it a success.
        "SET statement_timeout = 0",
        f"SET lock_timeout = {settings.busy_timeout_ms}",
        f"SET idle_in_transaction_session_timeout = {settings.busy_timeout_ms}",
        UNBOUND,
        # More than that, such as a standby's own copy, is the server's to ask for.
        (
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        ),
    ]


def _answer_limit_s(settings: StorageSettings, *, read_only: bool) -> float:
    """Longer than any limit that the server itself keeps."""
    if read_only:
        return 2 * settings.read_limit_ms / 1000
    return (settings.busy_timeout_ms + settings.doubt_limit_ms) / 1000


def said(error: Exception) -> str:
    """What an error says, in one line without the server's details, which may quote rows."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())


def dial_to_migrate(settings: StorageSettings) -> GuardedConnection:
    """A new connection that changes the schema, which takes as long as it takes.

    Raises:
        StorageError: there is none to be had.
    """
    try:
        driver = GuardedConnection.connect(**parameters(settings))
        try:
            driver.run(f"SET statement_timeout = 0; {UNBOUND}")
        except BaseException:
            driver.close()
            raise
    except psycopg.Error as error:
        raise StorageError(f"the database cannot be reached: {said(error)}") from None
    return driver
