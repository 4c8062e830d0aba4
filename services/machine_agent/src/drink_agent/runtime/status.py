"""Serves the status of the running agent on a UNIX socket."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

ANSWER_LIMIT_S = 2.0
"""Seconds for a client to read the answer."""

_log = logging.getLogger("drink_agent.status")


def socket_of(journal: Path) -> Path:
    """Returns the path of an agent's status socket, beside its journal."""
    return journal.with_name(journal.name + ".sock")


@contextlib.asynccontextmanager
async def serve_status(
    path: Path, describe: Callable[[], Mapping[str, object]]
) -> AsyncIterator[None]:
    """Answers every connection with one JSON object inside the context.

    If the socket cannot be created, that is logged, and the agent works without it.

    Args:
        path: Path of the socket; only its owner can use it.
        describe: Returns the agent's status.
    """

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                writer.write(json.dumps(describe()).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError):
            _log.debug("status_not_taken")
        finally:
            writer.close()

    try:
        server = await asyncio.start_unix_server(answer, path)
    except OSError as error:
        _log.warning("status_unavailable", extra={"problem": str(error)})
        yield
        return
    _make_private(path)
    try:
        yield
    finally:
        server.close()
        _remove(path)


def _make_private(path: Path) -> None:
    path.chmod(0o600)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
