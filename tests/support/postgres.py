"""PostgreSQL servers for tests: thrown away with the run, and databases that are migrated once.

DRINK_TEST_POSTGRES names a server that is there already instead, as libpq's URL of a database whose
user may make others. Tests that stop their server have one of their own all the same.
"""

import atexit
import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import pytest

from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings
from tests.support.ports import free_port

NONE = "none"
"""The value of DRINK_TEST_POSTGRES that skips all tests that need PostgreSQL."""

LIMIT_S = 60
"""Seconds that a server may take to do as it is told."""

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_numbers = itertools.count(1)


def _program(name: str) -> str | None:
    """Where PostgreSQL's program is; Debian keeps them out of the path."""
    return str(_PROGRAMS[-1].with_name(name)) if _PROGRAMS else shutil.which(name)


def why_missing() -> str | None:
    """Why no server can be started here, if so."""
    if os.environ.get("DRINK_TEST_POSTGRES") == NONE:
        return f"DRINK_TEST_POSTGRES is {NONE}"
    if _program("initdb") is None or _program("postgres") is None:
        return "there is no PostgreSQL here: its initdb and postgres are not installed"
    return None


class PostgresServer:
    """One server on the loopback address with one superuser, `drink`; a context manager.

    Args:
        durable: Whether it syncs its commits; quicker without, where nobody cuts the power.
        settings: Others of its settings.
    """

    def __init__(self, *, durable: bool = False, **settings: object) -> None:
        if reason := why_missing():
            pytest.skip(reason)
        self._folder = Path(tempfile.mkdtemp(prefix="drink-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._settings: dict[str, object] = {
            "fsync": durable,
            "listen_addresses": "127.0.0.1",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "unix_socket_directories": self._folder,
            "wal_level": "minimal",
            "max_wal_senders": 0,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam("postgres")
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        self.port = free_port()

    @property
    def url(self) -> str:
        """Of the database that a server has from the beginning."""
        return self.url_of("postgres")

    def url_of(self, database: str, port: int | None = None) -> str:
        """Of one of its databases, through another port if need be."""
        return f"postgresql://drink@127.0.0.1:{port or self.port}/{database}"

    def create(self, database: str) -> None:
        """Makes an empty database."""
        _execute(self.url, f"CREATE DATABASE {database}")

    def __enter__(self) -> Self:
        initdb = [_program("initdb"), "-D", self._data, "-U", "drink", "-A", "trust", "-N"]
        self._run([*initdb, "--locale=C.UTF-8", "-E", "UTF8", "--no-instructions"])
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts it, on the same port as before, and waits until it takes connections."""
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [_program("postgres"), "-D", self._data, f"--port={self.port}", *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, command)),
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock
                **self._user,
            )
        ready = [_program("pg_isready"), "-h", "127.0.0.1", "-p", self.port, "-q"]
        until = time.monotonic() + LIMIT_S
        while subprocess.run(list(map(str, ready)), check=False).returncode:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it and waits for its end.

        Args:
            how: SIGINT ends its sessions and stops in order; SIGQUIT is its own crash.
        """
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LIMIT_S)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops and starts it."""
        self.stop(how)
        self.start()

    def _run(self, command: list[Any]) -> None:
        done = subprocess.run(
            list(map(str, command)), cwd="/", capture_output=True, check=False, **self._user
        )
        assert done.returncode == 0, done.stderr.decode()


def _end_with_parent() -> None:
    """So that it does not outlive a test run that is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def fresh_postgres(server_url: str | None = None, **changes: Any) -> StorageSettings:
    """Settings of a new, migrated PostgreSQL database; skips the test where there is none.

    Args:
        server_url: Any database of the server that shall have it; none: the server of this run.
        changes: To the settings.
    """
    url = server_url or shared_server_url()
    _make_template(url)
    return _new_database(url, f"TEMPLATE {_template_name()}", **changes)


def empty_postgres(**changes: Any) -> StorageSettings:
    """Settings of a new PostgreSQL database without tables, on the server of this run."""
    return _new_database(shared_server_url(), **changes)


def _new_database(url: str, how: str = "", **changes: Any) -> StorageSettings:
    name = f"drink_{os.getpid()}_{next(_numbers)}"
    _execute(url, f"CREATE DATABASE {name} {how}")
    return StorageSettings(url=_database_url(url, name), **changes)


@cache
def shared_server_url() -> str:
    """The server of this run, started when it is first needed."""
    given = os.environ.get("DRINK_TEST_POSTGRES")
    if given and given != NONE:
        return given
    server = PostgresServer()
    atexit.register(server.__exit__, None, None, None)
    return server.__enter__().url


@cache
def _make_template(url: str) -> None:
    name = _template_name()
    _execute(url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    migrate(StorageSettings(url=_database_url(url, name)))


def _template_name() -> str:
    # Runs at the same time may share a server that was there before.
    return f"drink_template_{os.getpid()}"


def _database_url(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def execute(settings: StorageSettings, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements as a person at a prompt does; what the last one finds."""
    return _execute(settings.url or "", *statements)


def open_transactions(settings: StorageSettings) -> int:
    """How many sessions of the database have a transaction open and do nothing."""
    ((found,),) = execute(
        settings,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%'",
    )
    return int(found)


def _execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def show(driver: psycopg.Connection[Any], name: str) -> str:
    """A setting of the server, as a connection sees it."""
    row = driver.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])


def as_role(settings: StorageSettings, name: str, *grants: str) -> StorageSettings:
    """The same database, reached by a new role that is no superuser.

    Args:
        settings: Of the database, as its owner reaches it.
        name: Begins the role's name, which is unique in this run; `{role}` stands for it.
        grants: Statements that give it its rights.
    """
    assert settings.url is not None
    role = f"{name}_{os.getpid()}_{next(_numbers)}"
    statements = (f"CREATE ROLE {role} LOGIN", *grants)
    execute(settings, *(statement.replace("{role}", role) for statement in statements))
    parts = urlsplit(settings.url)
    netloc = f"{role}@{parts.netloc.rpartition('@')[2]}"
    return settings.model_copy(update={"url": parts._replace(netloc=netloc).geturl()})


ALL_RIGHTS = (
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
)
"""Grants of everything that the service needs."""
