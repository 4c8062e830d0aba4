"""PgBouncer between a test and its PostgreSQL server; the test is skipped where there is none."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from drink_frontend.storage.settings import StorageSettings
from tests.support.ports import free_port
from tests.support.postgres import LIMIT_S

_PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


class Pooler:
    """One PgBouncer on the loopback address; a context manager.

    Args:
        settings: Of the database behind it.
        mode: When a session of the server is free for another client: `session`, `transaction` or
            `statement`.
        options: Others of its settings.
    """

    def __init__(self, settings: StorageSettings, mode: str, **options: object) -> None:
        if _PROGRAM is None:
            pytest.skip("there is no PgBouncer here: pgbouncer is not installed")
        assert settings.url is not None
        self._behind = settings
        self._mode = mode
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="drink-pooler-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> StorageSettings:
        """Of the database as it is reached through the pooler."""
        parts = urlsplit(self._behind.url or "")
        url = parts._replace(netloc=f"drink@127.0.0.1:{self._port}").geturl()
        return self._behind.model_copy(update={"url": url})

    def __enter__(self) -> Self:
        parts = urlsplit(self._behind.url or "")
        users, file = self._folder / "users", self._folder / "pgbouncer.ini"
        users.write_text('"drink" ""\n')
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": users,
            "pool_mode": self._mode,
            "query_wait_timeout": 5,
            **self._options,
        }
        lines = [f"{name} = {value}" for name, value in options.items()]
        target = f"* = host={parts.hostname} port={parts.port} user=drink"
        file.write_text("\n".join(["[databases]", target, "[pgbouncer]", *lines, ""]))
        rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self._folder, users, file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._process = subprocess.Popen(
            [str(_PROGRAM), "--quiet", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **rights,
        )
        until = time.monotonic() + LIMIT_S
        while not self._listens():
            assert self._process.poll() is None, "the pooler does not start"
            assert time.monotonic() < until, "the pooler does not listen"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
