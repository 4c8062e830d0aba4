"""Answers, on a socket of this host, how the running agent is."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

ANSWER_LIMIT_S = 2.0
"""Time for whoever asks to take the answer."""

_log = logging.getLogger("drink_agent.status")


def socket_of(journal: Path) -> Path:
    """Returns where the agent of a journal answers: beside it, so that each agent has its own."""
    return journal.with_name(journal.name + ".sock")


@contextlib.asynccontextmanager
async def answering(
    path: Path, describe: Callable[[], Mapping[str, object]]
) -> AsyncIterator[None]:
    """Answers every connection with one JSON object while it lasts.

    A socket that cannot be made is no reason not to dispense; it is logged.

    Args:
        path: Of the socket; only its owner can use it.
        describe: Tells how the agent is.
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
