"""Notifications between frontends on one PostgreSQL database: LISTEN and NOTIFY.

A notification names what a commit changed. One that would be too long has no names: then anything
may have changed. While the connection is lost, notifications are lost too: until then,
subscribers are woken every `storage.look_elsewhere_ms` to read again.
"""

import asyncio
import json
from collections.abc import Callable

import psycopg
import structlog

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.postgres_dial import SILENCE_S, UNBOUND, Row, parameters, said
from drink_frontend.storage.settings import StorageSettings

log = structlog.get_logger(__name__)

CHANNEL = "drink_changes"
"""The channel's name."""

NOTE_BYTES_MAX = 7_999
"""Longest payload of a NOTIFY, by PostgreSQL's documentation."""


def note(writer: str, touched: ChangeSet) -> str:
    """The payload of a notification.

    Args:
        writer: Unique name of the process that committed.
        touched: What it changed.
    """
    facts = {
        "by": writer,
        "drops": sorted(touched.drops),
        "machines": sorted(touched.machines),
        "accounts": sorted(touched.accounts),
        "revoked": sorted(touched.revoked),
    }
    whole = json.dumps(facts, separators=(",", ":"))
    return whole if len(whole) <= NOTE_BYTES_MAX else json.dumps({"by": writer})


def read_note(text: str, writer: str) -> tuple[bool, ChangeSet | None]:
    """Whether a notification is another process's, and what was changed; None: it may be anything.

    Args:
        text: The payload.
        writer: Unique name of this process.
    """
    try:
        facts = json.loads(text)
        if facts["by"] == writer:
            return False, None
        if not facts.keys() >= {"drops", "machines", "accounts"}:
            return True, None
        drops, machines, accounts = facts["drops"], facts["machines"], facts["accounts"]
        # Programs of release 0.1.0 do not send `revoked`.
        revoked = set(facts.get("revoked", accounts))
        return True, ChangeSet(
            dict.fromkeys(drops), set(machines), dict.fromkeys(accounts), revoked
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        # Another program's payload, or a newer version's.
        return True, None


class Listener:
    """Receives notifications of other processes' commits, on the event loop.

    Args:
        settings: Address of the database.
        writer: Unique name of this process, whose own notifications are ignored.
        heard: Called with what another process's commit changed; None: it may be anything.
        tried: Set after the first attempt to listen.
    """

    def __init__(
        self,
        settings: StorageSettings,
        writer: str,
        heard: Callable[[ChangeSet | None], None],
        tried: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._heard = heard
        self._tried = tried

    async def run(self) -> None:
        """Listens until cancelled; connects again when the connection is lost."""
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    failures = 0
                    log.info("listening_to_others")
                    # Commits before LISTEN were not notified.
                    self._heard(None)
                    self._tried.set()
                    await self._listen(connection)
            except (psycopg.Error, StorageError, TimeoutError) as error:
                log.warning("not_listening_to_others", error=said(error))
                self._tried.set()
                await self._look(failures)
                failures = min(failures + 1, 20)

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        connection = await psycopg.AsyncConnection.connect(**parameters(self._settings))
        try:
            await connection.execute(UNBOUND)
            await connection.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _listen(self, connection: psycopg.AsyncConnection[Row]) -> None:
        while True:
            async for notice in connection.notifies(timeout=SILENCE_S):
                is_news, touched = read_note(notice.payload, self._writer)
                if is_news:
                    self._heard(touched)
            # Silence may also mean that the server is gone.
            async with asyncio.timeout(SILENCE_S):
                await connection.execute("SELECT 1")

    async def _look(self, failures: int) -> None:
        """Waits before the next attempt, and meanwhile wakes all subscribers again and again."""
        settings = self._settings
        wait_s = min(settings.reconnect_max_ms, settings.reconnect_ms * 2**failures) / 1000
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + wait_s
        while (left_s := ends_at - loop.time()) > 0:
            self._heard(None)
            await asyncio.sleep(min(left_s, settings.look_elsewhere_ms / 1000))
