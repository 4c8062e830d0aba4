"""Settings of the storage."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class StorageSettings(BaseModel):
    """Where everything is kept, and what bounds it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Path = Path("drink.db")
    """SQLite's database file, if no `url` is set. Its journal (`-wal`, `-shm`) and lock (`.lock`)
    lie beside it."""

    url: str | None = None
    """PostgreSQL's address, for several frontends on one database; default none: SQLite at `path`.
    As libpq takes it, with several hosts and its own parameters if need be:
    `postgresql://drink@db.example/drink?sslmode=verify-full&sslrootcert=/etc/drink/ca.pem`. Never a
    password: that is what `password_file` is for."""

    password_file: Path | None = None
    """File whose only line is the password for PostgreSQL, read at each connection; default none:
    libpq's own ways, such as `PGPASSFILE` or a certificate."""

    write_queue_max: int = Field(default=4_096, ge=1)
    """Units of work that may wait to be committed. A disk that syncs in 10 ms carries 256 units per
    commit, so a full queue is 160 ms of work; beyond it the caller is refused and may retry."""

    write_batch_max: int = Field(default=256, ge=1)
    """Units that share one commit. Bounds how long the first of them waits for the last: at about
    0.1 ms each, 256 take as long as a few syncs."""

    write_tries_max: int = Field(default=5, ge=1, le=100)
    """Times that a batch is carried out which PostgreSQL undoes for another transaction's sake, or
    whose connection is lost before its commit. Frontends take turns, so that even a second time is
    rare; after the last its callers are refused and may retry."""

    write_retry_ms: int = Field(default=5, ge=1, le=1_000)
    """Milliseconds to wait, doubled at each further try and by chance up to twice as long; as long
    as a quick commit."""

    read_queue_max: int = Field(default=8_192, ge=1)
    """Queries that may wait for a reader. Ten thousand sessions do not ask all at once; those that
    find it full are refused."""

    read_batch_max: int = Field(default=32, ge=1)
    """Queries that one reader answers from one snapshot. Bounds how long a quick one can sit behind
    a slow one."""

    readers: int = Field(default=2, ge=1, le=16)
    """Reading connections, each in its thread. Two, so that one long list of an administrator's
    holds nobody up; queries share the interpreter, so more do not make it faster."""

    reader_look_ms: int = Field(default=1_000, ge=10, le=60_000)
    """Milliseconds without a query after which a reader looks whether the database still answers
    it; default a second, so that health tells of it before many callers have noticed."""

    read_limit_ms: int = Field(default=5_000, ge=1)
    """Milliseconds after which a query is given up. Longer than any page of a sound database takes;
    a reader that never ends would keep the journal from being emptied."""

    busy_timeout_ms: int = Field(default=5_000, ge=0)
    """Milliseconds to wait for another process that holds the write lock. On SQLite that is a
    command of an administrator or a backup, for moments; on PostgreSQL another frontend, for a
    batch, and one that stands still in the middle of it loses its turn after as long."""

    look_elsewhere_ms: int = Field(default=500, ge=10)
    """Milliseconds between two looks at whether another process changed the database; a person
    does not notice half a second. On PostgreSQL frontends tell each other at once, and look only
    while they cannot."""

    connect_limit_s: int = Field(default=5, ge=2, le=60)
    """Whole seconds that making a connection to one of PostgreSQL's hosts may take; a sound network
    needs a hundredth of it."""

    reconnect_ms: int = Field(default=100, ge=10)
    """Milliseconds before the second attempt to connect to a PostgreSQL that was lost, doubled at
    each further one; a restart takes a second or so."""

    reconnect_max_ms: int = Field(default=3_000, ge=10)
    """Most milliseconds between two such attempts, so that a long outage is over for this frontend
    soon after it is over."""

    doubt_limit_ms: int = Field(default=10_000, ge=100)
    """Milliseconds in which to find out whether a commit was carried out during which the
    connection to PostgreSQL was lost; as long as a restart or a failover takes. After it its
    callers hear that nobody knows."""

    checkpoint_pages: int = Field(default=4_000, ge=100)
    """Pages of 4 KiB in SQLite's journal after which they are copied into the database. 16 MiB:
    each copy syncs twice, and a page that changed often since is copied once."""

    cache_kib: int = Field(default=16_384, ge=1_024)
    """KiB of pages that each connection keeps in memory: the inner pages of every index of ten
    million drops, so that finding a row reads at most one page from the system's cache."""

    tokens_per_account: int = Field(default=100, ge=1)
    """Bearer tokens one account may have; a further one replaces the one that expires first. More
    than a person's devices, and a program that logs in for each call cannot fill the database."""

    @field_validator("url")
    @classmethod
    def _is_plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        parts = urlsplit(url)
        if ":" in parts.netloc.rpartition("@")[0] or "password" in parse_qs(parts.query):
            raise ValueError("must not hold a password: put it into password_file")
        return url
