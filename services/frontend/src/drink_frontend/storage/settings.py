"""Settings of the storage."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class StorageSettings(BaseModel):
    """The database, and limits of its use."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Path = Path("drink.db")
    """SQLite's database file, if no `url` is set. Its write-ahead log (`-wal`, `-shm`) and lock
    (`.lock`) are in the same folder."""

    url: str | None = None
    """PostgreSQL's address, for several frontends on one database; default none: SQLite at `path`.
    In the format of libpq, with several hosts and its parameters if necessary:
    `postgresql://drink@db.example/drink?sslmode=verify-full&sslrootcert=/etc/drink/ca.pem`. It must
    not contain a password: `password_file` names a file with it."""

    password_file: Path | None = None
    """File whose only line is the password for PostgreSQL, read at each connection; default none:
    libpq's own methods, such as `PGPASSFILE` or a certificate."""

    write_queue_max: int = Field(default=4_096, ge=1)
    """Units of work that may wait to be committed. With a disk that syncs in 10 ms and 256 units
    per commit, a full queue is 160 ms of work; above the limit callers are refused and may
    retry."""

    write_batch_max: int = Field(default=256, ge=1)
    """Units of work in one commit. Limits how long the first of them waits for the last: at about
    0.1 ms each, 256 take as long as a few syncs."""

    write_tries_max: int = Field(default=5, ge=1, le=100)
    """Times that a batch is carried out if PostgreSQL undoes it because of another transaction, or
    if the connection is lost before its commit. Frontends take turns, so that a second time is
    rare; after the last one its callers are refused and may retry."""

    write_retry_ms: int = Field(default=5, ge=1, le=1_000)
    """Milliseconds between two such attempts, doubled each time, and at random up to twice as long;
    as long as a quick commit."""

    read_queue_max: int = Field(default=8_192, ge=1)
    """Queries that may wait for a reader. Ten thousand sessions do not ask all at once; above the
    limit queries are refused."""

    read_batch_max: int = Field(default=32, ge=1)
    """Queries that one reader answers from one snapshot. Limits how long a quick query waits behind
    a slow one."""

    readers: int = Field(default=2, ge=1, le=16)
    """Reading connections, each with a thread. Two, so that an administrator's long list does not
    block other queries; more are not faster, because all threads share the interpreter."""

    reader_look_ms: int = Field(default=1_000, ge=10, le=60_000)
    """Milliseconds without a query after which a reader checks that the database answers; default
    1000, so that the health check reports a failure before many callers are refused."""

    read_limit_ms: int = Field(default=5_000, ge=1)
    """Milliseconds after which a query is interrupted. Longer than any page of a list takes; a
    query that never ends would keep SQLite from emptying its write-ahead log."""

    busy_timeout_ms: int = Field(default=5_000, ge=0)
    """Milliseconds to wait for another process that has the write lock. On SQLite this is an
    administrator's command or a backup, for a short time; on PostgreSQL it is another frontend, for
    a batch, and one that stops in the middle of a batch loses its turn after the same time."""

    look_elsewhere_ms: int = Field(default=500, ge=10)
    """Milliseconds between two checks for changes by other processes; half a second is too short
    for people to notice. On PostgreSQL frontends notify each other at once, and only check while
    the notifications do not work."""

    connect_limit_s: int = Field(default=5, ge=2, le=60)
    """Whole seconds that connecting to one of PostgreSQL's hosts may take; on a normal network it
    takes a hundredth of that."""

    reconnect_ms: int = Field(default=100, ge=10)
    """Milliseconds before the second attempt to connect to PostgreSQL again, doubled before each
    further one; a restart takes about a second."""

    reconnect_max_ms: int = Field(default=3_000, ge=10)
    """Most milliseconds between two such attempts, so that the frontend connects soon after the end
    of a long outage."""

    doubt_limit_ms: int = Field(default=10_000, ge=100)
    """Milliseconds to find out the outcome of a commit during which the connection to PostgreSQL
    was lost; as long as a restart or a failover takes. After that its callers are told that the
    outcome is unknown."""

    checkpoint_pages: int = Field(default=4_000, ge=100)
    """Pages of 4 KiB in SQLite's write-ahead log after which they are copied into the database;
    default 16 MiB. Each copy syncs twice, and a page that changed several times is copied once."""

    cache_kib: int = Field(default=16_384, ge=1_024)
    """KiB of pages that each connection caches: the inner pages of all indexes with ten million
    drops, so that finding a row reads at most one page from the system's cache."""

    tokens_per_account: int = Field(default=100, ge=1)
    """Bearer tokens of one account, whatever their scopes; a further one replaces the one that
    expires first. More than a person has devices, and a program that logs in for each call cannot
    fill the database."""

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
