"""Connects to PostgreSQL, with the session settings that durability and time limits need."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.generators import send
from psycopg.types.numeric import Int8Dumper

from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.settings import StorageSettings

T = TypeVar("T")

log = structlog.get_logger(__name__)

Row = tuple[Any, ...]

SILENCE_S = 10
"""Seconds without an acknowledgement after which a connection counts as lost: keepalives
detect a host that is gone, the user timeout one that accepts no more data."""

PREPARED_MAX = 500
"""Most prepared statements of a session: more than this program has, each with the few combinations
of optional parameters that are None."""

UNBOUND = (
    "SELECT set_config(name, '0', false) FROM pg_settings"
    " WHERE name IN ('transaction_timeout', 'idle_session_timeout')"
)
"""Removes limits that a role may have by default: on the time of a transaction, which lock_timeout
limits here, and on idle sessions. transaction_timeout exists in PostgreSQL 17 and newer."""

_PLANS = tuple(
    f"SET {name}"
    for name in (
        # One plan for all lengths of an array: the server would plan anew for each short one.
        "plan_cache_mode = force_generic_plan",
        # Plans are kept, those of triggers too. One that was made for a small table would read the
        # whole of it when it has grown, and lock it against writers that take no turn.
        *("enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off"),
        # What has to read a whole table all the same seems so expensive that it would be compiled.
        "jit = off",
    )
)
"""How a writer's statements are planned: each row by its key, as SQLite does, whose only joins are
these. https://www.postgresql.org/docs/current/runtime-config-query.html"""

_DEFAULTS: dict[str, Any] = {
    "application_name": "drink-frontend",
    # Read-only servers are not used, even for queries: they may lag behind the primary.
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
    "keepalives_idle": SILENCE_S // 2,
    "keepalives_interval": 1,
    "keepalives_count": SILENCE_S // 2,
    "tcp_user_timeout": SILENCE_S * 1000,
}


class _Pipeline(psycopg.Pipeline):
    """A pipeline whose statements are sent together at its end, with a Sync alone behind them.

    The driver's own sends each statement by itself, and gives the interpreter away each time, for
    which a turn then waits beside a busy event loop. It also ends with a Flush behind its Sync. The
    server has then begun to read a message and no longer counts how long the session is idle, so
    that a process that stands still in a transaction would keep its turn.
    """

    def _communicate_gen(self) -> PQGen[None]:
        yield from ()

    def _exit_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        try:
            while self.command_queue:
                self.command_queue.popleft()()
            yield from send(self.pgconn)
        finally:
            yield from self._fetch_gen(flush=False)


class GuardedConnection(psycopg.Connection[Row]):
    """A driver's connection with a limit on the time that the server may take to answer.

    Attributes:
        answer_limit_s: Seconds that an answer may take; then the connection is closed, because a
            late answer could be taken for that of the next statement. None: no limit.
        on_round_trip: Called for each round trip: a statement, or all statements of a pipeline.
    """

    answer_limit_s: float | None = None
    on_round_trip: Callable[[], None] | None = None

    def run(self, statements: str) -> psycopg.Cursor[Row]:
        """Runs statements without parameters, in one message."""
        return self.execute(statements.encode(), prepare=False)

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Overrides the driver's method: what is executed in it takes one round trip."""
        self._count()
        self._pipeline = _Pipeline(self)
        with super().pipeline() as pipeline:
            yield pipeline

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Overrides the driver's method: closes the connection after the limit."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        if self._pipeline is None:
            self._count()
        try:
            return super().wait(gen, interval, self.answer_limit_s)
        except errors._WaitTimeout:  # noqa: SLF001 - what the method is documented to raise
            self.close()
            raise psycopg.OperationalError(
                f"the server did not answer for {self.answer_limit_s:g} s"
            ) from None

    def _count(self) -> None:
        if self.on_round_trip is not None:
            self.on_round_trip()


class Redial:
    """The time of the next attempt to connect, shared by all connections of a process.

    The delay grows with each failure. After the first success all connections may be made at once:
    readers share their queue, and one that waited longer would refuse queries that others answer.

    Args:
        settings: The delays.

    Attributes:
        not_before: Monotonic seconds before which no attempt is made.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._failures = 0
        self.not_before = 0.0

    @property
    def is_due(self) -> bool:
        """Whether an attempt may be made now."""
        return time.monotonic() >= self.not_before

    def failed(self) -> None:
        """Sets the time of the next attempt after a failed one."""
        settings = self._settings
        longest_ms = min(settings.reconnect_max_ms, settings.reconnect_ms * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        # Jitter; no secret depends on it.
        wait_s = random.uniform(longest_ms / 2, longest_ms) / 1000  # noqa: S311
        self.not_before = time.monotonic() + wait_s

    def succeeded(self) -> None:
        """Resets the delay after a successful attempt."""
        self._failures, self.not_before = 0, 0.0


def parameters(settings: StorageSettings) -> dict[str, Any]:
    """The driver's parameters of a connection.

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
        psycopg.Error: the server cannot be reached now.
        StorageError: the settings cannot be used.
    """
    # There are few statements, and all are repeated: each is prepared at its first use.
    driver = GuardedConnection.connect(**parameters(settings), prepare_threshold=0)
    try:
        # Numbers of all sizes have one type, so that each statement has one plan.
        driver.adapters.register_dumper(int, Int8Dumper)
        driver.prepared_max = PREPARED_MAX
        driver.run("; ".join(_session(settings, read_only=read_only)))
        driver.answer_limit_s = _answer_limit_s(settings, read_only=read_only)
    except BaseException:
        driver.close()
        raise
    return driver


def _session(settings: StorageSettings, *, read_only: bool) -> list[str]:
    """The statements that configure a new session."""
    if read_only:
        return [
            f"SET statement_timeout = {settings.read_limit_ms}",
            # For statements that need no transaction of their own.
            "SET default_transaction_read_only = on",
            # Limits the time that queries spend in this process, between their statements.
            f"SET idle_in_transaction_session_timeout = {10 * settings.read_limit_ms}",
            UNBOUND,
        ]
    return [
        # No statement_timeout: it would end a commit's wait for a standby and report success.
        "SET statement_timeout = 0",
        *_PLANS,
        f"SET lock_timeout = {settings.busy_timeout_ms}",
        f"SET idle_in_transaction_session_timeout = {settings.busy_timeout_ms}",
        UNBOUND,
        # A stronger level, such as remote_apply, is the server's choice.
        (
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        ),
    ]


def _answer_limit_s(settings: StorageSettings, *, read_only: bool) -> float:
    """Seconds, longer than each limit that the server applies."""
    if read_only:
        return 2 * settings.read_limit_ms / 1000
    return (settings.busy_timeout_ms + settings.doubt_limit_ms) / 1000


def said(error: Exception) -> str:
    """The message of an error in one line, without the server's details, which may quote rows."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())


def dial_to_migrate(settings: StorageSettings) -> GuardedConnection:
    """A new connection for migrations, without a time limit.

    Raises:
        StorageError: the server cannot be reached.
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
