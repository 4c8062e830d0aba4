"""The check of the books in a process of its own, so that sales do not wait for it.

The frontend starts `python -m drink_frontend.storage.verify_process`, which reads the settings of
the storage as JSON from its standard input, and prints the problems as a JSON list. It has the
lowest priority, and is the first that the kernel ends when memory is short.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from drink_frontend.storage.settings import StorageSettings

NICENESS = 19
"""The lowest priority that a process can have."""


class CheckFailedError(Exception):
    """The books could not be checked; the message says why."""


async def verify_beside(settings: StorageSettings, limit_s: float) -> Sequence[str]:
    """The problems that `verify_books` finds, found by another process.

    Args:
        settings: Where the database is.
        limit_s: Seconds after which that process is ended.

    Raises:
        CheckFailedError: it took too long, or failed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(limit_s):
            answer, _ = await process.communicate(settings.model_dump_json().encode())
    except TimeoutError:
        raise CheckFailedError(f"it took longer than {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CheckFailedError(f"it ended with {process.returncode}")
    problems = json.loads(answer)
    assert isinstance(problems, list)
    return problems


def main() -> None:
    """Checks the books that the standard input names."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    settings = StorageSettings.model_validate_json(sys.stdin.buffer.read())
    json.dump(asyncio.run(_verify(settings)), sys.stdout)


async def _verify(settings: StorageSettings) -> Sequence[str]:
    from drink_frontend.storage.database import Database  # noqa: PLC0415 - for the child only

    async with Database.open(settings, beside=True) as storage:
        return await storage.verify()


if __name__ == "__main__":
    main()
