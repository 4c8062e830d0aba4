"""Settings of drops and accounts."""

from pydantic import BaseModel, ConfigDict, Field


class DropSettings(BaseModel):
    """Limits of drops."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    waiting_max: int = Field(default=20, ge=1, le=1_000)
    """Most drops that may wait for one machine; default 20. At 3.5 s of motor time each they keep
    the last buyer waiting for 70 s; more would only lengthen the queue."""

    scheduled_max: int = Field(default=100, ge=1, le=10_000)
    """Most delayed drops of one machine; default 100. They hold nobody up, but their credits and
    cans are reserved, and all may become due at once."""

    waiting_limit_s: float = Field(default=120, gt=0, le=86_400)
    """Seconds that a reserved drop may wait for its machine before it is given up and its credits
    are free again; default 120. That outlasts a full queue, and an agent's restart."""

    silence_limit_s: float = Field(default=90, gt=0, le=86_400)
    """Seconds after its dispatch that a drop without an outcome becomes UNKNOWN; default 90: 10 s
    for the command to start, 10 s for the board to answer, and a minute in which an agent can
    restart and connect. Its credits stay held."""

    look_interval_s: float = Field(default=1, gt=0, le=60)
    """Seconds between looks at what is overdue; default 1, so no limit is overrun by much more."""


class PresenceSettings(BaseModel):
    """How several frontends on one database know of each other."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    beat_interval_s: float = Field(default=5, gt=0, le=60)
    """Seconds between the beats by which a frontend tells the others that it is there; default 5.
    One that lets three of another's pass is taken for dead: within 20 s nobody is told any more
    that the machines can be reached whose agents it took along. Only PostgreSQL has others."""


class AccountSettings(BaseModel):
    """Limits of accounts."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    token_ttl_s: int = Field(default=2_592_000, ge=60, le=31_536_000)
    """Seconds that a bearer token is good for; default 2,592,000 (30 days), as long as a phone
    stays logged in without asking."""

    password_threads: int = Field(default=2, ge=1, le=64)
    """Password hashes computed at a time; default 2. Each takes about 50 ms and 64 MiB of memory;
    two leave a small computer's other cores to the drops."""

    password_waiting_max: int = Field(default=200, ge=1, le=10_000)
    """Most logins that may wait for their hash; default 200, which keep the last one waiting for
    about 5 s. Above it logins are refused with RATE_LIMITED."""
