"""Settings of the agents' links."""

from pydantic import BaseModel, ConfigDict, Field


class LinkSettings(BaseModel):
    """Limits of the agents' links."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    heartbeat_interval_s: int = Field(default=10, ge=1, le=300)
    """Seconds between an agent's heartbeats; default 10. After three without any message the link
    is cut: half a minute outlives a short stall, and a buyer still waits."""

    hello_limit_s: float = Field(default=10, gt=0, le=300)
    """Seconds that a new stream may take until its Hello; default 10, as for any handshake."""

    command_ttl_s: float = Field(default=10, gt=0, le=600)
    """Seconds after its receipt in which an agent may start a command; default 10. Later a can
    would fall for a buyer who has left."""

    outgoing_max: int = Field(default=256, ge=8, le=65_536)
    """Messages that may wait to be sent on one link; default 256. An agent that does not read is
    cut off then; one drop needs two."""

    retry_first_s: float = Field(default=0.05, gt=0, le=60)
    """Seconds until a database that did not answer is asked again, for a drop or to take a result;
    doubled each time up to `retry_interval_s`. Default 0.05, so that an outage costs a machine
    little more than its own length."""

    retry_interval_s: float = Field(default=2, gt=0, le=60)
    """Longest of these pauses; default 2. A thousand machines then ask 500 times a second, which
    a frontend answers from memory while it has no connection."""

    facts_kept_max: int = Field(default=64, ge=1, le=4_096)
    """Results that one link keeps while the database does not take them; default 64. A machine has
    one drop under way, and what is said of it later. Above it the link ends, and its agent says
    them again on the next one."""

    journal_keep_s: float = Field(default=0.2, gt=0, le=5)
    """Seconds after an agent has said how far its journal has come until that is kept, if no result
    keeps it before; default 0.2. It saves a write for each drop of a quick board. An older copy of
    a journal that is put back so soon after a motor was started, while the frontend crashes as
    well, is not recognised."""
