"""Settings of the storage."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class StorageSettings(BaseModel):
    """Where everything is kept, and what bounds it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Path = Path("drink.db")
    """SQLite's database file. Its journal (`-wal`, `-shm`) and lock (`.lock`) lie beside it."""

    write_queue_max: int = Field(default=4_096, ge=1)
    """Units of work that may wait to be committed. A disk that syncs in 10 ms carries 256 units per
    commit, so a full queue is 160 ms of work; beyond it the caller is refused and may retry."""

    write_batch_max: int = Field(default=256, ge=1)
    """Units that share one commit. Bounds how long the first of them waits for the last: at about
    0.1 ms each, 256 take as long as a few syncs."""

    read_queue_max: int = Field(default=8_192, ge=1)
    """Queries that may wait for a reader. Ten thousand sessions do not ask all at once; those that
    find it full are refused."""

    read_batch_max: int = Field(default=32, ge=1)
    """Queries that one reader answers from one snapshot. Bounds how long a quick one can sit behind
    a slow one."""

    readers: int = Field(default=2, ge=1, le=16)
    """Reading connections, each in its thread. Two, so that one long list of an administrator's
    holds nobody up; queries share the interpreter, so more do not make it faster."""

    read_limit_ms: int = Field(default=5_000, ge=1)
    """Milliseconds after which a query is given up. Longer than any page of a sound database takes;
    a reader that never ends would keep the journal from being emptied."""

    busy_timeout_ms: int = Field(default=5_000, ge=0)
    """Milliseconds to wait for another process that holds the write lock, which only a command of
    an administrator or a backup does, and for moments."""

    look_elsewhere_ms: int = Field(default=500, ge=10)
    """Milliseconds between two looks at whether another process changed the database; a person
    does not notice half a second."""

    checkpoint_pages: int = Field(default=4_000, ge=100)
    """Pages of 4 KiB in SQLite's journal after which they are copied into the database. 16 MiB:
    each copy syncs twice, and a page that changed often since is copied once."""

    cache_kib: int = Field(default=16_384, ge=1_024)
    """KiB of pages that each connection keeps in memory: the inner pages of every index of ten
    million drops, so that finding a row reads at most one page from the system's cache."""

    tokens_per_account: int = Field(default=100, ge=1)
    """Bearer tokens one account may have; a further one replaces the one that expires first. More
    than a person's devices, and a program that logs in for each call cannot fill the database."""
